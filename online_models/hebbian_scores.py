"""How item-item synapses score the items, and where an event's item ranks among them; formulas in `hebbian`.

In the direct layout a rank is one pass over all items, which charges the potentials on its way. In the bounded one it
costs as much as there are items that the trace's synapses touched: any other scores popularity_weight * (a(c) / A)^r,
rounded in the same way for all, so how many of them are as high as the target is asked of the order of activities.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.activity_order import ActivityOrder, count_from
from online_models.hebbian_potentials import Asker, Potentials, attend, charge, recall, recall_bounded
from online_models.hebbian_rule import NOTHING, Neurons, Rule, fade
from online_models.interactions import Histories
from online_models.synapses import Synapses

Units = tuple[np.float32, np.float32]


class Candidates(NamedTuple):
    """Among what `target` ranks: the items below `known` without `had`, int32 rows, in which the target is not."""

    known: int
    target: int
    had: NDArray[np.int32]
    ties_against: bool


@numba.njit(cache=True)
def units(total: float, left: float, rule: Rule) -> Units:
    """What all items' scores have in common: the factor of values of which `left` is left, and of levels.

    total: sum of all activities.
    """
    if total > NOTHING:
        return (
            np.float32(left * total ** (rule.source_power + rule.target_power - rule.synapse_power)),
            np.float32(rule.popularity_weight * total**-rule.synapse_power),
        )
    return np.float32(0.0), np.float32(0.0)


@numba.njit(cache=True)
def _score(value: np.float32, norm: np.float32, level: np.float32, units: Units) -> np.float32:
    """The one place where a score is made of its parts: its rounding is that of all."""
    return value * norm * units[0] + level * units[1]


@numba.njit(cache=True)
def score_all(
    potentials: Potentials,
    asker: Asker,
    time_ms: int,
    histories: Histories,
    synapses: Synapses,
    neurons: Neurons,
    rule: Rule,
    out: NDArray[np.float32],
) -> None:
    """Score every known item at `time_ms` into out[:known], 0 before; changes the potentials, those of a slot apart."""
    left, known = 0.0, asker.known
    if asker.seen > 0:
        newest, leak = asker.end - 1, 1.0
        item = histories.items[newest]
        left = fade(time_ms - histories.times_ms[newest], rule)
        if len(synapses.post) > 0:
            touched = np.empty(known + 1, np.int32)
            recall_bounded(out, touched, asker, histories, synapses, neurons.source_norm, rule)
        else:
            if asker.seen > 1:
                leak = rule.step_decay * fade(
                    histories.times_ms[newest] - histories.times_ms[newest - 1], rule
                )
            slot, anew = attend(potentials, asker.user, leak, rule)
            value = potentials.value[slot]
            if anew:
                recall(value, asker, histories, synapses, neurons.source_norm, rule)
            gain = np.float32(neurons.source_norm[item] / potentials.left[slot])
            charge(value, synapses.weight[item], gain, known, rule.synapse_power < 1.0)
            out[:known] = value[:known]
            left *= potentials.left[slot]
    parts = units(neurons.total[0], left, rule)
    for item in range(known):
        out[item] = _score(out[item], neurons.target_norm[item], neurons.level[item], parts)


@numba.njit(cache=True)
def rank_direct(
    value: NDArray[np.float32],
    row: NDArray[np.float32],
    gain: np.float32,
    root: bool,
    candidates: Candidates,
    neurons: Neurons,
    units: Units,
) -> int:
    """Rank of the target: 1 + the candidates that score at least as high, or higher where ties are in favour.

    Charges value[:known] on the way; see `charge`.
    """
    known, target, had, ties_against = candidates
    norm, level = neurons.target_norm, neurons.level
    charge(value, row, gain, known, root)
    own = _score(value[target], norm[target], level[target], units)
    # Counted in 32 bits, as wide as the scores: twice the items a step.
    above = np.int32(0)
    if ties_against:  # which counts the target: the 1 of the rank
        for item in range(known):
            above = np.int32(above + np.int32(_score(value[item], norm[item], level[item], units) >= own))
        for item in had:
            above -= _score(value[item], norm[item], level[item], units) >= own
        return int(above)
    for item in range(known):
        above = np.int32(above + np.int32(_score(value[item], norm[item], level[item], units) > own))
    for item in had:
        above -= _score(value[item], norm[item], level[item], units) > own
    return int(above) + 1


@numba.njit(cache=True)
def _reaches(level: np.float32, units: Units, own: np.float32, ties_against: bool) -> bool:
    """Whether an untouched item of this level counts against a target that scores `own`."""
    score = _score(np.float32(0.0), np.float32(0.0), level, units)
    return bool(score >= own) if ties_against else bool(score > own)


@numba.njit(cache=True)
def _least_level(
    units: Units, own: np.float32, highest: float, ties_against: bool, bits: NDArray[np.int32]
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
def rank_bounded(
    value: NDArray[np.float32],
    touched: NDArray[np.int32],
    candidates: Candidates,
    neurons: Neurons,
    order: ActivityOrder,
    units: Units,
    highest: float,
    bits: NDArray[np.int32],
) -> int:
    """`rank_direct` in the bounded layout, of values that are charged already.

    touched: int32 rows, those where value is not 0; it is 0 after. order: the levels of all known items.
    highest: the total's level. bits: int32[1], scratch.
    """
    _, target, had, ties_against = candidates
    norm, level = neurons.target_norm, neurons.level
    own = _score(value[target], norm[target], level[target], units)
    least = _least_level(units, own, highest, ties_against, bits)
    # As if none were touched; then those that are, by what they score and no longer by their level.
    above = count_from(order, least)
    if ties_against:
        for item in touched:
            score = _score(value[item], norm[item], level[item], units)
            above += int(score >= own) - int(level[item] >= least)
        for item in had:
            above -= int(_score(value[item], norm[item], level[item], units) >= own)
    else:
        for item in touched:
            score = _score(value[item], norm[item], level[item], units)
            above += int(score > own) - int(level[item] >= least)
        for item in had:
            above -= int(_score(value[item], norm[item], level[item], units) > own)
    for item in touched:
        value[item] = 0
    return above + int(not ties_against)
