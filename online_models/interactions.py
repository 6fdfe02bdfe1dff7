"""What a model is given: a block of events as columns, over the users' shared histories.

Histories already hold the whole block; `seen[i]` says how much of it lay before event i, so that each model can
walk through the block alone, strictly test-then-learn.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import Catalogue

REPEAT = 1  # the user has had this item: not ranked, not learned again
NEW_ITEM = 2  # the item was never seen before: a miss for every model
NEW_USER = 4

NOT_RANKED = 0
MISS = -1


class Histories(NamedTuple):
    """The items that each user has had, oldest first, and what is known of items.

    start: int64[users], length: int32[users]; user u's items are items[start[u] : start[u] + length[u]] (int32),
    at times_ms (int64, event time), with ratings (float32, NaN without one) of the same places. A rating that is given
    anew stands there after its event.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    items: NDArray[np.int32]
    times_ms: NDArray[np.int64]
    ratings: NDArray[np.float32]
    catalogue: Catalogue


class Interactions(NamedTuple):
    """A block of n events in the lane's order.

    user, item: int32[n] rows. rating: float64[n], in the source's scale, NaN where there is none. time_ms: int64[n]
    event time. tick: int64[n], the event's own moment on the lane's clock; now: int64[n], the clock when the event is
    processed (now >= tick; larger for a late event). flags: uint8[n]. seen: int32[n], how many items the user had
    before. items: int32[n], how many items were known before. item_seen: int32[n], how many users had had the item
    before. previous: float64[n], for a repeat the rating that stood before, NaN without one.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float64]
    time_ms: NDArray[np.int64]
    tick: NDArray[np.int64]
    now: NDArray[np.int64]
    flags: NDArray[np.uint8]
    seen: NDArray[np.int32]
    items: NDArray[np.int32]
    item_seen: NDArray[np.int32]
    previous: NDArray[np.float64]

    def part(self, first: int, last: int) -> Interactions:
        """Return events [first, last) of the block."""
        return Interactions._make(column[first:last] for column in self)


class Predictions(NamedTuple):
    """What a model says of a block before it learns each event; a model fills in what it can say.

    ranks: int32[n], 1 = best, `NOT_RANKED` (also for what is not said), `MISS` for a new item.
    ratings: float64[n], expected rating in the source's scale, NaN for what is not said. likes: float64[n],
    probability that the rating is a like (from three quarters of the scale up), NaN for what is not said. cold: int32[n], for a new item
    its rank among all items of the catalogue that the user has not had, 0 for what is not said.
    """

    ranks: NDArray[np.int32]
    ratings: NDArray[np.float64]
    likes: NDArray[np.float64]
    cold: NDArray[np.int32]

    @classmethod
    def nothing(cls, n: int) -> Predictions:
        """Say nothing yet of n events."""
        return cls(
            np.full(n, NOT_RANKED, np.int32), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int32)
        )

    def part(self, first: int, last: int) -> Predictions:
        """Return a view of events [first, last)."""
        return Predictions._make(column[first:last] for column in self)


class Moment(NamedTuple):
    """When a question is asked between two events: the clock, the event time, and how many items are known."""

    now: int
    time_ms: int
    items: int


@numba.njit(cache=True)
def wide(number: int) -> int:
    """The same number as int64 (columns are int32): so that what it is passed to is compiled for one width only."""
    return number + 0
