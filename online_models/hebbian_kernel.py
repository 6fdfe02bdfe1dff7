"""Test, then learn, event by event: the kernel of `hebbian`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.activity_order import ActivityOrder, fill, insert, remove
from online_models.hebbian_potentials import (
    Asker,
    Potentials,
    attend,
    charge,
    recall,
    recall_bounded,
    rescale_potentials,
)
from online_models.hebbian_rule import Neurons, Rule, caches_of, fade, refresh, trace_gains
from online_models.hebbian_scores import Candidates, rank_bounded, rank_direct, units
from online_models.interactions import MISS, NEW_ITEM, NOT_RANKED, REPEAT, Histories, Interactions, wide
from online_models.synapses import Synapses, potentiate_trace, rescale

_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128


class Scratch(NamedTuple):
    """gains: float64[trace_length] of the trace, newest first. silence: float32[items], all 0 between two events.

    touched: int32[items + 1], where it is not. bits: int32[1], a float32 as an integer.
    """

    gains: NDArray[np.float64]
    silence: NDArray[np.float32]
    touched: NDArray[np.int32]
    bits: NDArray[np.int32]


class State(NamedTuple):
    """What the model has learned; order: the neurons' levels, in the bounded layout alone."""

    synapses: Synapses
    neurons: Neurons
    potentials: Potentials
    order: ActivityOrder


@numba.njit(cache=True)
def _rebase(state: State, known: int, now: int, rule: Rule) -> None:
    """Move the forward scale's base to `now`."""
    neurons = state.neurons
    factor = np.exp2(-((now - neurons.base[0]) / rule.half_life))
    rescale(state.synapses, known, factor)
    rescale_potentials(state.potentials, factor ** (rule.synapse_power - rule.source_power))
    neurons.total[0] *= factor
    neurons.base[0] = now
    for item in range(known):
        neurons.activity[item] *= factor
    refresh(neurons, known, rule)
    if len(state.synapses.post) > 0:
        fill(state.order, np.sort(neurons.level[:known]))


@numba.njit(cache=True, nogil=True)
def test_then_learn(
    events: Interactions,
    histories: Histories,
    state: State,
    rule: Rule,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """Fill in ranks, int32[n], and learn, event by event; see `Model.test_then_learn`."""
    synapses, neurons, potentials, order = state
    # A call counts references to each array that it is given, one by one; so the arrays of an event stay here.
    items, times_ms = histories.items, histories.times_ms
    weight, bounded = synapses.weight, len(synapses.post) > 0
    activity, total, base, level, source_norm, target_norm = neurons
    silence, touched, root = scratch.silence, scratch.touched, rule.synapse_power < 1.0
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        user, target = wide(events.user[i]), events.item[i]
        known, seen = wide(events.items[i]), wide(events.seen[i])
        is_new, time_ms = events.flags[i] & NEW_ITEM != 0, events.time_ms[i]
        start = histories.start[user]
        end = start + seen
        # Test. Of somebody who has had nothing yet, the values are silence.
        candidates = Candidates(known, target, items[start:end], ties_against)
        left = fade(time_ms - times_ms[end - 1], rule) if seen > 0 else 0.0
        if bounded and is_new:
            ranks[i] = MISS
        elif bounded:
            touches = 0
            if seen > 0:
                asker = Asker(user, end, seen, known)
                touches = recall_bounded(silence, touched, asker, histories, synapses, source_norm, rule)
            parts = units(total[0], left, rule)
            highest = total[0] ** rule.synapse_power
            ranks[i] = rank_bounded(
                silence, touched[:touches], candidates, neurons, order, parts, highest, scratch.bits
            )
        else:
            value, newest, gain = silence, 0, np.float32(0.0)
            if seen > 0:
                newest, leak = items[end - 1], 1.0
                if seen > 1:
                    leak = rule.step_decay * fade(times_ms[end - 1] - times_ms[end - 2], rule)
                slot, anew = attend(potentials, user, leak, rule)
                value = potentials.value[slot]
                if anew:
                    asker = Asker(user, end, seen, known)
                    recall(value, asker, histories, synapses, source_norm, rule)
                gain = np.float32(source_norm[newest] / potentials.left[slot])
                left *= potentials.left[slot]
            if is_new:
                charge(value, weight[newest], gain, known, root)
                ranks[i] = MISS
            else:
                parts = units(total[0], left, rule)
                ranks[i] = rank_direct(value, weight[newest], gain, root, candidates, neurons, parts)
        # Learn.
        length = min(len(scratch.gains), seen)
        gains = scratch.gains[:length]
        trace_gains(times_ms, end, time_ms, rule, gains)
        if (events.now[i] - base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(state, known, events.now[i], rule)
        unit = np.exp2((events.tick[i] - base[0]) / rule.half_life)
        potentiate_trace(synapses, items[end - length : end], target, gains, unit, rule.reverse)
        if bounded and target < known:
            remove(order, level[target])
        activity[target] += unit
        total[0] += unit
        level[target], source_norm[target], target_norm[target] = caches_of(activity[target], rule)
        if bounded:
            insert(order, level[target])
