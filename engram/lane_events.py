"""Columns of ratings as events of a lane, for evaluations that need no log."""

from __future__ import annotations

import numpy as np

from eventlog.events import EventBatch, Kind
from producers.columns import RatingColumns


def events_of(columns: RatingColumns, first: int, source: str, kind: Kind) -> EventBatch:
    """Return events as a log of one partition would give them. first: number of the first one. source: who numbers them."""
    n = columns.size
    places = np.arange(first, first + n, dtype=np.int64)
    return EventBatch(
        sources=(source,),
        users=columns.users,
        items=columns.items,
        ratings=columns.ratings,
        event_time_ms=columns.event_time_ms,
        kinds=np.full(n, kind, np.uint8),
        source_index=np.zeros(n, np.int32),
        source_seq=places,
        key_hash=np.zeros(n, np.uint64),
        partition=np.zeros(n, np.int32),
        offset=places,
        index=np.zeros(n, np.int32),
        append_time_ms=columns.event_time_ms,
    )
