"""The blend's kernels: scores of all items, and test-then-learn; the formulas are at the top of `blend.py`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.blend_potentials import (
    CORRECTION,
    KINDS,
    LIFT,
    LONG,
    NOBODY,
    PRIOR_COUNT,
    SHORT,
    Leaks,
    Neurons,
    Potentials,
    charge,
    claim,
    fade,
    recall,
    slot_of,
)
from online_models.blend_trends import Trends, adapt_shares, add_to_trends, trend
from online_models.blend_weights import (
    AGES,
    TAKEN,
    Weights,
    age_class,
    correct,
    gap_class,
    rivals_of,
    softmax,
    step_weights,
)
from online_models.interactions import MISS, NEW_ITEM, NOT_RANKED, REPEAT, Histories, Interactions
from online_models.polynomials import log_in_place, rough_log2_in_place
from online_models.ranking import rank_among
from online_models.synapses import Synapses, potentiate, rescale

PARTS = ("short", "long", "lift", "trend", "recency", "age")
_F_SHORT, _F_LONG, _F_LIFT, _F_TREND, _F_RECENCY, _F_AGE = range(len(PARTS))
_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
_NOTHING = 1e-30


class Trace(NamedTuple):
    """How synapses of one kind learn along the user's last items; see the module."""

    length: int
    step_decay: float
    gap_exponent: float
    reverse: float


class Rule(NamedTuple):
    """`BlendConfig` for the kernels; half_life, trend_half_lives (float64[H]) in ticks."""

    half_life: float
    trend_half_lives: NDArray[np.float64]
    leaks: Leaks
    short: Trace
    long: Trace
    short_prior: float
    long_prior: float
    weight_rate: float
    share_rate: float
    correction_rate: float
    correction_length: int
    correction_least: float
    bias_share: float


class State(NamedTuple):
    """What is learned, but for the synapses' layout.

    bias: float32[AGES + GAPS, items]. taken: float32[AGES, items], how often by users of that age; taken_log: its
    read-side cache ln(1 + taken). last: float64[items], number of the event that took it; learned: int64[1], events.
    """

    neurons: Neurons
    potentials: Potentials
    trends: Trends
    weights: Weights
    bias: NDArray[np.float32]
    taken: NDArray[np.float32]
    taken_log: NDArray[np.float32]
    last: NDArray[np.float64]
    learned: NDArray[np.int64]


class Scratch(NamedTuple):
    """features: float32[parts, items]; scores, ones, own: float32[items]; rows: float32[2, items].

    value: float32[KINDS, items], potentials of who has no slot. rivals: int32[items + 1].
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    ones: NDArray[np.float32]
    rows: NDArray[np.float32]
    value: NDArray[np.float32]
    rivals: NDArray[np.int32]


@numba.njit(cache=True)
def unit_at(neurons: Neurons, tick: int, rule: Rule) -> float:
    """What an event at `tick` weighs on the forward scale."""
    return float(np.exp2((tick - neurons.base[0]) / rule.half_life))


@numba.njit(cache=True)
def refresh_taken(state: State, age: int, item: int) -> None:
    """Bring the cache of `taken` up to date."""
    state.taken_log[age, item] = np.log1p(state.taken[age, item])


@numba.njit(cache=True)
def _rebase(state: State, known: int, now: int, rule: Rule) -> None:
    """Move the synapses' forward scale to `now`; potentials are on its square root."""
    neurons = state.neurons
    factor = np.exp2(-((now - neurons.base[0]) / rule.half_life))
    rescale(neurons.short, known, factor)
    rescale(neurons.long, known, factor)
    small, root = np.float32(factor), np.float32(np.sqrt(factor))
    for item in range(known):
        for sums in (neurons.activity, neurons.short_sum, neurons.long_sum):
            faded = sums[item] * small
            sums[item] = faded if faded > np.float32(_NOTHING) else np.float32(0.0)
    for slot in range(len(state.potentials.owner)):
        for kind in (SHORT, LONG):
            row = state.potentials.value[slot, kind]
            for item in range(known):
                row[item] *= root
    neurons.total[0] *= factor
    neurons.base[0] = now


