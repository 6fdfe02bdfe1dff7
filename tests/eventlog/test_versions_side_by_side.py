"""A topic with events of this version and of a newer one: these are learned, those wait whole among the dead letters."""

from __future__ import annotations

import msgspec
import numpy as np

from eventlog import codec
from eventlog.deadletter import Reason
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.log import Record, RecordBatch
from eventlog.redrive import event_of

V1 = {
    "v": 1,
    "user": "u1",
    "item": "i1",
    "rating": 4.0,
    "event_time_ms": 1,
    "source_id": "s",
    "source_seq": 1,
}
# What a newer version may look like: a field has another type, and one is new.
V2 = {**V1, "v": 2, "user": {"id": "u2", "tenant": "t"}, "item": "i2", "source_seq": 2, "surface": "tv"}


def packed(version: int, first_seq: int) -> Record:
    """A pack of two events that says that it is of this version."""
    column = np.arange(first_seq, first_seq + 2).astype("<i8").tobytes()
    value = codec.Pack(
        v=version,
        source_id="s",
        user_width=1,
        users=b"ab",
        item_width=1,
        items=b"xy",
        ratings=np.array([3.0, 5.0]).tobytes(),
        times=column,
        seqs=column,
    )
    return Record(None, msgspec.msgpack.encode(value), (("n", b"2"),))


def test_known_versions_are_learned_and_newer_ones_are_kept_whole() -> None:
    records = [
        Record(b"u1", msgspec.json.encode(V1)),
        Record(b"u2", msgspec.json.encode(V2)),
        packed(1, 10),
        packed(2, 20),
    ]
    n = len(records)
    batch = RecordBatch(
        *("t", 0, np.arange(n), np.full(n, 10**12)),
        [record.key for record in records],
        [record.value for record in records],
        [record.headers for record in records],
        n,
    )
    decoded = decode(batch, Limits())
    assert decoded.events.users.tolist() == [b"u1", b"a", b"b"]
    assert decoded.events.source_seq.tolist() == [1, 10, 11]
    assert decoded.accepted == 6
    assert [(letter.offset, letter.events, letter.reason) for letter in decoded.rejects] == [
        (1, 1, Reason.UNKNOWN_VERSION),
        (3, 2, Reason.UNKNOWN_VERSION),
    ]
    # To the byte, so that a version that knows them can be sent them.
    assert [letter.payload for letter in decoded.rejects] == [records[1].value, records[3].value]
    assert event_of(decoded.rejects[0].payload) == V2
