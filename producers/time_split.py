"""A data set cut once at a moment of time: what came before is learned, what came after is asked about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventlog.errors import DataError
from producers.columns import RatingColumns

TEST_SHARE = 0.2


class TimeSplit(NamedTuple):
    """train: what is learned, in replay order. users, items: `S<width>`[n], the relevant pairs that came after.

    A user may be asked about who has no event in training, and an item too.
    """

    train: RatingColumns
    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]


def cut_by_time(
    columns: RatingColumns, test_share: float = TEST_SHARE
) -> tuple[RatingColumns, RatingColumns]:
    """Cut ratings in replay order so that `test_share` of them, rounded, come after; equal times are not parted."""
    cut = columns.size - round(test_share * columns.size)
    if 0 < cut < columns.size:
        # All of one moment are learned.
        cut = int(np.searchsorted(columns.event_time_ms, columns.event_time_ms[cut - 1], "right"))
    return columns.take(slice(0, cut)), columns.take(slice(cut, None))


def split_by_time(
    columns: RatingColumns, relevant_rating: float, test_share: float = TEST_SHARE
) -> TimeSplit:
    """Cut ratings in replay order so that `test_share` of them, rounded, come after; equal times are not parted.

    Relevant is what was rated `relevant_rating` or better after the cut and is not in training for the same user.
    Raises `DataError` where nothing is left on a side.
    """
    train, test = cut_by_time(columns, test_share)
    cut = train.size
    _, user = np.unique(columns.users, return_inverse=True)
    _, item = np.unique(columns.items, return_inverse=True)
    pair = user.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    relevant = (test.ratings >= relevant_rating) & ~np.isin(pair[cut:], pair[:cut])
    _, first = np.unique(pair[cut:][relevant], return_index=True)
    rows = np.flatnonzero(relevant)[np.sort(first)]
    if not train.size or not len(rows):
        raise DataError(
            f"a cut at event {cut} of {columns.size} leaves nothing to learn, or nothing relevant to ask for"
        )
    return TimeSplit(train, test.users[rows], test.items[rows])
