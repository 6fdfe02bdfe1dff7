"""Membrane potentials of users: leaky integrators that each new item charges with its row of synapses.

A user has one potential a candidate c and kind of synapse m. At an event with item x, a gap after the user's last,

    v_m(c) <- leak_m * (1 + gap / gap_scale_s)^(-gap_exponent_m) * v_m(c) + row_m(x, c)

which is a sum over the user's whole history with weights that fall by steps and by gaps, for the price of one row an
event instead of one row an item of the history. The rows of an item x with r_m(x) the sum of its synapses, pi(c) =
a(c) / A the share of activity:

    SHORT, LONG   w_m(x, c) / r_m(x)^(1/2)
    LIFT          ln(1 + w_short(x, c) / (lift_prior * pi(c)))
    CORRECTION    the error-corrective synapses v(x, c)

Only the users of the last few events have potentials, in a fixed number of slots; whoever comes back when the slot is
another's is integrated anew from the last `recall_length` items.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import Histories, wide
from online_models.polynomials import FUSED, natural_log
from online_models.synapses import Synapses

SHORT, LONG, LIFT, CORRECTION = range(4)
KINDS = 4
NOBODY = -1
PRIOR_COUNT = 0.1  # events that an item is believed to have had before the first
_NOTHING = 1e-30


class Leaks(NamedTuple):
    """How potentials fall: leak, gap_exponent: float64[KINDS]; gap_scale_ms; lift_prior; recall_length, in items."""

    leak: NDArray[np.float64]
    gap_exponent: NDArray[np.float64]
    gap_scale_ms: float
    lift_prior: float
    recall_length: int


class Potentials(NamedTuple):
    """value: float32[slots, KINDS, items]; owner: int32[slots] user rows; used: int64[slots], event of the last use.

    SHORT and LONG are on the square root of the synapses' forward scale.
    """

    value: NDArray[np.float32]
    owner: NDArray[np.int32]
    used: NDArray[np.int64]


class Neurons(NamedTuple):
    """Synapses between items, and what norms them; all but `correction` on one forward scale.

    activity: float32[items]; short_sum, long_sum: float32[items], sums of the rows. total: float64[1], sum of
    activity; base: int64[1], tick of the scale.
    """

    short: Synapses
    long: Synapses
    correction: Synapses
    activity: NDArray[np.float32]
    short_sum: NDArray[np.float32]
    long_sum: NDArray[np.float32]
    total: NDArray[np.float64]
    base: NDArray[np.int64]


def no_potentials(slots: int) -> Potentials:
    """All slots free."""
    return Potentials(
        value=np.zeros((slots, KINDS, 256), np.float32),
        owner=np.full(slots, NOBODY, np.int32),
        used=np.zeros(slots, np.int64),
    )


@numba.njit(cache=True)
def slot_of(potentials: Potentials, user: int) -> int:
    """Slot of `user`, or NOBODY."""
    found = NOBODY
    for slot in range(len(potentials.owner)):
        if potentials.owner[slot] == user:
            found = slot
    return found


@numba.njit(cache=True, error_model="numpy")  # a check for division by zero would keep loops from vectors
def rarities(neurons: Neurons, unit: float, known: int, out: NDArray[np.float32]) -> None:
    """out[:known] = 1 / (a(c) + PRIOR_COUNT), a on the forward scale of which `unit` is one event."""
    activity, prior, one = neurons.activity, np.float32(PRIOR_COUNT * unit), np.float32(1.0)
    for item in range(known):
        out[item] = one / (activity[item] + prior)


@numba.njit(cache=True)
def fade(leaks: Leaks, gap_ms: int, out: NDArray[np.float64]) -> None:
    """out[KINDS]: what the gap leaves of each potential."""
    gap = np.log1p(max(gap_ms, 0) / leaks.gap_scale_ms)
    for kind in range(KINDS):
        out[kind] = np.exp(-leaks.gap_exponent[kind] * gap)


@numba.njit(cache=True, fastmath=FUSED)
def _leak_and_add(
    synapses: Synapses, pre: int, gain: float, left: float, known: int, row: NDArray[np.float32]
) -> None:
    """Let `row` be left * row + gain * w(pre, .) over [:known]."""
    kept, scale = np.float32(left), np.float32(gain)
    if len(synapses.post) == 0:
        weight = synapses.weight[pre]
        for post in range(known):
            row[post] = row[post] * kept + weight[post] * scale
    else:
        for post in range(known):
            row[post] *= kept
        posts, weight = synapses.post[pre], synapses.weight[pre]
        for place in range(synapses.used[pre]):
            row[posts[place]] += weight[place] * scale


@numba.njit(cache=True, fastmath=FUSED)
def _leak_and_lift(
    synapses: Synapses,
    pre: int,
    scale: np.float32,
    left: float,
    known: int,
    rarity: NDArray[np.float32],
    row: NDArray[np.float32],
) -> None:
    """Let `row` be left * row + ln(1 + scale * w(pre, .) * rarity) over [:known]."""
    kept, one = np.float32(left), np.float32(1.0)
    weight = synapses.weight[pre]
    if len(synapses.post) == 0:
        for post in range(known):
            row[post] = row[post] * kept + natural_log(one + weight[post] * scale * rarity[post])
    else:
        for post in range(known):
            row[post] *= kept
        posts = synapses.post[pre]
        for place in range(synapses.used[pre]):
            row[posts[place]] += natural_log(one + weight[place] * scale * rarity[posts[place]])


@numba.njit(cache=True)
def charge(
    value: NDArray[np.float32],
    item: int,
    faded: NDArray[np.float64],
    known: int,
    neurons: Neurons,
    leaks: Leaks,
    unit: float,
    rarity: NDArray[np.float32],
) -> None:
    """Let the potentials `value`, float32[KINDS, items], leak, and charge them with the rows of `item`.

    faded: see `fade`; unit, rarity: see `rarities`.
    """
    short_norm = neurons.short_sum[item] ** -0.5 if neurons.short_sum[item] > _NOTHING else 0.0
    long_norm = neurons.long_sum[item] ** -0.5 if neurons.long_sum[item] > _NOTHING else 0.0
    left = leaks.leak * faded
    _leak_and_add(neurons.short, item, short_norm, left[SHORT], known, value[SHORT])
    _leak_and_add(neurons.long, item, long_norm, left[LONG], known, value[LONG])
    scale = np.float32(neurons.total[0] / (unit * leaks.lift_prior))
    _leak_and_lift(neurons.short, item, scale, left[LIFT], known, rarity, value[LIFT])
    _leak_and_add(neurons.correction, item, 1.0, left[CORRECTION], known, value[CORRECTION])


@numba.njit(cache=True)
def recall(
    value: NDArray[np.float32],
    histories: Histories,
    end: int,
    seen: int,
    known: int,
    neurons: Neurons,
    leaks: Leaks,
    unit: float,
    rarity: NDArray[np.float32],
) -> None:
    """Integrate anew the user whose history ends before place `end` and has `seen` items; see `charge`."""
    value[:, :known] = 0.0
    faded = np.ones(KINDS)
    first = end - min(seen, leaks.recall_length)
    for place in range(first, end):
        if place > first:
            fade(leaks, histories.times_ms[place] - histories.times_ms[place - 1], faded)
        charge(value, wide(histories.items[place]), faded, known, neurons, leaks, unit, rarity)


@numba.njit(cache=True)
def claim(potentials: Potentials, user: int) -> int:
    """Give `user` the slot that was not used for longest."""
    slot = int(np.argmin(potentials.used))
    potentials.owner[slot] = user
    return slot
