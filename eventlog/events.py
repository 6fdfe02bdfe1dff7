"""Events at the boundary (one at a time) and inside (columns of many)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ID_BYTES = 256
MAX_EVENT_TIME_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
NO_SEQ = -1


class Kind(enum.IntEnum):
    """What happened. On the wire a kind is its lower-case name; in columns its number, which never changes."""

    RATING = 0
    VIEW = 1
    CLICK = 2
    RETRACT = 3
    FORGET_USER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingEvent:
    """One event as producers see it.

    user, item: opaque ids, 1 to 256 bytes of UTF-8 without control characters (item is empty for `FORGET_USER`).
    rating: in its source's scale; None for kinds without one. event_time_ms: UTC, milliseconds since 1970.
    Identity: (source_id, source_seq), where a source numbers its events upwards from 0, or an idempotency `key`.
    extra: fields of newer schema versions, kept as they came.
    """

    user: str
    item: str
    event_time_ms: int
    rating: float | None = None
    kind: Kind = Kind.RATING
    source_id: str | None = None
    source_seq: int | None = None
    key: str | None = None
    extra: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """n events as columns, with where they stand in the log.

    users, items: `S<width>`[n], UTF-8, zero-padded. ratings: float64[n], NaN where there is none.
    event_time_ms: int64[n]. kinds: uint8[n] (`Kind`). source_index: int32[n] into `sources`, -1 without a source.
    source_seq: int64[n], -1 without. key_hash: uint64[n], blake2b of the idempotency key, 0 without.
    partition: int32[n]; offset: int64[n]; index: int32[n], the place inside a packed message.
    append_time_ms: int64[n], when the log took it.
    """

    sources: tuple[str, ...]
    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]
    ratings: NDArray[np.float64]
    event_time_ms: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    source_index: NDArray[np.int32]
    source_seq: NDArray[np.int64]
    key_hash: NDArray[np.uint64]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    index: NDArray[np.int32]
    append_time_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event_time_ms)

    def take(self, rows: slice | NDArray[Any]) -> EventBatch:
        """The events at `rows` (a slice, an integer or a boolean array), in that order."""
        return EventBatch(self.sources, *(getattr(self, name)[rows] for name in _COLUMNS))

    @classmethod
    def empty(cls) -> EventBatch:
        """Return a batch of no events."""
        return _EMPTY

    @classmethod
    def concat(cls, batches: Sequence[EventBatch]) -> EventBatch:
        """Join batches in order; `sources` are merged by first appearance."""
        batches = [batch for batch in batches if len(batch)]
        if not batches:
            return _EMPTY
        if len(batches) == 1:
            return batches[0]
        merged: dict[str, int] = {}
        source_index = []
        for batch in batches:
            known = [merged.setdefault(source, len(merged)) for source in batch.sources]
            lookup = np.array([*known, -1], np.int32)  # index -1 (no source) stays -1
            source_index.append(lookup[batch.source_index])
        columns = {
            name: np.concatenate([getattr(batch, name) for batch in batches])
            for name in _COLUMNS
            if name != "source_index"
        }
        return cls(sources=tuple(merged), source_index=np.concatenate(source_index), **columns)


_COLUMNS = tuple(field.name for field in fields(EventBatch)[1:])
_EMPTY = EventBatch(
    (),
    np.zeros(0, "S1"),
    np.zeros(0, "S1"),
    np.zeros(0, np.float64),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint8),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint64),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
)
