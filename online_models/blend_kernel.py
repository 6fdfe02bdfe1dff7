"""The blend's kernels: scores of all items, and test-then-learn; the formulas are at the top of `blend.py`."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.blend_member import add_member, learn_member
from online_models.blend_potentials import (
    CORRECTION,
    KINDS,
    LIFT,
    LONG,
    NOBODY,
    PRIOR_COUNT,
    SHORT,
    charge,
    claim,
    fade,
    rarities,
    recall,
    slot_of,
)
from online_models.blend_state import PARTS, Rule, Scratch, State, Trace, unit_at
from online_models.blend_trends import adapt_shares, add_to_trends, log_trend
from online_models.blend_weights import (
    AGES,
    TAKEN,
    Features,
    age_class,
    depress,
    expectations,
    gap_class,
    odds_in_place,
    rivals_of,
    step_weights,
)
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    wide,
)
from online_models.polynomials import FUSED, exponential, natural_log, rough_log2
from online_models.ranking import rank_among
from online_models.synapses import Synapses, potentiate_from, potentiate_to, rescale

_F_LIFT = 2
_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
_NOTHING = 1e-30


@numba.njit(cache=True)
def refresh_taken(state: State, age: int, item: int) -> None:
    """Bring the cache of `taken` up to date."""
    state.taken_log[age, item] = np.log1p(state.taken[age, item])


@numba.njit(cache=True)
def refresh_all_taken(state: State, items: int) -> None:
    """Bring the cache of `taken` up to date for the first `items` items."""
    for age in range(len(state.taken)):
        for item in range(items):
            refresh_taken(state, age, item)


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


@numba.njit(cache=True, fastmath=FUSED)
def _log_ratio(
    potential: NDArray[np.float32],
    scale: float,
    rarity: NDArray[np.float32],
    known: int,
    out: NDArray[np.float32],
) -> None:
    """out[:known] = ln(1 + potential * scale * rarity)."""
    small, one = np.float32(scale), np.float32(1.0)
    for item in range(known):
        out[item] = natural_log(one + potential[item] * small * rarity[item])


@numba.njit(cache=True, fastmath=FUSED)
def _recency(last: NDArray[np.float64], learned: int, known: int, out: NDArray[np.float32]) -> None:
    now = np.float64(learned)
    for item in range(known):
        out[item] = rough_log2(np.float32(now - last[item]))


@numba.njit(cache=True, fastmath=FUSED)
def _weigh(
    features: Features,
    weight: NDArray[np.float32],
    own: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    left: float,
    known: int,
    out: NDArray[np.float32],
) -> None:
    """out[:known] = sum of weight[j] * features[j], and own: corrections, of which `left` is left, and two biases."""
    short, long, lift, trend, recency, age = features
    a, b, c, d, e, f = weight
    correction, by_age, by_gap = own
    kept = np.float32(left)
    for item in range(known):
        score = correction[item] * kept + by_age[item] + by_gap[item]
        score = score + a * short[item] + b * long[item] + c * lift[item]
        out[item] = score + d * trend[item] + e * recency[item] + f * age[item]


@numba.njit(cache=True)
def score_all(
    value: NDArray[np.float32],
    faded: NDArray[np.float64],
    contexts: tuple[int, int],
    known: int,
    unit: float,
    state: State,
    rule: Rule,
    scratch: Scratch,
) -> Features:
    """Score every known item into scratch.scores; returns the parts, of which lift has still to fade.

    value: potentials, float32[KINDS, items]; faded: see `fade`; contexts: classes of age and gap; unit: what an event
    weighs now on the forward scale. scratch.rarity is filled.
    """
    neurons, weights = state.neurons, state.weights.value
    ratio = neurons.total[0] / np.sqrt(unit)
    _log_ratio(value[SHORT], faded[SHORT] * ratio / rule.short_prior, scratch.rarity, known, scratch.short)
    _log_ratio(value[LONG], faded[LONG] * ratio / rule.long_prior, scratch.rarity, known, scratch.long)
    log_trend(state.trends, neurons.activity, neurons.total[0], known, scratch.trend)
    _recency(state.last, state.learned[0], known, scratch.recency)
    features = (
        scratch.short,
        scratch.long,
        value[LIFT],
        scratch.trend,
        scratch.recency,
        state.taken_log[contexts[0]],
    )
    weight = (weights[0] + weights[1 + contexts[0]] + weights[1 + AGES + contexts[1]]).astype(np.float32)
    weight[_F_LIFT] *= np.float32(faded[LIFT])
    own = (value[CORRECTION], state.bias[contexts[0]], state.bias[AGES + contexts[1]])
    _weigh(features, weight, own, faded[CORRECTION], known, scratch.scores)
    return features


@numba.njit(cache=True)
def score_user(
    user: int, moment: Moment, histories: Histories, state: State, rule: Rule, scratch: Scratch
) -> tuple[int, int]:
    """Score every known item for `user` (-1: unknown) at `moment`, by the clock of memory, into scratch.scores.

    Returns the classes of the user's age and gap. One kernel, for each call of one unpacks all of the state.
    """
    neurons, known, end, seen, gap_ms = state.neurons, moment.items, 0, 0, 0
    if user >= 0:
        seen = histories.length[user]
        end = histories.start[user] + seen
    if seen > 0:
        gap_ms = max(moment.time_ms - histories.times_ms[end - 1], 0)
    faded = np.ones(KINDS)
    fade(rule.leaks, gap_ms, faded)
    unit = unit_at(neurons, moment.now, rule)
    rarities(neurons, unit, known, scratch.rarity)
    value = scratch.value
    slot = slot_of(state.potentials, user) if seen > 0 else NOBODY
    if slot != NOBODY:
        value = state.potentials.value[slot]
    elif seen > 0:
        recall(value, histories, end, seen, known, neurons, rule.leaks, unit, scratch.rarity)
    else:
        value[:, :known] = 0.0
    contexts = (age_class(seen), gap_class(seen, gap_ms))
    score_all(value, faded, contexts, known, unit, state, rule, scratch)
    return contexts


@numba.njit(cache=True)
def _gains(
    times_ms: NDArray[np.int64], time_ms: int, unit: float, rule: Trace, gap_scale_ms: float
) -> NDArray[np.float32]:
    """How much an event at `time_ms` potentiates synapses with the last items of a trace, newest first.

    times_ms: int64[trace], of the trace, oldest first. unit: what an event weighs on the forward scale.
    """
    out = np.empty(min(len(times_ms), rule.length), np.float32)
    step = np.log(rule.step_decay)
    for k in range(len(out)):
        gap_ms = max(time_ms - times_ms[len(times_ms) - 1 - k], 0)
        longer = natural_log(np.float32(1.0 + gap_ms / gap_scale_ms))
        out[k] = np.float32(unit) * exponential(np.float32(k * step - rule.gap_exponent * longer))
    return out


@numba.njit(cache=True)
def _wire(
    synapses: Synapses,
    sums: NDArray[np.float32],
    newest: NDArray[np.int32],
    gains: NDArray[np.float32],
    target: int,
    reverse: float,
) -> None:
    """Potentiate both ways along the trace; newest: int32[gains], its last items, newest first."""
    back = np.float32(reverse)
    potentiate_to(synapses, newest, target, gains)
    potentiate_from(synapses, target, newest, back * gains)
    for k in range(len(newest)):
        sums[newest[k]] += gains[k]
        sums[target] += back * gains[k]


@numba.njit(cache=True)
def _learn_errors(
    state: State,
    correction: NDArray[np.float32],
    faded: float,
    contexts: tuple[int, int],
    newest: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    target: int,
    known: int,
    scale: float,
    rate: float,
    rule: Rule,
    scratch: Scratch,
) -> None:
    """Corrective synapses of the trace, and biases. scratch.scores holds odds, which `scale` makes probabilities.

    correction: the user's own potential, float32[items], of which `faded` is left. newest: the trace, newest first;
    times_ms: of the trace, oldest first. rate: the rule's, less for a late event.
    A synapse learns in proportion to how much it has to do with the score: as much as its row has faded since.
    """
    count = rivals_of(
        scratch.scores, target, known, rule.correction_least / scale, scratch.above, scratch.rivals
    )
    rivals, chances = scratch.rivals[:count], scratch.chances[:count]
    for place in range(count):
        chances[place] = scratch.scores[rivals[place]] * np.float32(scale)
        scratch.everyone[rivals[place]] = chances[place]
    surprise = 1.0 - scale * scratch.scores[target]
    gain, energy = faded, 0.0
    exponent, leak = rule.leaks.gap_exponent[CORRECTION], rule.leaks.leak[CORRECTION]
    amounts = np.empty(min(len(newest), rule.correction_length), np.float32)
    for k in range(len(amounts)):
        amounts[k] = rate * gain
        energy += gain * gain
        at = len(times_ms) - 1 - k
        if at > 0:
            longer = natural_log(
                np.float32(1.0 + max(times_ms[at] - times_ms[at - 1], 0) / rule.leaks.gap_scale_ms)
            )
            gain *= leak * exponential(np.float32(-exponent * longer))
    pres = newest[: len(amounts)]
    depress(state.neurons.correction, pres, amounts, rivals, chances, scratch.everyone)
    potentiate_to(state.neurons.correction, pres, target, amounts * np.float32(surprise))
    own = np.float32(rate * energy / faded)  # what it changed of the own potential
    bias = np.float32(rate * rule.bias_share)
    by_age, by_gap = state.bias[contexts[0]], state.bias[AGES + contexts[1]]
    for place in range(count):
        item, chance = rivals[place], chances[place]
        correction[item] -= own * chance
        by_age[item] -= bias * chance
        by_gap[item] -= bias * chance
        scratch.everyone[item] = 0.0
    correction[target] += own * np.float32(surprise)
    by_age[target] += bias * np.float32(surprise)
    by_gap[target] += bias * np.float32(surprise)


@numba.njit(cache=True, nogil=True)
def test_then_learn(
    events: Interactions,
    undrifted: Interactions,
    histories: Histories,
    state: State,
    rule: Rule,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """See `Model.test_then_learn`. events: by the clock of memory (see `ageing`); undrifted: the same by the lane's."""
    neurons, potentials, scores, leaks = state.neurons, state.potentials, scratch.scores, rule.leaks
    longest = max(rule.short.length, rule.long.length, rule.correction_length)
    faded, gradient = np.ones(KINDS), np.zeros(len(PARTS))
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        user, target = wide(events.user[i]), wide(events.item[i])
        known, seen = wide(events.items[i]), wide(events.seen[i])
        tick, now, time_ms = events.tick[i], events.now[i], events.time_ms[i]
        start = histories.start[user]
        end = start + seen
        gap_ms = max(time_ms - histories.times_ms[end - 1], 0) if seen > 0 else 0
        contexts = (age_class(seen), gap_class(seen, gap_ms))
        fade(leaks, gap_ms, faded)
        unit = unit_at(neurons, now, rule)
        rarities(neurons, unit, known, scratch.rarity)
        slot, value = NOBODY, scratch.value
        if seen > 0:
            slot = slot_of(potentials, user)
            if slot == NOBODY:
                slot = claim(potentials, user)
                value = potentials.value[slot]
                recall(value, histories, end, seen, known, neurons, leaks, unit, scratch.rarity)
            value = potentials.value[slot]
        else:
            value[:, :known] = 0.0
        first = end - min(seen, longest)
        newest, times_ms = histories.items[first:end][::-1].copy(), histories.times_ms[first:end]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            features = score_all(value, faded, contexts, known, unit, state, rule, scratch)
            had, member = histories.items[start:end], state.member
            if member.encoder.adopted:
                add_member(member, had, histories.times_ms[start:end], time_ms, contexts, known, scores)
            ranks[i] = rank_among(scores, known, target, had, ties_against)
            for item in had:
                scores[item] = TAKEN
            odds_in_place(scores, target, known)
            scale = expectations(scores, features, known, gradient)
            for part in range(len(PARTS)):
                gradient[part] = features[part][target] - gradient[part]
            gradient[_F_LIFT] *= faded[LIFT]
            step_weights(state.weights, contexts, gradient, rule.weight_rate)
            if member.encoder.adopted:
                learn_member(member, scores, scale, target, contexts, known, rule.weight_rate)
            active = neurons.activity[target] / neurons.total[0] if neurons.total[0] > _NOTHING else 0.0
            adapt_shares(state.trends, target, active, known, rule.share_rate, state.learned[0])
            rate = rule.correction_rate * np.exp2(-((now - tick) / rule.half_life))
            _learn_errors(
                state,
                value[CORRECTION],
                faded[CORRECTION],
                contexts,
                newest,
                times_ms,
                target,
                known,
                scale,
                rate,
                rule,
                scratch,
            )
        if (now - neurons.base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(state, known, now, rule)
            unit = unit_at(neurons, now, rule)
            rarities(neurons, unit, known, scratch.rarity)
        weight = unit_at(neurons, tick, rule)
        gains = _gains(times_ms, time_ms, weight, rule.short, leaks.gap_scale_ms)
        _wire(neurons.short, neurons.short_sum, newest[: len(gains)], gains, target, rule.short.reverse)
        gains = _gains(times_ms, time_ms, weight, rule.long, leaks.gap_scale_ms)
        _wire(neurons.long, neurons.long_sum, newest[: len(gains)], gains, target, rule.long.reverse)
        neurons.activity[target] += np.float32(weight)
        neurons.total[0] += weight
        add_to_trends(state.trends, target, undrifted.tick[i], undrifted.now[i], known, rule.trend_half_lives)
        state.last[target] = state.learned[0]
        state.learned[0] += 1
        state.taken[contexts[0], target] += np.float32(1.0)
        refresh_taken(state, contexts[0], target)
        if slot != NOBODY:
            scratch.rarity[target] = 1.0 / (neurons.activity[target] + PRIOR_COUNT * unit)
            charge(value, target, faded, max(known, target + 1), neurons, leaks, unit, scratch.rarity)
            potentials.used[slot] = state.learned[0]
