"""A small stream of ratings for the fault tests, with what real ones have: repeats, ties, re-sent and bad messages."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from eventlog.codec import encode_event, encode_pack
from eventlog.controls import Control, ControlKind
from eventlog.events import EventBatch, RatingEvent
from eventlog.log import Log, Record
from eventlog.partitioner import partitions_of
from eventlog.topics import Topics

SOURCE = "shop"
START_MS = 1_000_000_000_000
_BAD = (
    b"",
    b"\xff\xfe not a message",
    b'{"user":"u1","item":"i1","rating":3.0,"event_time_ms":-5,"source_id":"bad","source_seq":1}',
    b'{"user":"u1","rating":3.0,"event_time_ms":5,"key":"k"}',
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a stream lies in the log: partitions, events a message, shares of re-sent and bad messages, late events."""

    partitions: int = 1
    pack: int = 16
    resent: float = 0.05
    bad: float = 0.05
    late: float = 0.0


def make_events(seed: int, events: int = 6000, late: float = 0.0) -> EventBatch:
    """Make events in order of seq: skewed users and items, repeated pairs, many equal times.

    Times do not decrease, but for the share `late`, which lags up to 200 s behind.
    """
    rng = np.random.default_rng(seed)
    users = (events // 40 * rng.random(events) ** 2).astype(np.int64)
    items = (events // 20 * rng.random(events) ** 3).astype(np.int64)
    time_ms = START_MS + 1000 * np.cumsum(rng.random(events) < 0.4).astype(np.int64)
    time_ms -= np.where(rng.random(events) < late, rng.integers(200_000, size=events), 0)
    zeros = np.zeros(events, np.int32)
    return EventBatch(
        sources=(SOURCE,),
        users=np.char.add("u", users.astype(str)).astype(np.bytes_),
        items=np.char.add("i", items.astype(str)).astype(np.bytes_),
        ratings=rng.integers(1, 6, events).astype(np.float64),
        event_time_ms=time_ms,
        kinds=np.zeros(events, np.uint8),
        source_index=zeros,
        source_seq=np.arange(events, dtype=np.int64),
        key_hash=np.zeros(events, np.uint64),
        partition=zeros,
        offset=np.arange(events, dtype=np.int64),
        index=zeros,
        append_time_ms=np.zeros(events, np.int64),
    )


def create_topics(log: Log, topics: Topics, partitions: int) -> None:
    """Create the topics that a learner and an evaluator use."""
    log.create_topic(topics.ratings, partitions)
    log.create_topic(topics.predictions, partitions)
    log.create_topic(topics.dead_letters, 1)


def single(batch: EventBatch, at: int) -> Record:
    """Event `at` as a JSON message."""
    return encode_event(
        RatingEvent(
            user=batch.users[at].decode(),
            item=batch.items[at].decode(),
            rating=float(batch.ratings[at]),
            event_time_ms=int(batch.event_time_ms[at]),
            source_id=SOURCE,
            source_seq=int(batch.source_seq[at]),
        )
    )


def messages(batch: EventBatch, pack: int) -> list[Record]:
    """Events as messages of `pack` events; of one event each as JSON."""
    if pack == 1:
        return [single(batch, at) for at in range(len(batch))]
    return [encode_pack(batch.take(slice(at, at + pack))) for at in range(0, len(batch), pack)]


def lay_out(events: EventBatch, shape: Shape, seed: int) -> list[list[Record]]:
    """Lay out the whole stream: each partition's records, re-sent and bad messages strewn in by `seed`."""
    rng = np.random.default_rng([seed, shape.partitions, shape.pack])
    home = partitions_of(events.users, shape.partitions)
    start = Control(control=ControlKind.START, source_id=SOURCE, total_events=len(events))
    end = Control(
        control=ControlKind.END,
        source_id=SOURCE,
        event_time_ms=int(events.event_time_ms.max()),
        source_seq=int(events.source_seq[-1]),
    )
    partitions = []
    for partition in range(shape.partitions):
        sent = messages(events.take(home == partition), shape.pack)
        records = [start.to_record()]
        for at, message in enumerate(sent):
            records.append(message)
            if rng.random() < shape.resent:
                records.append(sent[int(rng.integers(at + 1))])
            if rng.random() < shape.bad:
                records.append(_bad(rng))
        partitions.append([*records, end.to_record()])
    return partitions


def write_stream(log: Log, topics: Topics, events: EventBatch, shape: Shape, seed: int) -> None:
    """Create topics and write the whole stream at once."""
    create_topics(log, topics, shape.partitions)
    with log.writer() as writer:
        for partition, records in enumerate(lay_out(events, shape, seed)):
            writer.append(topics.ratings, partition, records)


def _bad(rng: np.random.Generator) -> Record:
    """Return a bad message: undecodable, one bad event, or a pack of three whose middle one is NaN."""
    kind = int(rng.integers(len(_BAD) + 1))
    if kind < len(_BAD):
        return Record(b"u1", _BAD[kind])
    pack = {
        "v": 1,
        "source_id": "bad",
        "user_width": 2,
        "users": b"u1u1u1",
        "item_width": 2,
        "items": b"i1i2i3",
        "ratings": np.full(3, np.nan).tobytes(),
        "times": np.full(3, START_MS).tobytes(),
        "seqs": np.arange(3).tobytes(),
    }
    return Record(None, msgspec.msgpack.encode(pack), (("n", b"3"),))
