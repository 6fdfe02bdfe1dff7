"""What the evaluator must know of events and cannot: how much of user and item was seen before, and whose they are."""

from __future__ import annotations

from typing import TypedDict

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.events import EventBatch
from online_models.history import History
from online_models.id_hash import id_hashes
from online_models.ids import grown
from online_models.interactions import REPEAT, Interactions


class Facts(TypedDict):
    """Fields of `PredictionBlock` of the same names."""

    user_seen: NDArray[np.int32]
    item_seen: NDArray[np.int32]
    user_hash: NDArray[np.uint32]


@numba.njit(cache=True)
def _count_seen(
    item: NDArray[np.int32], flags: NDArray[np.uint8], counts: NDArray[np.int32], out: NDArray[np.int32]
) -> None:
    """Say of each event how many users had had its item before; repeats add nothing."""
    for i in range(len(item)):
        out[i] = counts[item[i]]
        if not flags[i] & REPEAT:
            counts[item[i]] += 1


class LaneFacts:
    """Facts of one lane, whose users' histories are `history`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._counts = np.zeros(1 << 8, np.int32)

    def of(self, events: EventBatch, interactions: Interactions) -> Facts:
        """Return the facts of the next block."""
        self._counts = grown(self._counts, int(interactions.item.max(initial=-1)) + 1)
        item_seen = np.zeros(len(interactions.item), np.int32)
        _count_seen(interactions.item, interactions.flags, self._counts, item_seen)
        return {
            "user_seen": interactions.seen,
            "item_seen": item_seen,
            "user_hash": id_hashes(events.users).astype(np.uint32),
        }

    def restore(self) -> None:
        """Count again from the histories, which have each item that a user had once."""
        counts = np.bincount(self._history.arrays()["items"])
        self._counts = grown(np.zeros(1 << 8, np.int32), len(counts))
        self._counts[: len(counts)] = counts
