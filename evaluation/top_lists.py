"""Sampled top lists: the 20 best items of some events' users, as a model had them just before the event was tested."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LIST_LENGTH: Final = 20
PADDING: Final = -1


class TopItems(NamedTuple):
    """The lists of one model, for s sampled events, best first.

    items: uint64[s, 20], hashes of item ids. item_seen: int32[s, 20], how many users had had the item then,
    `PADDING` (-1) where the list is at its end. genres: uint64[s, 20], bit masks, 0 where unknown.
    """

    items: NDArray[np.uint64]
    item_seen: NDArray[np.int32]
    genres: NDArray[np.uint64]


class TopLists(NamedTuple):
    """The samples of a block of events: those whose lane_seq is a multiple of `top_every` (>= 1).

    at: int32[s], their places in the block, ascending. models: {ranking model: its lists}.
    """

    at: NDArray[np.int32]
    top_every: int
    models: dict[str, TopItems]

    def after(self, skip: int) -> TopLists:
        """The samples of the block without its first `skip` events."""
        kept = int(np.searchsorted(self.at, skip))
        models = {
            name: TopItems(top.items[kept:], top.item_seen[kept:], top.genres[kept:])
            for name, top in self.models.items()
        }
        return TopLists((self.at[kept:] - skip).astype(np.int32), self.top_every, models)

    def check(self, first_seq: int, events: int, inherited: int = 0) -> None:
        """Raise `ValueError` unless these are the samples of the block of `events` events from `first_seq` on.

        inherited: events that the lane's state had learned before the lane's first.
        """
        if self.top_every < 1:
            raise ValueError(f"top_every is {self.top_every}, expected at least 1")
        expected = np.arange(-first_seq % self.top_every, events, self.top_every)
        if not np.array_equal(self.at, expected):
            raise ValueError(
                f"top lists are at {self.at.tolist()[:20]} of a block from lane_seq {first_seq} on, expected "
                f"{expected.tolist()[:20]}: every {self.top_every} events"
            )
        for name, top in self.models.items():
            for field, column in top._asdict().items():
                if column.shape != (len(expected), LIST_LENGTH):
                    raise ValueError(
                        f"top lists of {name} have {field} of shape {column.shape}, expected "
                        f"{(len(expected), LIST_LENGTH)}"
                    )
            learned = inherited + first_seq + self.at.astype(np.int64)
            if (top.item_seen > learned[:, None]).any():
                raise ValueError(f"top lists of {name} have item_seen above the events learned by then")
            ended = top.item_seen == PADDING
            if (top.item_seen < PADDING).any() or (ended[:, :-1] & ~ended[:, 1:]).any():
                raise ValueError(
                    f"top lists of {name} have item_seen below -1, or items after the padding, expected counts "
                    "and then -1 to the end"
                )
