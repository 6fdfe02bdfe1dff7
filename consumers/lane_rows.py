"""What all models of a lane share: ids and their rows, histories, and the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.top_lists import LIST_LENGTH, PADDING, TopItems
from eventlog.events import EventBatch
from online_models.catalogue import CatalogueStore
from online_models.history import History
from online_models.history_pool import Advance
from online_models.ids import ABSENT, IdTable
from online_models.interactions import REPEAT, Histories, Interactions
from online_models.top_k import occurrences

Arrays = dict[str, NDArray[Any]]


class Kept(NamedTuple):
    """Rows that stay after an eviction, int32, ascending: users[i] became row i, items[i] row i."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]


class LaneRows:
    """Users and items of one lane. Not thread-safe.

    max_users, max_items: how many are kept; above, the least recently active are evicted, a sixteenth at a time.
    """

    def __init__(self, max_users: int, max_items: int) -> None:
        self.users = IdTable()
        self.items = IdTable()
        self.history = History()
        self.catalogue = CatalogueStore()
        self.evicted_users = 0
        self.evicted_items = 0
        self.forgotten_users = 0
        self.next_item_offset = 0  # of the items topic
        self._empty_rows = 0  # of forgotten users, until the next eviction
        self._max = (max_users, max_items)

    @property
    def histories(self) -> Histories:
        """The arrays that models read; valid until the next change."""
        return self.history.view(self.catalogue.view)

    @property
    def known_users(self) -> int:
        """How many users there are, without the forgotten ones."""
        return len(self.users) - self._empty_rows

    @property
    def state_bytes(self) -> int:
        """Bytes of all of it."""
        parts = (self.users, self.items, self.history, self.catalogue)
        return sum(part.state_bytes for part in parts)

    def rows(self, events: EventBatch) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rows of the events' users and items, int32[n] each; unknown ids get new ones."""
        user, item = self.users.rows(events.users), self.items.rows(events.items)
        self.catalogue.follow(events.items, item)
        return user, item

    def learn_of(self, ids: NDArray[np.bytes_]) -> NDArray[np.int32]:
        """Rows of items that another lane tells of (`S<width>`[n]); `ABSENT` where there is no room for a new one.

        They are known from now on, as if somebody here had had them.
        """
        found = self.items.find_all(ids)
        new = np.flatnonzero(found == ABSENT)[: max(self._max[1] - len(self.items), 0)]
        if len(new):
            found[new] = self.items.rows(ids[new])
            self.catalogue.follow(ids[new], found[new])
            self.history.know_items(len(self.items))
        return found

    def advance(
        self, events: EventBatch, user: NDArray[np.int32], item: NDArray[np.int32], *, at_once: bool
    ) -> Advance:
        """Append events to the histories; see `History.advance`."""
        return self.history.advance(
            user,
            item,
            np.ascontiguousarray(events.event_time_ms),
            np.ascontiguousarray(events.ratings),
            at_once=at_once,
        )

    def retract(self, user_id: str, item_id: str) -> tuple[int, int] | None:
        """Take a pair out of the histories; returns its rows, None where the user has not had the item."""
        user, item = self.users.find(user_id), self.items.find(item_id)
        if ABSENT in (user, item) or not self.history.retract(user, item):
            return None
        return user, item

    def forget_user(self, user_id: str) -> int | None:
        """Forget a user's id and history; returns the row, None for an unknown user."""
        user = self.users.find(user_id)
        if user == ABSENT:
            return None
        self.history.forget(user)
        self.users.forget(user)
        self.forgotten_users += 1
        self._empty_rows += 1
        return user

    def evict(self) -> Kept | None:
        """Drop the least recently active users and items, where there are more than may be; None where not."""
        have = (len(self.users), len(self.items))
        if all(rows <= most for rows, most in zip(have, self._max, strict=True)):
            return None
        room = [
            most - most // 16 if rows > most else None for rows, most in zip(have, self._max, strict=True)
        ]
        kept = Kept(*self.history.newest(*room))
        self.evicted_users += self.known_users - len(kept.users)
        self.evicted_items += len(self.items) - len(kept.items)
        self.keep(kept)
        return kept

    def keep(self, kept: Kept) -> None:
        """Drop all other users and items; rows of forgotten users must be among those that go."""
        self._empty_rows = 0
        self.history.keep(*kept)
        self.users.keep(kept.users)
        self.items.keep(kept.items)
        self.catalogue.keep(kept.items)

    def describe(self, items: NDArray[np.int32], ahead: Interactions) -> TopItems:
        """What the evaluator is told of a list of at most `LIST_LENGTH` items: no rows, which evictions change.

        ahead: events that are in the histories, and were not yet when the list was made.
        """
        found = TopItems(
            np.zeros(LIST_LENGTH, np.uint64),
            np.full(LIST_LENGTH, PADDING, np.int32),
            np.zeros(LIST_LENGTH, np.uint64),
        )
        catalogue = self.catalogue.view
        found.items[: len(items)] = self.items.hashes(items)
        fresh = ahead.item[ahead.flags & REPEAT == 0]
        found.item_seen[: len(items)] = self.history.had_by(items) - occurrences(items, fresh)
        found.genres[: len(items)] = catalogue.genres[catalogue.entry[items]]
        return found

    def digest(self) -> str:
        """sha256 of ids, histories and catalogue."""
        total = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            total.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def arrays(self) -> Arrays:
        """Named arrays for a checkpoint."""
        parts = {
            "users": self.users.arrays(),
            "items": self.items.arrays(),
            "history": self.history.arrays(),
            "catalogue": self.catalogue.arrays(),
        }
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def meta(self) -> dict[str, Any]:
        """JSON-able rest of the state."""
        return {
            "catalogue": self.catalogue.meta(),
            "next_item_offset": self.next_item_offset,
            "evicted_users": self.evicted_users,
            "evicted_items": self.evicted_items,
            "forgotten_users": self.forgotten_users,
            "empty_rows": self._empty_rows,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what `arrays` and `meta` describe."""
        self.users.restore(under("users/", arrays))
        self.items.restore(under("items/", arrays))
        self.history.restore(under("history/", arrays))
        self.catalogue.restore(under("catalogue/", arrays), meta["catalogue"])
        self.next_item_offset = meta["next_item_offset"]
        self.evicted_users = meta["evicted_users"]
        self.evicted_items = meta["evicted_items"]
        self.forgotten_users = meta["forgotten_users"]
        self._empty_rows = meta["empty_rows"]


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays whose name begins with `prefix`, by the rest of it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
