"""Records of the ratings topic, as a reader of one partition hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from eventlog import codec
from eventlog.events import EventBatch
from eventlog.log import Record, RecordBatch

APPEND_TIME_MS = 1_700_000_000_000  # 2023-11-14


def batch_of(
    records: Sequence[Record | bytes | None], partition: int = 0, first_offset: int = 0
) -> RecordBatch:
    """Put records (or bare values) at consecutive offsets."""
    whole = [one if isinstance(one, Record) else Record(None, one) for one in records]
    return RecordBatch(
        topic="ratings",
        partition=partition,
        offsets=np.arange(first_offset, first_offset + len(whole), dtype=np.int64),
        append_time_ms=np.full(len(whole), APPEND_TIME_MS, np.int64),
        keys=[one.key for one in whole],
        values=[one.value for one in whole],
        headers=[one.headers for one in whole],
        next_offset=first_offset + len(whole),
    )


def json_event(**fields: Any) -> bytes:
    """Encode a good event with `fields` replaced; a field of `...` is left out."""
    event = {
        "v": 1,
        "kind": "rating",
        "user": "u1",
        "item": "i1",
        "rating": 3.5,
        "event_time_ms": 1_000,
        "source_id": "app",
        "source_seq": 0,
        **fields,
    }
    return msgspec.json.encode({name: value for name, value in event.items() if value is not ...})


def columns(
    events: Sequence[tuple[str, str, int, int]], source: str = "replay", **replaced: Any
) -> EventBatch:
    """Columns of (user, item, event_time_ms, source_seq) with a rating of 4; `replaced` by name."""
    n = len(events)
    users, items, times_ms, seqs = zip(*events, strict=True)
    fields: dict[str, Any] = {
        "sources": (source,),
        "users": np.array([user.encode() for user in users], np.bytes_),
        "items": np.array([item.encode() for item in items], np.bytes_),
        "ratings": np.full(n, 4.0),
        "event_time_ms": np.array(times_ms, np.int64),
        "kinds": np.zeros(n, np.uint8),
        "source_index": np.zeros(n, np.int32),
        "source_seq": np.array(seqs, np.int64),
        "key_hash": np.zeros(n, np.uint64),
        "partition": np.zeros(n, np.int32),
        "offset": np.zeros(n, np.int64),
        "index": np.arange(n, dtype=np.int32),
        "append_time_ms": np.zeros(n, np.int64),
    }
    return EventBatch(**{**fields, **replaced})


def pack(events: Sequence[tuple[str, str, int, int]], source: str = "replay", **replaced: Any) -> Record:
    """Encode `columns` as one packed message."""
    return codec.encode_pack(columns(events, source, **replaced))
