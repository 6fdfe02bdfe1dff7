"""Membrane potentials: what a user's trace excites, kept between the user's events as a leaky integrator.

A user has one potential a candidate c. Each item y that the user takes charges it with y's synapses, and from one item
to the next it leaks by a step and by the time between them:

    v(c) <- step_decay * fade(gap) * v(c) + w(y, c) / a(y)^p,        fade(gap) = (1 + gap / gap_scale_s)^(-gap_exponent)

so an event costs one row of synapses, however long the trace. An item charges at the first event after its own, with
the synapses of that moment; what these learn later, from others, it misses until the user is integrated anew.

Only the users of the last few events have potentials, in a fixed number of slots. A user is integrated anew from the
last `recall_length` items, with the synapses of the moment: when the slot was another's, after `recall_every` charges,
and when less than `LEAST` is left of what was there then.

The leak is a factor beside the values, so that a charge touches only what has synapses. In the bounded layout the items
that were touched are listed, for the rank to look at these alone.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.hebbian_rule import NOTHING, Rule, fade
from online_models.ids import widened
from online_models.interactions import Histories
from online_models.synapses import Synapses, spread_bounded, spread_direct, spread_row

NOBODY = -1
LEAST = 2.0**-30


class Potentials(NamedTuple):
    """Slots of users; a potential is value * left, on the synapses' forward scale to the power 1 - p.

    value: float32[slots, items]; left: float64[slots]; owner: int32[slots] user rows; charges: int32[slots], since the
    user was integrated; used: int64[slots], number of the last use; uses: int64[1], of all.
    touched: int32[slots, items + 1], items whose value is not 0, each once; touches: int32[slots], how many; in the
    direct layout neither is kept, and touched is int32[slots, 0].
    """

    value: NDArray[np.float32]
    left: NDArray[np.float64]
    owner: NDArray[np.int32]
    charges: NDArray[np.int32]
    used: NDArray[np.int64]
    uses: NDArray[np.int64]
    touched: NDArray[np.int32]
    touches: NDArray[np.int32]


class Asker(NamedTuple):
    """Whose potentials: the user's row, the place behind the `seen` items in the histories, and the items known."""

    user: int
    end: int
    seen: int
    known: int


def free_slots(slots: int, items: int, *, direct: bool) -> Potentials:
    """Potentials of nobody yet, with room for `items`."""
    return Potentials(
        value=np.zeros((slots, items), np.float32),
        left=np.ones(slots, np.float64),
        owner=np.full(slots, NOBODY, np.int32),
        charges=np.zeros(slots, np.int32),
        used=np.zeros(slots, np.int64),
        uses=np.zeros(1, np.int64),
        touched=np.zeros((slots, 0 if direct else items + 1), np.int32),
        touches=np.zeros(slots, np.int32),
    )


def with_room(potentials: Potentials, items: int, *, direct: bool) -> Potentials:
    """Return the same potentials with room for `items`, and with lists where the layout is not direct."""
    had_lists = potentials.touched.shape[1] > 0
    value = widened(potentials.value, items)
    if direct:
        return potentials._replace(value=value)
    touched = potentials.touched
    if touched.shape[1] <= value.shape[1]:
        touched = np.zeros((len(value), value.shape[1] + 1), np.int32)
        touched[:, : potentials.touched.shape[1]] = potentials.touched
    roomy = potentials._replace(value=value, touched=touched)
    if not had_lists:
        list_touched(roomy)
    return roomy


@numba.njit(cache=True)
def list_touched(potentials: Potentials) -> None:
    """Make the lists of a bounded layout say what is not 0."""
    for slot in range(len(potentials.value)):
        value, touched, count = potentials.value[slot], potentials.touched[slot], 0
        for item in range(len(value)):
            touched[count] = item
            count += value[item] != 0
        potentials.touches[slot] = count


def vacate(potentials: Potentials, slots: NDArray[np.bool_]) -> None:
    """Free the slots of a mask."""
    potentials.value[slots] = 0
    potentials.left[slots] = 1
    potentials.owner[slots] = NOBODY
    for column in (potentials.charges, potentials.used, potentials.touches):
        column[slots] = 0


def slot_apart(potentials: Potentials, user: int) -> Potentials:
    """Return one slot to change: a copy of the user's, or a free one."""
    found = np.flatnonzero(potentials.owner == user)
    if not len(found):
        return free_slots(1, potentials.value.shape[1], direct=potentials.touched.shape[1] == 0)
    slot = slice(found[0], found[0] + 1)
    return Potentials(*(column.copy() if len(column) == 1 else column[slot].copy() for column in potentials))


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
def recall(
    potentials: Potentials,
    slot: int,
    asker: Asker,
    histories: Histories,
    synapses: Synapses,
    source_norm: NDArray[np.float32],
    rule: Rule,
) -> None:
    """Integrate anew all but the newest item, as they count when that one charges."""
    newest, length = asker.end - 1, min(asker.seen, rule.recall_length) - 1
    pres = histories.items[newest - length : newest][::-1]
    gains = np.empty(length, np.float32)
    gain = 1.0
    for k in range(length):
        place = newest - 1 - k
        gain *= rule.step_decay * fade(histories.times_ms[place + 1] - histories.times_ms[place], rule)
        gains[k] = gain * source_norm[pres[k]]
    value = potentials.value[slot]
    if len(synapses.post) == 0:
        spread_direct(synapses, pres, gains, asker.known, value)
        return
    touched = potentials.touched[slot]
    for item in touched[: potentials.touches[slot]]:
        value[item] = 0
    potentials.touches[slot] = spread_bounded(synapses, pres, gains, value, touched)


@numba.njit(cache=True)
def charge(
    potentials: Potentials, slot: int, item: int, gain: np.float32, known: int, synapses: Synapses
) -> None:
    """Add the row of `item`, times `gain`, to the values of a slot."""
    value, row = potentials.value[slot], synapses.weight[item]
    if len(synapses.post) == 0:
        for post in range(known):
            value[post] += gain * row[post]
        return
    posts = synapses.post[item][: synapses.used[item]]
    touched, touches = potentials.touched[slot], potentials.touches[slot]
    potentials.touches[slot] = spread_row(row, posts, gain, value, touched, touches)


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
    if potentials.touched.shape[1] > 0:
        list_touched(potentials)
