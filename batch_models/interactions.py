"""What a batch model is trained on: pairs of a user and an item, as columns, and which pairs there are."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Interactions(NamedTuple):
    """n events of distinct pairs, in the order of the stream.

    user, item: int64[n] dense rows in [0, users) and [0, items). time_ms: int64[n], event time, UTC. rating:
    float32[n], NaN where none was given. users, items: how many rows there are; some may be without events.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    rating: NDArray[np.float32]
    users: int
    items: int

    @property
    def size(self) -> int:
        """The number of events (`len` of a NamedTuple counts its fields)."""
        return len(self.user)

    def take(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Interactions:
        """The events at `rows`, in that order, of the same users and items."""
        return self._replace(
            user=self.user[rows], item=self.item[rows], time_ms=self.time_ms[rows], rating=self.rating[rows]
        )

    def digest(self) -> str:
        """sha256 of the events."""
        total = hashlib.sha256(f"{self.users} {self.items}".encode())
        for column in (self.user, self.item, self.time_ms, self.rating):
            total.update(np.ascontiguousarray(column).data)
        return total.hexdigest()


def newest_of_pairs(data: Interactions) -> Interactions:
    """Keep of each pair its newest event (the last in order), in the order of the stream."""
    key = data.user * data.items + data.item
    _, first_from_the_end = np.unique(key[::-1], return_index=True)
    return data.take(np.sort(len(key) - 1 - first_from_the_end))


def steps_from_the_end(data: Interactions) -> NDArray[np.int64]:
    """Of each event, how many events of the same user come after it: int64[n], 0 for the user's last."""
    order = np.argsort(data.user, kind="stable")
    counts = np.bincount(data.user, minlength=data.users)
    ends = np.cumsum(counts)
    steps = np.empty(data.size, np.int64)
    steps[order] = ends[data.user[order]] - 1 - np.arange(data.size)
    return steps


def recency_weights(data: Interactions, half_life_events: float, floor: float = 0.0) -> NDArray[np.float32]:
    """Weights of positives by how recent they are among their user's own: float32[n], mean 1.

    A weight halves every `half_life_events` of the user's later events, from 1 towards `floor` in [0, 1]; infinity
    weighs all alike.
    """
    faded = np.exp2(-steps_from_the_end(data) / half_life_events)
    weights = floor + (1.0 - floor) * faded
    return (weights / weights.mean()).astype(np.float32)
