"""What a ratings topic holds, read independently of the learner: the events, their order, what repeats, what is bad.

It shares no code with the learner: messages are taken apart here, and the order and the duplicates are worked out
again in plain Python.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from eventlog.log import Log


class Event(NamedTuple):
    """A good event as it stands in the log."""

    source: str | None
    seq: int
    key: str | None
    user: str
    item: str
    time_ms: int

    @property
    def identity(self) -> tuple[str | None, int, str | None]:
        """What makes it the same event when it is sent again."""
        return self.source, self.seq, self.key


class RawRecord(NamedTuple):
    """One record of any topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


def read_topic(log: Log, topic: str) -> list[RawRecord]:
    """Every record of a topic, each partition in offset order."""
    found = []
    for partition, (begin, end) in log.bounds(topic).items():
        if begin == end:
            continue
        with log.reader(topic, [partition]) as reader:
            while reader.position(partition) < end:
                for batch in reader.poll(10_000, 10.0):
                    found += [
                        RawRecord(partition, offset, key, value, dict(headers))
                        for offset, key, value, headers in zip(
                            batch.offsets.tolist(), batch.keys, batch.values, batch.headers, strict=True
                        )
                    ]
    return found


@dataclass
class Truth:
    """What must come of a ratings topic.

    events: the good ones in the order of learning, each once, and of each partition in its own. declared: events that the messages hold, good or
    bad. bad: {key of the dead letter: events in it}. ends: {partition: offset after the last record that must be
    read}. afterwards: (partition, offset, events) of records behind the END that only repeat, as a producer writes
    that wakes too late: a learner may have stopped before them, and `duplicates` and `declared` leave them out.
    """

    events: list[Event] = field(default_factory=list)
    by_partition: dict[int, list[Event]] = field(default_factory=dict)
    duplicates: int = 0
    declared: int = 0
    bad: dict[bytes, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    afterwards: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """Events that stand in the log again."""
        return self.duplicates + sum(events for *_, events in self.afterwards)


def read_truth(log: Log, topic: str) -> Truth:
    """Work out what must be learned from a ratings topic, in which order."""
    truth = Truth()
    seen: set[tuple[Any, ...]] = set()
    partitions = truth.by_partition
    ended: set[int] = set()
    for record in read_topic(log, topic):
        mine = partitions.setdefault(record.partition, [])
        repeats, news = 0, record.partition not in ended
        for index, event in _events_of(record):
            if event is None:
                letter = f"{topic}/{record.partition}/{record.offset}/{index}".encode()
                truth.bad[letter] = int(record.headers.get("n", b"1")) if index < 0 else 1
                news = True
            elif event.identity in seen:
                repeats += 1
            else:
                seen.add(event.identity)
                mine.append(event)
                news = True
        if news:
            truth.ends[record.partition] = record.offset + 1
            truth.duplicates += repeats
        elif repeats:
            truth.afterwards.append((record.partition, record.offset, repeats))
        if (record.value or b"").startswith(b'{"control":"end"'):
            ended.add(record.partition)
    truth.events = _merged(list(partitions.values()))
    truth.declared = len(truth.events) + truth.duplicates + sum(truth.bad.values())
    return truth


def _merged(partitions: list[list[Event]]) -> list[Event]:
    """One order: by (time, seq), but never before what stands before it in its own partition."""
    keyed = []
    for number, events in enumerate(partitions):
        latest = (-1, -1)
        for place, event in enumerate(events):
            latest = max(latest, (event.time_ms, event.seq))
            keyed.append((latest, number, place, event))
    if len(partitions) == 1:
        return partitions[0]
    return [event for *_, event in sorted(keyed, key=lambda one: one[:3])]


def _events_of(record: RawRecord) -> Iterator[tuple[int, Event | None]]:
    """(index, event) of a message, None for a bad one; index -1 is the whole message. Controls give nothing."""
    value = record.value or b""
    if value.startswith(b'{"control"'):
        return
    try:
        if value[:1] == b"{":
            wire = json.loads(value)
            event = Event(
                wire.get("source_id"),
                wire["source_seq"] if "source_id" in wire else -1,
                wire.get("key"),
                wire["user"],
                wire["item"],
                wire["event_time_ms"],
            )
            good = 0 <= wire["rating"] <= 10 and wire["event_time_ms"] >= 0
            yield (0, event) if good else (-1, None)
            return
        pack = msgspec.msgpack.decode(value)
        count = len(pack["seqs"]) // 8
    except (msgspec.DecodeError, ValueError, KeyError, TypeError):
        yield -1, None
        return
    seqs, times = np.frombuffer(pack["seqs"], "<i8"), np.frombuffer(pack["times"], "<i8")
    ratings = np.frombuffer(pack["ratings"], "<f8")
    for index in range(count):
        user, item = (
            pack[f"{name}s"][index * pack[f"{name}_width"] : (index + 1) * pack[f"{name}_width"]]
            .rstrip(b"\0")
            .decode()
            for name in ("user", "item")
        )
        good = math.isfinite(ratings[index]) and 0 <= ratings[index] <= 10
        event = Event(pack["source_id"], int(seqs[index]), None, user, item, int(times[index]))
        yield index, event if good else None
