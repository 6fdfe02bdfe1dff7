"""What a log holds, decoded as the learner decodes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eventlog.controls import Control
from eventlog.deadletter import DeadLetter
from eventlog.decode import Decoded, decode
from eventlog.event_checks import Limits
from eventlog.log import Log, Record, RecordBatch
from eventlog.topics import Topics

TOPICS = Topics.with_prefix("test")


class Event(NamedTuple):
    """One event; source is None where a key is its identity."""

    user: str
    item: str
    rating: float
    time_ms: int
    source: str | None
    seq: int


def create_topics(log: Log, partitions: int) -> None:
    log.create_topic(TOPICS.ratings, partitions)
    log.create_topic(TOPICS.dead_letters, 1)


def records(log: Log, topic: str, partition: int) -> RecordBatch:
    """Everything in a partition, as one batch."""
    end = log.bounds(topic)[partition].end
    parts: list[RecordBatch] = []
    with log.reader(topic, [partition]) as reader:
        while reader.position(partition) < end:
            parts += reader.poll(10_000, 10.0)
    return RecordBatch(
        topic,
        partition,
        np.array([offset for part in parts for offset in part.offsets], np.int64),
        np.array([time_ms for part in parts for time_ms in part.append_time_ms], np.int64),
        [key for part in parts for key in part.keys],
        [value for part in parts for value in part.values],
        [headers for part in parts for headers in part.headers],
        end,
    )


def decoded(log: Log, partition: int = 0) -> Decoded:
    """A partition of the ratings topic; the limits are wide, but a user must be in the right partition."""
    topic = TOPICS.ratings
    return decode(records(log, topic, partition), Limits(), log.partition_count(topic))


def events_of(batch: Decoded) -> list[Event]:
    found = batch.events
    return [
        Event(
            user.decode(), item.decode(), rating, time_ms, found.sources[source] if source >= 0 else None, seq
        )
        for user, item, rating, time_ms, source, seq in zip(
            found.users.tolist(),
            found.items.tolist(),
            found.ratings.tolist(),
            found.event_time_ms.tolist(),
            found.source_index.tolist(),
            found.source_seq.tolist(),
            strict=True,
        )
    ]


def events(log: Log, partition: int = 0) -> list[Event]:
    """Good events of a partition; there must be no others."""
    batch = decoded(log, partition)
    assert not batch.rejects
    return events_of(batch)


def all_events(log: Log) -> list[list[Event]]:
    """Good events of every partition."""
    return [events(log, partition) for partition in range(log.partition_count(TOPICS.ratings))]


def controls(log: Log, partition: int, source_id: str) -> list[Control]:
    return [one for _, one in decoded(log, partition).controls if one.source_id == source_id]


def letters(log: Log) -> list[DeadLetter]:
    return [DeadLetter.from_value(value or b"") for value in records(log, TOPICS.dead_letters, 0).values]


def copy(source: Log, target: Log, topic: str, partition: int, count: int) -> None:
    """Append the first `count` records of a partition of `source` to that of `target`."""
    found = records(source, topic, partition)
    rows = zip(found.keys, found.values, found.headers, strict=True)
    with target.writer() as writer:
        writer.append(topic, partition, [Record(*row) for row in rows][:count])
