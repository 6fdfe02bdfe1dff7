"""Membrane potentials: what a user's trace excites, kept between the user's events as a leaky integrator.

A user has one potential a candidate c. Each item y that the user takes charges it with y's synapses, and from one item
to the next it leaks by a step and by the time between them:

    v(c) <- step_decay * fade(gap) * v(c) + w(y, c)^r / a(y)^p,      fade(gap) = (1 + gap / gap_scale_s)^(-gap_exponent)

so an event costs one row of synapses, however long the trace. An item charges at the first event after its own, with
the synapses of that moment; what these learn later, from others, it misses until the user is integrated anew.

Only the users of the last few events have potentials, in a fixed number of slots. A user is integrated anew from the
last `recall_length` items, with the synapses of the moment: when the slot was another's, after `recall_every` charges,
and when less than `LEAST` is left of what was there then.

The leak is a factor beside the values, so that a charge only adds. In the bounded layout there are no slots: every user
is integrated anew at every event, which touches few of many items, in the caches; values of 64 users would not be.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.hebbian_rule import NOTHING, Rule, fade
from online_models.interactions import Histories
from online_models.spreading_activation import spread_bounded, spread_direct, spread_row
from online_models.synapses import Synapses

NOBODY = -1
LEAST = 2.0**-30


class Potentials(NamedTuple):
    """Slots of users; a potential is value * left, on the synapses' forward scale to the power r - p.

    value: float32[slots, items]; left: float64[slots]; owner: int32[slots] user rows; charges: int32[slots], since the
    user was integrated; used: int64[slots], number of the last use; uses: int64[1], of all.
    """

    value: NDArray[np.float32]
    left: NDArray[np.float64]
    owner: NDArray[np.int32]
    charges: NDArray[np.int32]
    used: NDArray[np.int64]
    uses: NDArray[np.int64]


class Asker(NamedTuple):
    """Whose potentials: the user's row, the place behind the `seen` items in the histories, and the items known."""

    user: int
    end: int
    seen: int
    known: int


def free_slots(slots: int, items: int) -> Potentials:
    """Potentials of nobody yet, with room for `items`."""
    return Potentials(
        value=np.zeros((slots, items), np.float32),
        left=np.ones(slots, np.float64),
        owner=np.full(slots, NOBODY, np.int32),
        charges=np.zeros(slots, np.int32),
        used=np.zeros(slots, np.int64),
        uses=np.zeros(1, np.int64),
    )


def vacate(potentials: Potentials, slots: NDArray[np.bool_]) -> None:
    """Free the slots of a mask."""
    potentials.value[slots] = 0
    potentials.left[slots] = 1
    potentials.owner[slots] = NOBODY
    for column in (potentials.charges, potentials.used):
        column[slots] = 0


def slot_apart(potentials: Potentials, user: int) -> Potentials:
    """Return one slot to change: a copy of the user's, or a free one."""
    found = np.flatnonzero(potentials.owner == user)
    if not len(found):
        return free_slots(1, potentials.value.shape[1])
    slot = slice(found[0], found[0] + 1)
    return Potentials._make(
        column.copy() if len(column) == 1 else column[slot].copy() for column in potentials
    )


@numba.njit(cache=True)
def _slot_for(owner: NDArray[np.int32], used: NDArray[np.int64], user: int) -> int:
    """Slot of `user`, or else the one that was not used for longest."""
    found, slots = 0, len(owner)
    while found < slots and owner[found] != user:
        found += 1
    if found == slots:
        found = 0
        for slot in range(1, slots):
            if used[slot] < used[found]:
                found = slot
    return found


@numba.njit(cache=True)
def attend(potentials: Potentials, user: int, leak: float, rule: Rule) -> tuple[int, bool]:
    """Let the potentials of `user` leak; returns (slot, whether they must be integrated anew).

    leak: what is left at the user's newest item of what was at the one before. Then that item is to charge, after
    `recall` where it must be.
    """
    slot = _slot_for(potentials.owner, potentials.used, user)
    potentials.uses[0] += 1
    potentials.used[slot] = potentials.uses[0]
    left = potentials.left[slot] * leak
    anew = potentials.owner[slot] != user or potentials.charges[slot] >= rule.recall_every or left < LEAST
    if anew:
        potentials.owner[slot] = user
        potentials.charges[slot] = 0
        left = 1.0
    potentials.left[slot] = left
    potentials.charges[slot] += 1
    return slot, anew


@numba.njit(cache=True)
def _gains(
    asker: Asker, histories: Histories, source_norm: NDArray[np.float32], rule: Rule
) -> NDArray[np.float32]:
    """Factors of the rows of all recalled items but the newest, newest first, as of the newest: float32[n]."""
    newest = asker.end - 1
    gains = np.empty(min(asker.seen, rule.recall_length) - 1, np.float32)
    gain = 1.0
    for k in range(len(gains)):
        place = newest - 1 - k
        gain *= rule.step_decay * fade(histories.times_ms[place + 1] - histories.times_ms[place], rule)
        gains[k] = gain * source_norm[histories.items[place]]
    return gains


@numba.njit(cache=True)
def recall(
    value: NDArray[np.float32],
    asker: Asker,
    histories: Histories,
    synapses: Synapses,
    source_norm: NDArray[np.float32],
    rule: Rule,
) -> None:
    """Integrate all but the newest item anew into value[:known], in the direct layout."""
    gains, newest = _gains(asker, histories, source_norm, rule), asker.end - 1
    pres = histories.items[newest - len(gains) : newest][::-1]
    spread_direct(synapses, pres, gains, asker.known, rule.synapse_power < 1.0, value)


@numba.njit(cache=True)
def recall_bounded(
    value: NDArray[np.float32],
    touched: NDArray[np.int32],
    asker: Asker,
    histories: Histories,
    synapses: Synapses,
    source_norm: NDArray[np.float32],
    rule: Rule,
) -> int:
    """Integrate all items, in the bounded layout, into `value`, float32[items], 0 before.

    touched: int32[items + 1], filled with the items where it is not 0 any more, each once. Returns how many they are.
    """
    gains, newest = _gains(asker, histories, source_norm, rule), asker.end - 1
    pres = histories.items[newest - len(gains) : newest][::-1]
    root = rule.synapse_power < 1.0
    count = spread_bounded(synapses, pres, gains, root, value, touched)
    item = histories.items[newest]
    posts = synapses.post[item][: synapses.used[item]]
    return spread_row(synapses.weight[item], posts, source_norm[item], root, value, touched, count)


@numba.njit(cache=True)
def charge(
    value: NDArray[np.float32], row: NDArray[np.float32], gain: np.float32, known: int, root: bool
) -> None:
    """value[:known] += gain * row, in the direct layout; root: of the square roots of the row."""
    if root:
        for post in range(known):
            value[post] += gain * np.sqrt(row[post])
        return
    for post in range(known):
        value[post] += gain * row[post]


@numba.njit(cache=True)
def rescale_potentials(potentials: Potentials, factor: float) -> None:
    """Multiply all values by `factor`, at a rebase; what is as good as nothing is gone."""
    small, least = np.float32(factor), np.float32(NOTHING)
    for slot in range(len(potentials.value)):
        value = potentials.value[slot]
        for item in range(len(value)):
            faded = value[item] * small
            # Subnormal numbers would slow every later read down a hundredfold.
            value[item] = faded if faded > least else np.float32(0.0)
