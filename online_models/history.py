"""What each user has had, oldest first: the one structure that all models of a lane share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import Catalogue
from online_models.history_pool import (
    NONE,
    SMALLEST,
    Advance,
    advance,
    gather,
    no_pool,
    place_of,
    release,
    remove,
)
from online_models.ids import grown
from online_models.interactions import REPEAT, Histories


class History:
    """Histories of all users of a lane; see `Histories` for the arrays that models read."""

    def __init__(self) -> None:
        self._pool = no_pool()
        self._anew: tuple[int, int, float] | None = None

    @property
    def users(self) -> int:
        """How many users have been seen."""
        return int(self._pool.counters[0])

    @property
    def items(self) -> int:
        """How many items have been seen."""
        return int(self._pool.counters[1])

    def view(self, catalogue: Catalogue) -> Histories:
        """The arrays that models read, with the lane's catalogue; valid until the next change."""
        pool = self._pool
        return Histories(pool.start, pool.length, pool.items, pool.times_ms, pool.ratings, catalogue)

    def had_by(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """How many users have had each of `items` (int32[n], known rows)."""
        return self._pool.had_by[items]

    def advance(
        self,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        time_ms: NDArray[np.int64],
        rating: NDArray[np.float64],
        *,
        at_once: bool = False,
    ) -> Advance:
        """Append events in order; `settle` when all models have learned those that were taken.

        user, item: int32[n] rows, new ones in order of appearance; time_ms: int64[n]; rating: float64[n]. at_once: whether
        ratings that are given anew may stand there before that, for no model reads them: then all events are taken.
        """
        n = len(user)
        out = Advance(
            np.zeros(n, np.uint8),
            np.zeros(n, np.int32),
            np.zeros(n, np.int32),
            np.zeros(n, np.int32),
            np.zeros(n, np.float64),
            n,
        )
        if not n:
            return out
        self._reserve(int(user.max()) + 1, int(item.max()) + 1)
        done, full = 0, True
        while full:
            done, full = advance(self._pool, user, item, time_ms, rating, out, done, at_once)
            if full:
                self._reserve_places(2 * len(self._pool.items))
        if not at_once and (done < n or out.flags[n - 1] & REPEAT):
            self._anew = int(user[done - 1]), int(item[done - 1]), float(rating[done - 1])
        return Advance._make((*(column[:done] for column in out[:-1]), done))

    def know_items(self, items: int) -> None:
        """Know `items` items, also those that nobody here has had: as if they were met now."""
        have = self.items
        if items > have:
            self._reserve(self.users, items)
            self._pool.item_last[have:items] = self._pool.counters[3]
            self._pool.counters[1] = items

    def settle(self) -> None:
        """Let the rating that was given anew stand in the history."""
        if self._anew is not None:
            user, item, rating = self._anew
            if not np.isnan(rating):
                self._pool.ratings[place_of(self._pool, user, item)] = rating
            self._anew = None

    @contextlib.contextmanager
    def as_of(self, user: int, seen: int) -> Iterator[None]:
        """Within: the user has had only the first `seen` items, as at an event of a block that is taken already."""
        length = self._pool.length
        all_of_it, length[user] = length[user], seen
        try:
            yield
        finally:
            length[user] = all_of_it

    def retract(self, user: int, item: int) -> bool:
        """Take `item` out of the user's history; whether it was there."""
        place = int(place_of(self._pool, user, item))
        if place >= 0:
            remove(self._pool, user, place)
        return place >= 0

    def forget(self, user: int) -> NDArray[np.int32]:
        """Empty the user's history; returns the items (int32[n]) that were in it."""
        pool = self._pool
        start, length = int(pool.start[user]), int(pool.length[user])
        items = pool.items[start : start + length].copy()
        np.subtract.at(pool.had_by, items, 1)
        for column in (pool.items, pool.times_ms, pool.ratings):
            column[start : start + length] = 0
        release(pool, user)
        pool.start[user] = pool.length[user] = pool.capacity[user] = 0
        pool.user_last[user] = NONE
        return items

    def newest(self, users: int | None, items: int | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rows of the `users` users and the `items` items that were last active, ascending; None: all of them.

        Forgotten users are never among them.
        """
        pool = self._pool
        return _newest(pool.user_last[: self.users], users), _newest(pool.item_last[: self.items], items)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> None:
        """Row users[i] (items[i]) becomes row i; other users are dropped, other items from every history."""
        pool = self._pool
        row_of = np.full(self.items, NONE, np.int32)
        row_of[items] = np.arange(len(items), dtype=np.int32)
        state = self._arrays_of(users)
        stays = row_of[state["items"]] >= 0
        owner = np.repeat(np.arange(len(users)), state["length"])
        state["length"] = np.bincount(owner[stays], minlength=len(users)).astype(np.int32)
        state["items"] = row_of[state["items"][stays]]
        state["times_ms"], state["ratings"] = state["times_ms"][stays], state["ratings"][stays]
        state["item_last"], state["had_by"] = pool.item_last[items], pool.had_by[items]
        # Those who are dropped have had the items all the same: had_by is how often an item was met.
        self.restore(state)

    @property
    def state_bytes(self) -> int:
        """Bytes in use: the pool's taken places, 24 bytes a user and 12 an item."""
        pool = self._pool
        places = int(pool.counters[2]) * (
            pool.items.itemsize + pool.times_ms.itemsize + pool.ratings.itemsize
        )
        return places + self.users * 24 + self.items * 12

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays, free of how segments lie.

        length int32[users]; items int32, times_ms int64 and ratings float32 [all], user by user; user_last
        int64[users], item_last int64[items], had_by int32[items], events int64[1].
        """
        return self._arrays_of(np.arange(self.users, dtype=np.int32))

    def _arrays_of(self, users: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
        pool = self._pool
        length = pool.length[users]
        total = int(length.sum(dtype=np.int64))
        items, times_ms = np.empty(total, np.int32), np.empty(total, np.int64)
        ratings = np.empty(total, np.float32)
        gather(pool, users, items, times_ms, ratings)
        return {
            "length": length,
            "items": items,
            "times_ms": times_ms,
            "ratings": ratings,
            "user_last": pool.user_last[users],
            "item_last": pool.item_last[: self.items],
            "had_by": pool.had_by[: self.items],
            "events": pool.counters[3:4].copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        length = arrays["length"].astype(np.int64)
        users, items = len(length), len(arrays["item_last"])
        sizes = np.zeros(users, np.int64)
        taken = length > 0
        exponent = np.ceil(np.log2(np.maximum(length[taken], SMALLEST))).astype(np.int64)
        sizes[taken] = np.left_shift(1, exponent)
        start = np.cumsum(sizes) - sizes
        used = int(sizes.sum())
        places = np.repeat(start, length) + _within(length)
        self._pool = no_pool()
        self._reserve(users, items)
        self._reserve_places(used)
        pool = self._pool
        pool.start[:users] = start
        pool.capacity[:users] = sizes
        for name, rows in (("length", users), ("user_last", users), ("item_last", items), ("had_by", items)):
            getattr(pool, name)[:rows] = arrays[name]
        for name in ("items", "times_ms", "ratings"):
            getattr(pool, name)[places] = arrays[name]
        pool.counters[:] = (users, items, used, int(arrays["events"][0]))

    def _reserve(self, users: int, items: int) -> None:
        pool = self._pool
        of_users = {
            name: grown(getattr(pool, name), users) for name in ("start", "length", "capacity", "user_last")
        }
        of_items = {name: grown(getattr(pool, name), items) for name in ("item_last", "had_by")}
        self._pool = pool._replace(**of_users, **of_items)

    def _reserve_places(self, places: int) -> None:
        pool = self._pool
        of_places = {name: grown(getattr(pool, name), places) for name in ("items", "times_ms", "ratings")}
        self._pool = pool._replace(**of_places)


def _newest(last: NDArray[np.int64], most: int | None) -> NDArray[np.int32]:
    """Rows of the `most` largest of `last` (int64, no two alike but -1), ascending; those at -1 are left out."""
    rows = np.flatnonzero(last > NONE)
    if most is not None and len(rows) > most:
        rows = np.sort(rows[np.argpartition(-last[rows], most - 1)[:most]])
    return rows.astype(np.int32)


def _within(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 .. length[u] - 1 for each u, one after the other."""
    total = int(length.sum())
    ends = np.cumsum(length)
    return np.arange(total, dtype=np.int64) - np.repeat(ends - length, length)
