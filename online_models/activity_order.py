"""How many items are at least as active as a given level: an exact count over a multiset of float32 levels.

The scores of items that no synapse speaks for are in the order of their activity, so their share of a rank is a
question to this structure. On a forward scale one level changes an event; fading changes none of them.

Levels stand in ascending order in blocks of at most `SIZE` places, each at most half full after `fill`. A level
comes or goes within its block; when a block is full, all levels are spread out anew, which `SIZE / 2` arrivals at
least have paid for. A count reads the blocks' sizes, and one block.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SIZE = 512  # places in a block
_FILL = SIZE // 2


class ActivityOrder(NamedTuple):
    """level: float32[blocks, SIZE], finite and not negative, ascending in a block; size: int32[blocks], places taken.

    floor: float32[blocks], ascending, -1 for the first: floor[b] <= levels of block b <= floor[b + 1].
    """

    level: NDArray[np.float32]
    size: NDArray[np.int32]
    floor: NDArray[np.float32]


def no_order(levels: int) -> ActivityOrder:
    """Return an order without levels, with room for `levels` of them."""
    blocks = levels // _FILL + 2
    order = ActivityOrder(
        np.zeros((blocks, SIZE), np.float32), np.zeros(blocks, np.int32), np.full(blocks, np.inf, np.float32)
    )
    order.floor[0] = -1
    return order


def with_room(order: ActivityOrder, levels: int) -> ActivityOrder:
    """Return an order of the same levels with room for `levels` of them, at least doubled when it grows."""
    if levels // _FILL + 2 <= len(order.size):
        return order
    larger = no_order(max(levels, 2 * _FILL * len(order.size)))
    fill(larger, _gathered(order))
    return larger


@numba.njit(cache=True)
def fill(order: ActivityOrder, ascending: NDArray[np.float32]) -> None:
    """Make `order` that of the levels `ascending` (float32[n], sorted; n as there is room for)."""
    n = len(ascending)
    for block in range(len(order.size)):
        first = min(block * _FILL, n)
        last = min(first + _FILL, n)
        order.level[block, : last - first] = ascending[first:last]
        order.size[block] = last - first
        order.floor[block] = ascending[first] if first < n else np.float32(np.inf)
    order.floor[0] = -1


@numba.njit(cache=True)
def _gathered(order: ActivityOrder) -> NDArray[np.float32]:
    """All levels, ascending."""
    out = np.empty(order.size.sum(), np.float32)
    at = 0
    for block in range(len(order.size)):
        size = order.size[block]
        out[at : at + size] = order.level[block, :size]
        at += size
    return out


@numba.njit(cache=True)
def _below(ascending: NDArray[np.float32], level: np.float32) -> int:
    """How many of them are below `level`."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < level:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True)
def count_from(order: ActivityOrder, level: np.float32) -> int:
    """How many levels are >= `level` (not negative)."""
    behind = _below(order.floor, level)  # 1 at least; the last block of these may hold some as high
    size = order.size[behind - 1]
    count = size - _below(order.level[behind - 1, :size], level)
    for block in range(behind, len(order.size)):
        count += order.size[block]
    return int(count)


@numba.njit(cache=True)
def insert(order: ActivityOrder, level: np.float32) -> None:
    """Take `level` in."""
    block = _below(order.floor, level) - 1
    if order.size[block] == SIZE:
        fill(order, _gathered(order))
        block = _below(order.floor, level) - 1
    levels, size = order.level[block], order.size[block]
    place = _below(levels[:size], level)
    for at in range(size, place, -1):
        levels[at] = levels[at - 1]
    levels[place] = level
    order.size[block] = size + 1


@numba.njit(cache=True)
def remove(order: ActivityOrder, level: np.float32) -> None:
    """Take out one level equal to `level`, which is there."""
    block = _below(order.floor, level) - 1
    while block < len(order.size):
        levels, size = order.level[block], order.size[block]
        place = _below(levels[:size], level)
        if place < size:
            for at in range(place, size - 1):
                levels[at] = levels[at + 1]
            order.size[block] = size - 1
            return
        block += (
            1  # of equal levels, the first may stand in the block behind, or further where blocks are empty
        )
