"""What a replay replays: events in order, numbered from 0, in blocks that can be asked for from any number on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.datasets import Dataset
from producers.event_order import TieOrder
from producers.external_sort import sort_ratings

MEMORY_EVENTS: Final = 20_000_000
_DIGEST_EVENTS: Final = 1_000_000


class EventStream(Protocol):
    """Events of one source, in replay order.

    source_id: who numbers them. total_events: how many there are. rating_min, rating_max: the scale.
    """

    source_id: str
    total_events: int
    rating_min: float
    rating_max: float

    def block(self, first: int, size: int) -> RatingColumns:
        """Events [first, first + size), fewer at the end."""

    def items(self) -> Iterable[ItemMetadata]:
        """What is known of items beforehand."""

    def users(self) -> Iterable[UserMetadata]:
        """What is known of users beforehand."""

    def digest(self) -> str:
        """sha256 of the events, or of what generates them."""


class Cut(NamedTuple):
    """Which events of a data set are replayed.

    min_rating: ratings below are never seen (0 keeps all). from_ms, to_ms: event times in [from_ms, to_ms).
    top_percentile: ratings of the most rated items only, so many per cent of them. reviews_per_user: the first N of each
    user, and only of users who have N. num_users: so many of these users, drawn with `seed`. These three know the whole
    data set: they are for experiments that cut it so. limit: the first N of what is left.
    """

    min_rating: float = 0.0
    tie_order: TieOrder = TieOrder.HASH
    from_ms: int | None = None
    to_ms: int | None = None
    limit: int | None = None
    top_percentile: float | None = None
    reviews_per_user: int | None = None
    num_users: int | None = None
    seed: int = 0

    @property
    def thins(self) -> bool:
        """Whether users or items are chosen."""
        return (self.top_percentile, self.reviews_per_user, self.num_users) != (None, None, None)


class DatasetStream:
    """A data set's ratings in event-time order. Reads the whole data set; a malformed line raises.

    memory_events: more ratings than these are sorted on the disk; see `producers.external_sort`.
    """

    def __init__(self, dataset: Dataset, folder: Path, cut: Cut, memory_events: int = MEMORY_EVENTS) -> None:
        self._dataset = dataset
        self._folder = folder
        kept = (_within(chunk, cut) for chunk in dataset.reader.ratings(folder))
        columns = sort_ratings(kept, cut.tie_order, memory_events)
        if cut.thins:
            columns = thin_out(columns, cut)
        self._columns = columns.take(slice(0, cut.limit))
        self.source_id = f"{dataset.name}:min{cut.min_rating:g}:{cut.tie_order.value}"
        if cut.from_ms is not None or cut.to_ms is not None:
            self.source_id += f":{cut.from_ms or 0}-{cut.to_ms if cut.to_ms is not None else ''}"
        if cut.thins:
            self.source_id += (
                f":top{cut.top_percentile}:reviews{cut.reviews_per_user}:users{cut.num_users}:{cut.seed}"
            )
        self.total_events = self._columns.size
        self.rating_min = dataset.rating_min
        self.rating_max = dataset.rating_max

    def block(self, first: int, size: int) -> RatingColumns:
        """See `EventStream.block`."""
        columns = self._columns.take(slice(first, first + size))
        # Copied, where they lie in mapped files.
        return RatingColumns(*(np.array(column) for column in columns))  # type: ignore[arg-type]

    def items(self) -> Iterator[ItemMetadata]:
        """See `EventStream.items`."""
        return self._dataset.reader.items(self._folder)

    def users(self) -> Iterator[UserMetadata]:
        """See `EventStream.users`."""
        return self._dataset.reader.users(self._folder)

    def digest(self) -> str:
        """sha256 of the four columns in replay order, whatever the width of their ids."""
        columns = self._columns
        total = hashlib.sha256()
        for ids in (columns.users, columns.items):
            blocks = [ids[at : at + _DIGEST_EVENTS] for at in range(0, len(ids), _DIGEST_EVENTS)]
            width = max((int(np.char.str_len(block).max()) for block in blocks), default=1)
            for block in blocks:
                total.update(block.astype(f"S{width}").data)
        for numbers, kind in ((columns.ratings, "<f8"), (columns.event_time_ms, "<i8")):
            for at in range(0, len(numbers), _DIGEST_EVENTS):
                total.update(np.ascontiguousarray(numbers[at : at + _DIGEST_EVENTS], kind).data)
        return total.hexdigest()


def thin_out(columns: RatingColumns, cut: Cut) -> RatingColumns:
    """Keep the most rated items, then each user's first ratings, then some users; see `Cut`. columns: in replay order.

    Of items that are rated equally often, those that come first in order of id stay.
    """
    if cut.top_percentile is not None:
        _, item, counts = np.unique(columns.items, return_inverse=True, return_counts=True)
        stay = np.argsort(-counts, kind="stable")[: math.ceil(len(counts) * cut.top_percentile / 100)]
        columns = columns.take(np.isin(item, stay))
    _, user, counts = np.unique(columns.users, return_inverse=True, return_counts=True)
    if cut.reviews_per_user is not None:
        order = np.argsort(user, kind="stable")
        place = np.empty(len(user), np.int64)
        place[order] = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
        of_user = (place < cut.reviews_per_user) & (counts >= cut.reviews_per_user)[user]
        columns, user = columns.take(of_user), user[of_user]
    left = np.unique(user)
    if cut.num_users is not None and cut.num_users < len(left):
        chosen = np.random.default_rng(cut.seed).choice(left, cut.num_users, replace=False)
        columns = columns.take(np.isin(user, chosen))
    return columns


def _within(columns: RatingColumns, cut: Cut) -> RatingColumns:
    """Return what the cut keeps, whatever its limit."""
    keep = columns.ratings >= cut.min_rating
    if cut.from_ms is not None:
        keep &= columns.event_time_ms >= cut.from_ms
    if cut.to_ms is not None:
        keep &= columns.event_time_ms < cut.to_ms
    return columns.take(keep)