@numba.njit(
    cache=True, error_model="numpy"
)  # a check for division by zero would keep loops from being vectorised
def score_all(
    value: NDArray[np.float32],
    faded: NDArray[np.float64],
    contexts: tuple[int, int],
    known: int,
    now: int,
    state: State,
    rule: Rule,
    scratch: Scratch,
) -> None:
    """Score every known item into scratch.scores, by the parts in scratch.features.

    value: potentials, float32[KINDS, items]; faded: see `fade`; contexts: classes of age and gap.
    """
    neurons, features, scores = state.neurons, scratch.features, scratch.scores
    unit = unit_at(neurons, now, rule)
    total, activity = neurons.total[0], neurons.activity
    prior = np.float32(PRIOR_COUNT * unit)
    one = np.float32(1.0)
    rarity = scratch.rows[1]
    for item in range(known):
        rarity[item] = one / (activity[item] + prior)
    for part, kind, expected in ((_F_SHORT, SHORT, rule.short_prior), (_F_LONG, LONG, rule.long_prior)):
        feature, potential = features[part], value[kind]
        scale = np.float32(faded[kind] * total / (expected * np.sqrt(unit)))
        for item in range(known):
            feature[item] = one + potential[item] * scale * rarity[item]
        log_in_place(feature, known, scratch.rows[0])
    feature, potential, left = features[_F_LIFT], value[LIFT], np.float32(faded[LIFT])
    for item in range(known):
        feature[item] = potential[item] * left
    trend(state.trends, activity, total, known, features[_F_TREND])
    log_in_place(features[_F_TREND], known, scratch.rows[0])
    feature, learned = features[_F_RECENCY], np.float64(state.learned[0])
    for item in range(known):
        feature[item] = np.float32(learned - state.last[item])
    rough_log2_in_place(feature, known)
    feature, taken = features[_F_AGE], state.taken_log[contexts[0]]
    for item in range(known):
        feature[item] = taken[item]
    potential, left = value[CORRECTION], np.float32(faded[CORRECTION])
    by_age, by_gap = state.bias[contexts[0]], state.bias[AGES + contexts[1]]
    weights = state.weights.value
    w = weights[0] + weights[1 + contexts[0]] + weights[1 + AGES + contexts[1]]
    w0, w1, w2 = np.float32(w[0]), np.float32(w[1]), np.float32(w[2])
    w3, w4, w5 = np.float32(w[3]), np.float32(w[4]), np.float32(w[5])
    f0, f1, f2, f3, f4, f5 = features[0], features[1], features[2], features[3], features[4], features[5]
    for item in range(known):
        scores[item] = potential[item] * left + by_age[item] + by_gap[item]
    for item in range(known):
        scores[item] += w0 * f0[item] + w1 * f1[item] + w2 * f2[item]
    for item in range(known):
        scores[item] += w3 * f3[item] + w4 * f4[item] + w5 * f5[item]


@numba.njit(cache=True)
def _wire(
    synapses: Synapses,
    sums: NDArray[np.float32],
    trace: NDArray[np.int32],
    gaps: NDArray[np.float64],
    target: int,
    unit: float,
    rule: Trace,
) -> None:
    """Potentiate both ways along the trace, oldest first; gaps: ln(1 + gap_k / gap_scale), newest first."""
    recency = unit
    for k in range(min(len(trace), rule.length)):
        before = trace[len(trace) - 1 - k]
        amount = recency
        if rule.gap_exponent != 0.0:
            amount *= np.exp(-rule.gap_exponent * gaps[k])
        potentiate(synapses, before, target, np.float32(amount))
        sums[before] += np.float32(amount)
        potentiate(synapses, target, before, np.float32(amount * rule.reverse))
        sums[target] += np.float32(amount * rule.reverse)
        recency *= rule.step_decay


@numba.njit(cache=True)
def _learn_errors(
    state: State,
    value: NDArray[np.float32],
    faded: NDArray[np.float64],
    contexts: tuple[int, int],
    trace: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    target: int,
    known: int,
    left: float,
    rule: Rule,
    scratch: Scratch,
) -> None:
    """Corrective synapses of the trace, and biases; scratch.scores holds probabilities. left: a late event's weight.

    A synapse learns in proportion to how much it has to do with the score: as much as its row has faded since.
    """
    chances = scratch.scores
    count = rivals_of(chances, target, known, rule.correction_least, scratch.rivals)
    rivals = scratch.rivals[:count]
    rate = rule.correction_rate * left
    gain, energy = faded[CORRECTION], 0.0
    exponent, leak = rule.leaks.gap_exponent[CORRECTION], rule.leaks.leak[CORRECTION]
    for k in range(min(len(trace), rule.correction_length)):
        at = len(trace) - 1 - k
        correct(
            state.neurons.correction,
            trace[at],
            target,
            rate * gain,
            chances,
            rivals,
            rule.correction_least,
        )
        energy += gain * gain
        if at > 0:
            gap_ms = max(times_ms[at] - times_ms[at - 1], 0)
            gain *= leak * (1.0 + gap_ms / rule.leaks.gap_scale_ms) ** -exponent
    surprise = 1.0 - chances[target]
    own, amount = value[CORRECTION], rate * energy / faded[CORRECTION]  # what it changed of the own potential
    for item in rivals:
        own[item] -= np.float32(amount) * chances[item]
    own[target] += np.float32(amount * surprise)
    for context in (contexts[0], AGES + contexts[1]):
        row, amount = state.bias[context], rate * rule.bias_share
        for item in rivals:
            row[item] -= np.float32(amount) * chances[item]
        row[target] += np.float32(amount * surprise)


