"""How item-item synapses score the items, and where an event's item ranks among them; formulas in `hebbian`.

In the direct layout a rank is a pass over all items. In the bounded one it costs as much as there are synapses in the
trace's rows: an item that none of them touches scores popularity_weight * (a(c) / A)^r, rounded in the same way for
all, so how many of them are as high as the target is asked of the order of activities.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.activity_order import ActivityOrder, count_from
from online_models.synapses import Synapses, spread_bounded, spread_direct

_NOTHING = 1e-30  # activity below this is forgotten: its inverse powers would overflow


class Rule(NamedTuple):
    """`HebbianConfig` for the kernels; half_life in ticks, gap_scale_ms in milliseconds."""

    step_decay: float
    gap_scale_ms: float
    gap_exponent: float
    reverse: float
    synapse_power: float
    source_power: float
    target_power: float
    popularity_weight: float
    half_life: float


class Neurons(NamedTuple):
    """activity: float64[items], forward scale; total: float64[1], its sum; base: int64[1], tick of the scale.

    Read-side caches, float32[items]: level = activity^r, source_norm = activity^-p, target_norm = activity^-q
    (0 for a neuron without activity).
    """

    activity: NDArray[np.float64]
    total: NDArray[np.float64]
    base: NDArray[np.int64]
    level: NDArray[np.float32]
    source_norm: NDArray[np.float32]
    target_norm: NDArray[np.float32]


class Scratch(NamedTuple):
    """gains: float64[trace_length] of the trace, newest first; voices: float32[trace_length], gains over norms.

    excited: float32[items], what the trace's synapses come to; between two events 0 in the bounded layout. touched:
    int32[items + 1], rows of those that are not 0. bits: int32[1], a float32 as an integer.
    """

    gains: NDArray[np.float64]
    voices: NDArray[np.float32]
    excited: NDArray[np.float32]
    touched: NDArray[np.int32]
    bits: NDArray[np.int32]


class Candidates(NamedTuple):
    """Among what `target` ranks: the items below `known` without `had`, int32 rows, in which the target is not."""

    known: int
    target: int
    had: NDArray[np.int32]
    ties_against: bool


@numba.njit(cache=True)
def refresh(neurons: Neurons, item: int, rule: Rule) -> None:
    """Bring the caches of one neuron up to its activity."""
    activity = neurons.activity[item]
    alive = activity > _NOTHING
    neurons.level[item] = activity**rule.synapse_power if alive else 0.0
    neurons.source_norm[item] = activity**-rule.source_power if alive else 0.0
    neurons.target_norm[item] = activity**-rule.target_power if alive else 0.0


@numba.njit(cache=True)
def trace_gains(
    times_ms: NDArray[np.int64], end: int, time_ms: int, rule: Rule, gains: NDArray[np.float64]
) -> None:
    """Gain of each item of the trace, newest first: gains[k] for the item at place end - 1 - k."""
    recency = 1.0
    for k in range(len(gains)):
        gap_ms = max(time_ms - times_ms[end - 1 - k], 0)
        gains[k] = recency * (1.0 + gap_ms / rule.gap_scale_ms) ** -rule.gap_exponent
        recency *= rule.step_decay


@numba.njit(cache=True)
def _voices(trace: NDArray[np.int32], neurons: Neurons, scratch: Scratch) -> NDArray[np.float32]:
    for k in range(len(trace)):
        scratch.voices[k] = np.float32(scratch.gains[k] * neurons.source_norm[trace[k]])
    return scratch.voices[: len(trace)]


@numba.njit(cache=True)
def _units(neurons: Neurons, rule: Rule) -> tuple[np.float32, np.float32]:
    """What all items' scores have in common: the factor of what is excited, and of the level."""
    total = neurons.total[0]
    if total > _NOTHING:
        return (
            np.float32(total ** (rule.source_power + rule.target_power - rule.synapse_power)),
            np.float32(rule.popularity_weight * total**-rule.synapse_power),
        )
    return np.float32(0.0), np.float32(0.0)


@numba.njit(cache=True)
def _score(
    excited: np.float32, norm: np.float32, level: np.float32, units: tuple[np.float32, np.float32]
) -> np.float32:
    """The one place where a score is made of its parts: its rounding is that of all."""
    return excited * norm * units[0] + level * units[1]


