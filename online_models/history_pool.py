"""The pool behind the histories: one contiguous segment a user.

A full segment moves to one of twice the size, and its old place is given to the next user who needs that size.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import NEW_ITEM, NEW_USER, REPEAT

SMALLEST = 4  # places in a user's first segment
CLASSES = 40  # segment sizes: 4 * 2^class
NONE = -1


class Pool(NamedTuple):
    """The arrays behind `History`.

    capacity: int32[users]. user_last: int64[users], item_last: int64[items], number of the last event, -1 for a
    forgotten user. had_by: int32[items], users who have had the item. free: int64[classes], heads of lists of free
    segments, linked through times_ms. counters: int64[4] = users, items known, pool places used, events.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    capacity: NDArray[np.int32]
    user_last: NDArray[np.int64]
    item_last: NDArray[np.int64]
    had_by: NDArray[np.int32]
    items: NDArray[np.int32]
    times_ms: NDArray[np.int64]
    ratings: NDArray[np.float32]
    free: NDArray[np.int64]
    counters: NDArray[np.int64]


class Advance(NamedTuple):
    """What `History.advance` found of n events: see `Interactions` for the columns.

    taken: how many events it took. Where a model reads ratings, it stops behind an event that gives one anew: what stands
    in the history may change only when all models have learned up to there.
    """

    flags: NDArray[np.uint8]
    seen: NDArray[np.int32]
    items: NDArray[np.int32]
    item_seen: NDArray[np.int32]
    previous: NDArray[np.float64]
    taken: int


@numba.njit(cache=True)
def _class_of(capacity: int) -> int:
    size, found = SMALLEST, 0
    while size < capacity:
        size *= 2
        found += 1
    return found


@numba.njit(cache=True)
def _enlarge(pool: Pool, user: int) -> bool:
    """Move `user` to a segment of twice the size; False when the pool has no room."""
    old = pool.capacity[user]
    size = max(SMALLEST, 2 * old)
    wanted = _class_of(size)
    place = pool.free[wanted]
    if place != NONE:
        pool.free[wanted] = pool.times_ms[place]
    else:
        place = pool.counters[2]
        if place + size > len(pool.items):
            return False
        pool.counters[2] = place + size
    start, length = pool.start[user], pool.length[user]
    pool.items[place : place + length] = pool.items[start : start + length]
    pool.times_ms[place : place + length] = pool.times_ms[start : start + length]
    pool.ratings[place : place + length] = pool.ratings[start : start + length]
    release(pool, user)
    pool.start[user] = place
    pool.capacity[user] = size
    return True


@numba.njit(cache=True)
def release(pool: Pool, user: int) -> None:
    """Give the user's segment to whoever needs one of its size."""
    if pool.capacity[user] > 0:
        start, left = pool.start[user], _class_of(pool.capacity[user])
        pool.times_ms[start] = pool.free[left]
        pool.free[left] = start


@numba.njit(cache=True)
def place_of(pool: Pool, user: int, item: int) -> int:
    """Where `item` stands in the user's segment, -1 where it does not."""
    start = pool.start[user]
    found = -1
    # No early exit: the comparison of a whole segment is vectorised.
    for place in range(start, start + pool.length[user]):
        if pool.items[place] == item:
            found = place
    return found


@numba.njit(cache=True)
def advance(
    pool: Pool,
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    time_ms: NDArray[np.int64],
    rating: NDArray[np.float64],
    out: Advance,
    first: int,
    at_once: bool,
) -> tuple[int, bool]:
    """Append events from `first` on; returns how far it came, and whether the pool needs room to go on.

    at_once: a rating that is given anew stands there from its event on, and is no reason to stop.
    """
    for i in range(first, len(user)):
        u, x = user[i], item[i]
        known_users, known_items = pool.counters[0], pool.counters[1]
        length = pool.length[u]
        flag, found = 0, -1
        if u >= known_users:
            flag |= NEW_USER
        if x >= known_items:
            flag |= NEW_ITEM
        else:
            found = place_of(pool, u, x)
            if found >= 0:
                flag |= REPEAT
        out.previous[i] = np.nan
        if found >= 0:
            out.previous[i] = pool.ratings[found]
        else:
            if length == pool.capacity[u] and not _enlarge(pool, u):
                return i, True
            place = pool.start[u] + length
            pool.items[place] = x
            pool.times_ms[place] = time_ms[i]
            pool.ratings[place] = np.float32(rating[i])
            pool.length[u] = length + 1
        out.flags[i] = flag
        out.seen[i] = length
        out.items[i] = known_items
        out.item_seen[i] = pool.had_by[x]
        pool.had_by[x] += found < 0
        pool.user_last[u] = pool.counters[3]
        pool.item_last[x] = pool.counters[3]
        pool.counters[0] = max(known_users, u + 1)
        pool.counters[1] = max(known_items, x + 1)
        pool.counters[3] += 1
        if found >= 0 and not np.isnan(rating[i]) and np.float32(rating[i]) != pool.ratings[found]:
            if not at_once:
                return i + 1, False
            pool.ratings[found] = np.float32(rating[i])
    return len(user), False


@numba.njit(cache=True)
def remove(pool: Pool, user: int, place: int) -> None:
    """Take one place out of the user's segment; what came later moves up."""
    pool.had_by[pool.items[place]] -= 1
    last = pool.start[user] + pool.length[user] - 1
    for at in range(place, last):
        pool.items[at] = pool.items[at + 1]
        pool.times_ms[at] = pool.times_ms[at + 1]
        pool.ratings[at] = pool.ratings[at + 1]
    pool.length[user] -= 1


@numba.njit(cache=True)
def gather(
    pool: Pool,
    users: NDArray[np.int32],
    out_items: NDArray[np.int32],
    out_times_ms: NDArray[np.int64],
    out_ratings: NDArray[np.float32],
) -> None:
    """Put the segments of `users` one after the other into the out arrays."""
    at = 0
    for user in users:
        for place in range(pool.start[user], pool.start[user] + pool.length[user]):
            out_items[at] = pool.items[place]
            out_times_ms[at] = pool.times_ms[place]
            out_ratings[at] = pool.ratings[place]
            at += 1


def no_pool() -> Pool:
    """Return a pool of nobody."""
    return Pool(
        start=np.zeros(256, np.int64),
        length=np.zeros(256, np.int32),
        capacity=np.zeros(256, np.int32),
        user_last=np.zeros(256, np.int64),
        item_last=np.zeros(256, np.int64),
        had_by=np.zeros(256, np.int32),
        items=np.zeros(1 << 12, np.int32),
        times_ms=np.zeros(1 << 12, np.int64),
        ratings=np.zeros(1 << 12, np.float32),
        free=np.full(CLASSES, NONE, np.int64),
        counters=np.zeros(4, np.int64),
    )