@numba.njit(cache=True)
def test_then_learn(
    events: Interactions,
    histories: Histories,
    state: State,
    rule: Rule,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """See `Model.test_then_learn`."""
    neurons, potentials = state.neurons, state.potentials
    longest = max(rule.short.length, rule.long.length, rule.correction_length)
    gaps, faded = np.zeros(longest), np.ones(KINDS)
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        user, target, known, seen = events.user[i], events.item[i], events.items[i], events.seen[i]
        tick, now, time_ms = events.tick[i], events.now[i], events.time_ms[i]
        start = histories.start[user]
        end = start + seen
        gap_ms = max(time_ms - histories.times_ms[end - 1], 0) if seen > 0 else 0
        contexts = (age_class(seen), gap_class(seen, gap_ms))
        fade(rule.leaks, gap_ms, faded)
        slot = NOBODY
        if seen > 0:
            slot = slot_of(potentials, user)
            if slot == NOBODY:
                slot = claim(potentials, user)
                unit = unit_at(neurons, now, rule)
                recall(
                    potentials.value[slot],
                    histories,
                    end,
                    seen,
                    known,
                    neurons,
                    rule.leaks,
                    unit,
                    scratch.rows,
                )
            value = potentials.value[slot]
        else:
            value = scratch.value
            value[:, :known] = 0.0
        first = end - min(seen, longest)
        trace, times_ms = histories.items[first:end], histories.times_ms[first:end]
        left = np.exp2(-((now - tick) / rule.half_life))
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            score_all(value, faded, contexts, known, now, state, rule, scratch)
            had = histories.items[start:end]
            ranks[i] = rank_among(scratch.scores, known, target, had, ties_against)
            for item in had:
                scratch.scores[item] = TAKEN
            softmax(scratch.scores, target, known, scratch.ones, scratch.rows[0])
            step_weights(
                state.weights,
                contexts,
                scratch.features,
                scratch.scores,
                target,
                known,
                rule.weight_rate,
                scratch.rows[0],
            )
            active = neurons.activity[target] / neurons.total[0] if neurons.total[0] > _NOTHING else 0.0
            adapt_shares(state.trends, target, active, known, rule.share_rate, state.learned[0])
            _learn_errors(
                state,
                value,
                faded,
                contexts,
                trace,
                times_ms,
                target,
                known,
                left,
                rule,
                scratch,
            )
        if (now - neurons.base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(state, known, now, rule)
        unit = unit_at(neurons, tick, rule)
        for k in range(len(trace)):
            gap_ms = max(time_ms - times_ms[len(trace) - 1 - k], 0)
            gaps[k] = np.log1p(gap_ms / rule.leaks.gap_scale_ms)
        _wire(neurons.short, neurons.short_sum, trace, gaps, target, unit, rule.short)
        _wire(neurons.long, neurons.long_sum, trace, gaps, target, unit, rule.long)
        neurons.activity[target] += np.float32(unit)
        neurons.total[0] += unit
        add_to_trends(state.trends, target, tick, now, known, rule.trend_half_lives)
        state.last[target] = state.learned[0]
        state.learned[0] += 1
        state.taken[contexts[0], target] += np.float32(1.0)
        refresh_taken(state, contexts[0], target)
        if slot != NOBODY:
            unit = unit_at(neurons, now, rule)
            charge(value, target, faded, max(known, target + 1), neurons, rule.leaks, unit, scratch.rows)
            potentials.used[slot] = state.learned[0]


def scratch_for(items: int) -> Scratch:
    """Room for `items` items."""
    return Scratch(
        features=np.zeros((len(PARTS), items), np.float32),
        scores=np.zeros(items, np.float32),
        ones=np.ones(items, np.float32),
        rows=np.zeros((2, items), np.float32),
        value=np.zeros((KINDS, items), np.float32),
        rivals=np.zeros(items + 1, np.int32),
    )