@numba.njit(cache=True)
def score_all(
    trace: NDArray[np.int32],
    known: int,
    synapses: Synapses,
    neurons: Neurons,
    rule: Rule,
    scratch: Scratch,
    out: NDArray[np.float32],
) -> None:
    """Score every known item into out[:known], 0 before; trace: int32[n], newest first, whose gains are in scratch."""
    voices, root = _voices(trace, neurons, scratch), rule.synapse_power < 1.0
    if len(synapses.post) == 0:
        spread_direct(synapses, trace, voices, known, root, out)
    else:
        spread_bounded(synapses, trace, voices, root, out, scratch.touched)
    units = _units(neurons, rule)
    for item in range(known):
        out[item] = _score(out[item], neurons.target_norm[item], neurons.level[item], units)


@numba.njit(cache=True)
def _reaches(
    level: np.float32, units: tuple[np.float32, np.float32], own: np.float32, ties_against: bool
) -> bool:
    """Whether an untouched item of this level counts against a target that scores `own`."""
    score = _score(np.float32(0.0), np.float32(0.0), level, units)
    return bool(score >= own) if ties_against else bool(score > own)


@numba.njit(cache=True)
def _least_level(
    units: tuple[np.float32, np.float32],
    own: np.float32,
    highest: float,
    ties_against: bool,
    bits: NDArray[np.int32],
) -> np.float32:
    """The smallest level that `_reaches` own; infinite where none up to `highest`, the total's, does.

    Rounded products never fall when a factor grows, so it is searched among the numbers themselves, by their bits.
    """
    level = bits.view(np.float32)
    level[0] = 2.0 * highest  # above all levels, however they were rounded
    if not _reaches(level[0], units, own, ties_against):
        return np.float32(np.inf)
    low, high = 0, int(bits[0])
    while low < high:
        bits[0] = (low + high) // 2
        if _reaches(level[0], units, own, ties_against):
            high = (low + high) // 2
        else:
            low = (low + high) // 2 + 1
    bits[0] = low
    return np.float32(level[0])


@numba.njit(cache=True)
def rank_direct(
    trace: NDArray[np.int32],
    candidates: Candidates,
    synapses: Synapses,
    neurons: Neurons,
    rule: Rule,
    scratch: Scratch,
) -> int:
    """Rank of the target: 1 + the candidates that score at least as high, or higher where ties are in favour."""
    known, target, had, ties_against = candidates
    excited, norm, level = scratch.excited, neurons.target_norm, neurons.level
    root = rule.synapse_power < 1.0
    spread_direct(synapses, trace, _voices(trace, neurons, scratch), known, root, excited)
    units = _units(neurons, rule)
    own = _score(excited[target], norm[target], level[target], units)
    # Counted in 32 bits, as wide as the scores: twice the items a step.
    above = np.int32(0)
    if ties_against:  # which counts the target: the 1 of the rank
        for item in range(known):
            score = _score(excited[item], norm[item], level[item], units)
            above = np.int32(above + np.int32(score >= own))
        for item in had:
            above -= _score(excited[item], norm[item], level[item], units) >= own
        return int(above)
    for item in range(known):
        score = _score(excited[item], norm[item], level[item], units)
        above = np.int32(above + np.int32(score > own))
    for item in had:
        above -= _score(excited[item], norm[item], level[item], units) > own
    return int(above) + 1


@numba.njit(cache=True)
def rank_bounded(
    trace: NDArray[np.int32],
    candidates: Candidates,
    synapses: Synapses,
    neurons: Neurons,
    order: ActivityOrder,
    rule: Rule,
    scratch: Scratch,
) -> int:
    """`rank_direct` in the bounded layout; order: the levels of all known items."""
    _, target, had, ties_against = candidates
    excited, norm, level = scratch.excited, neurons.target_norm, neurons.level
    voices, root = _voices(trace, neurons, scratch), rule.synapse_power < 1.0
    touched = scratch.touched[: spread_bounded(synapses, trace, voices, root, excited, scratch.touched)]
    units = _units(neurons, rule)
    own = _score(excited[target], norm[target], level[target], units)
    highest = neurons.total[0] ** rule.synapse_power
    least = _least_level(units, own, highest, ties_against, scratch.bits)
    # As if none were touched; then those that are, by what they score and no longer by their level.
    above = count_from(order, least)
    if ties_against:
        for item in touched:
            score = _score(excited[item], norm[item], level[item], units)
            above += int(score >= own) - int(level[item] >= least)
        for item in had:
            above -= int(_score(excited[item], norm[item], level[item], units) >= own)
    else:
        for item in touched:
            score = _score(excited[item], norm[item], level[item], units)
            above += int(score > own) - int(level[item] >= least)
        for item in had:
            above -= int(_score(excited[item], norm[item], level[item], units) > own)
    for item in touched:
        excited[item] = 0
    return above + int(not ties_against)
