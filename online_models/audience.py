"""Audiences: who had an item last, and how much it was had; the item side of `user_hebbian`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
NOTHING = 1e-30  # what is below is forgotten: its inverse powers would overflow


class Rule(NamedTuple):
    """`user_hebbian.UserHebbianConfig` for the kernels; half_life in ticks, own_half_life in events of the user."""

    recent_items: int
    step_decay: float
    reverse: float
    source_power: float
    target_power: float
    popularity_weight: float
    own_half_life: float
    half_life: float


class Items(NamedTuple):
    """audience: int32[items, R], a ring of users; met: int64[items], how many were ever put into it.

    activity: float64[items], forward scale; total: float64[1], its sum; base: int64[1], tick of the scale.
    Read-side caches, float32[items]: level = activity, norm = activity^-q (0 without activity).
    """

    audience: NDArray[np.int32]
    met: NDArray[np.int64]
    activity: NDArray[np.float64]
    total: NDArray[np.float64]
    base: NDArray[np.int64]
    level: NDArray[np.float32]
    norm: NDArray[np.float32]


@numba.njit(cache=True)
def refresh(items: Items, item: int, rule: Rule) -> None:
    """Bring the caches of one item up to its activity."""
    activity = items.activity[item]
    alive = activity > NOTHING
    items.level[item] = activity if alive else 0.0
    items.norm[item] = activity**-rule.target_power if alive else 0.0


@numba.njit(cache=True)
def event_unit(items: Items, known: int, tick: int, now: int, rule: Rule) -> float:
    """What an event at `tick` adds to an activity; moves the scale's base to `now` when it is due."""
    if (now - items.base[0]) / rule.half_life > _REBASE_AFTER:
        factor = np.exp2(-((now - items.base[0]) / rule.half_life))
        items.total[0] *= factor
        items.base[0] = now
        for item in range(known):
            items.activity[item] *= factor
            refresh(items, item, rule)
    return float(np.exp2((tick - items.base[0]) / rule.half_life))


@numba.njit(cache=True)
def keep_audience(items: Items, row_of: NDArray[np.int32]) -> None:
    """Give the users of every ring their new rows; those whose row_of is -1 leave it."""
    size = items.audience.shape[1]
    for item in range(len(items.met)):
        there = min(items.met[item], size)
        ring = np.zeros(size, np.int32)
        taken = 0
        for k in range(there):
            row = row_of[items.audience[item, (items.met[item] - there + k) % size]]
            if row >= 0:
                ring[taken] = row
                taken += 1
        items.audience[item] = ring
        items.met[item] = taken
