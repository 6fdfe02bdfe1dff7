"""What a replay replays: events in order, numbered from 0, in blocks that can be asked for from any number on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.datasets import Dataset
from producers.event_order import TieOrder, replay_order


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
    limit: the first N of what is left.
    """

    min_rating: float = 0.0
    tie_order: TieOrder = TieOrder.HASH
    from_ms: int | None = None
    to_ms: int | None = None
    limit: int | None = None


class DatasetStream:
    """A data set's ratings in event-time order. Reads the whole data set; a malformed line raises."""

    def __init__(self, dataset: Dataset, folder: Path, cut: Cut) -> None:
        self._dataset = dataset
        self._folder = folder
        columns = RatingColumns.concat(list(dataset.reader.ratings(folder)))
        keep = columns.ratings >= cut.min_rating
        if cut.from_ms is not None:
            keep &= columns.event_time_ms >= cut.from_ms
        if cut.to_ms is not None:
            keep &= columns.event_time_ms < cut.to_ms
        columns = columns.take(keep)
        order = replay_order(columns.users, columns.items, columns.event_time_ms, cut.tie_order)
        self._columns = columns.take(order[: cut.limit])
        self.source_id = f"{dataset.name}:min{cut.min_rating:g}:{cut.tie_order.value}"
        if cut.from_ms is not None or cut.to_ms is not None:
            self.source_id += f":{cut.from_ms or 0}-{cut.to_ms if cut.to_ms is not None else ''}"
        self.total_events = self._columns.size
        self.rating_min = dataset.rating_min
        self.rating_max = dataset.rating_max

    def block(self, first: int, size: int) -> RatingColumns:
        """See `EventStream.block`."""
        return self._columns.take(slice(first, first + size))

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
            total.update(np.ascontiguousarray(_narrowest(ids)).data)
        total.update(np.ascontiguousarray(columns.ratings, "<f8").data)
        total.update(np.ascontiguousarray(columns.event_time_ms, "<i8").data)
        return total.hexdigest()


def _narrowest(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    width = int(np.char.str_len(ids).max(initial=1))
    return ids.astype(f"S{width}")
