"""What each user has had, oldest first: the one structure that all models of a lane share.

Each user has one contiguous segment of a pool; a full segment moves to one of twice the size, and its old place
is given to the next user who needs that size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import NEW_ITEM, NEW_USER, REPEAT, Histories

_SMALLEST = 4  # places in a user's first segment
_CLASSES = 40  # segment sizes: 4 * 2^class
_NONE = -1


class _Pool(NamedTuple):
    """The arrays behind `History`.

    capacity: int32[users]. free: int64[classes], heads of lists of free segments, linked through times_ms.
    counters: int64[3] = users, items known, pool places used.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    capacity: NDArray[np.int32]
    items: NDArray[np.int32]
    times_ms: NDArray[np.int64]
    free: NDArray[np.int64]
    counters: NDArray[np.int64]


@numba.njit(cache=True)
def _class_of(capacity: int) -> int:
    size, found = _SMALLEST, 0
    while size < capacity:
        size *= 2
        found += 1
    return found


@numba.njit(cache=True)
def _enlarge(pool: _Pool, user: int) -> bool:
    """Move `user` to a segment of twice the size; False when the pool has no room."""
    old = pool.capacity[user]
    size = max(_SMALLEST, 2 * old)
    wanted = _class_of(size)
    place = pool.free[wanted]
    if place != _NONE:
        pool.free[wanted] = pool.times_ms[place]
    else:
        place = pool.counters[2]
        if place + size > len(pool.items):
            return False
        pool.counters[2] = place + size
    start, length = pool.start[user], pool.length[user]
    pool.items[place : place + length] = pool.items[start : start + length]
    pool.times_ms[place : place + length] = pool.times_ms[start : start + length]
    if old > 0:
        left = _class_of(old)
        pool.times_ms[start] = pool.free[left]
        pool.free[left] = start
    pool.start[user] = place
    pool.capacity[user] = size
    return True


@numba.njit(cache=True)
def _advance(
    pool: _Pool,
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    time_ms: NDArray[np.int64],
    flags: NDArray[np.uint8],
    seen: NDArray[np.int32],
    items: NDArray[np.int32],
    first: int,
) -> int:
    """Append events from `first` on; returns how far it came (less than n: the pool needs room)."""
    for i in range(first, len(user)):
        u, x = user[i], item[i]
        known_users, known_items = pool.counters[0], pool.counters[1]
        length = pool.length[u]
        flag = 0
        if u >= known_users:
            flag |= NEW_USER
        if x >= known_items:
            flag |= NEW_ITEM
        else:
            start = pool.start[u]
            found = 0
            for place in range(start, start + length):
                found += pool.items[place] == x
            if found > 0:
                flag |= REPEAT
        if flag & REPEAT == 0:
            if length == pool.capacity[u] and not _enlarge(pool, u):
                return i
            place = pool.start[u] + length
            pool.items[place] = x
            pool.times_ms[place] = time_ms[i]
            pool.length[u] = length + 1
        flags[i] = flag
        seen[i] = length
        items[i] = known_items
        pool.counters[0] = max(known_users, u + 1)
        pool.counters[1] = max(known_items, x + 1)
    return len(user)


@numba.njit(cache=True)
def _gather(
    start: NDArray[np.int64],
    length: NDArray[np.int32],
    items: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    out_items: NDArray[np.int32],
    out_times_ms: NDArray[np.int64],
) -> None:
    at = 0
    for user in range(len(start)):
        for place in range(start[user], start[user] + length[user]):
            out_items[at] = items[place]
            out_times_ms[at] = times_ms[place]
            at += 1


class History:
    """Histories of all users of a lane; see `Histories` for the arrays that models read."""

    def __init__(self) -> None:
        self._pool = _Pool(
            start=np.zeros(256, np.int64),
            length=np.zeros(256, np.int32),
            capacity=np.zeros(256, np.int32),
            items=np.zeros(1 << 12, np.int32),
            times_ms=np.zeros(1 << 12, np.int64),
            free=np.full(_CLASSES, _NONE, np.int64),
            counters=np.zeros(3, np.int64),
        )

    @property
    def users(self) -> int:
        """How many users have been seen."""
        return int(self._pool.counters[0])

    @property
    def items(self) -> int:
        """How many items have been seen."""
        return int(self._pool.counters[1])

    @property
    def view(self) -> Histories:
        """The arrays that models read; valid until the next `advance`."""
        pool = self._pool
        return Histories(pool.start, pool.length, pool.items, pool.times_ms)

    def advance(
        self, user: NDArray[np.int32], item: NDArray[np.int32], time_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
        """Append n events in order.

        user, item: int32[n] rows, new ones in order of appearance; time_ms: int64[n].
        Returns flags uint8[n], seen int32[n] (items that the user had before), items int32[n] (known before).
        """
        n = len(user)
        flags, seen, items = np.zeros(n, np.uint8), np.zeros(n, np.int32), np.zeros(n, np.int32)
        if n:
            users = int(user.max()) + 1
            pool = self._pool
            self._pool = pool._replace(
                start=grown(pool.start, users),
                length=grown(pool.length, users),
                capacity=grown(pool.capacity, users),
            )
        done = 0
        while True:
            done = _advance(self._pool, user, item, time_ms, flags, seen, items, done)
            if done == n:
                return flags, seen, items
            room = 2 * len(self._pool.items)
            self._pool = self._pool._replace(
                items=grown(self._pool.items, room), times_ms=grown(self._pool.times_ms, room)
            )

    @property
    def state_bytes(self) -> int:
        """Bytes in use: the pool's taken places and 16 bytes a user."""
        pool = self._pool
        places = int(pool.counters[2]) * (pool.items.itemsize + pool.times_ms.itemsize)
        return places + self.users * 16

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays, free of how segments lie: length int32[users], items int32[all], times_ms int64[all]."""
        users, pool = self.users, self._pool
        length = pool.length[:users]
        total = int(length.sum(dtype=np.int64))
        items, times_ms = np.empty(total, np.int32), np.empty(total, np.int64)
        _gather(pool.start[:users], length, pool.items, pool.times_ms, items, times_ms)
        known = np.array([self.items], np.int64)
        return {"length": length, "items": items, "times_ms": times_ms, "known_items": known}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        length = arrays["length"].astype(np.int64)
        sizes = np.zeros(len(length), np.int64)
        taken = length > 0
        exponent = np.ceil(np.log2(np.maximum(length[taken], _SMALLEST))).astype(np.int64)
        sizes[taken] = np.left_shift(1, exponent)
        start = np.cumsum(sizes) - sizes
        used = int(sizes.sum())
        places = np.repeat(start, length) + _within(length)
        fresh = History()._pool
        pool = fresh._replace(
            start=grown(fresh.start, len(length)),
            length=grown(fresh.length, len(length)),
            capacity=grown(fresh.capacity, len(length)),
            items=grown(fresh.items, used),
            times_ms=grown(fresh.times_ms, used),
        )
        pool.start[: len(length)] = start
        pool.length[: len(length)] = length
        pool.capacity[: len(length)] = sizes
        pool.items[places] = arrays["items"]
        pool.times_ms[places] = arrays["times_ms"]
        pool.counters[:] = (len(length), int(arrays["known_items"][0]), used)
        self._pool = pool


def _within(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 .. length[u] - 1 for each u, one after the other."""
    total = int(length.sum())
    ends = np.cumsum(length)
    return np.arange(total, dtype=np.int64) - np.repeat(ends - length, length)
