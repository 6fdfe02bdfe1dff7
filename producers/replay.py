"""The replay: a stream of events into the ratings topic, in event-time order, resumable anywhere.

On every partition: START, the events (packed), watermarks, END. All partitions progress together, so that a reader
that merges them needs bounded buffers. A replay that was killed goes on where the log's tail says: what it finds
there it does not write again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventlog.codec import SCHEMA_VERSION, WireEvent, encode_pack, encode_wire
from eventlog.controls import Control, ControlKind
from eventlog.errors import SettingsError
from eventlog.events import EventBatch, Kind
from eventlog.log import Log, Record
from eventlog.partitioner import partitions_of
from eventlog.topics import Topics
from producers.columns import RatingColumns
from producers.stream import EventStream
from producers.tail import Tail, read_tails

BLOCK_EVENTS: Final = 8_192
FLUSH_EVENTS: Final = 65_536
TICK_S: Final = 0.1


class Clock(Protocol):
    """Monotonic time in seconds; tests bring their own."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: as fast as possible, `rate` events a second, or `speed` times as fast as it happened.

    pack: events per message, 1 for one JSON event a message. Raises `SettingsError` for what is not positive.
    """

    pack: int = 256
    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.pack <= 4096:
            raise SettingsError(f"pack is {self.pack}, expected 1 to 4096")
        if self.rate is not None and self.speed is not None:
            raise SettingsError("rate and speed are both given, expected one of them")
        for name, value in (("rate", self.rate), ("speed", self.speed)):
            if value is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} is {value}, expected a finite number above 0")


class Progress(NamedTuple):
    """written: events in the log, those of earlier lives included; total: that the stream has."""

    written: int
    total: int


class Replay:
    """Writes `stream` to `topics.ratings`. `step` until `done`, or `run`.

    Everything before the log's tail is left as it is; see `producers.tail`. own_partitions: those that it writes, all
    by default; the others are another process's, and a rate is that of all of them together. Raises `SettingsError`
    when the log holds more of this source than `stream` has, or has no such partition.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        stream: EventStream,
        pace: Pace,
        clock: Clock | None = None,
        own_partitions: Collection[int] | None = None,
    ) -> None:
        self._topic = topics.ratings
        self._stream = stream
        self._pace = pace
        self._clock: Clock = clock or WallClock()
        self._partitions = log.partition_count(self._topic)
        own = _own(own_partitions, self._partitions)
        tails = read_tails(log, self._topic, own, stream.source_id)
        last_seq = max(tail.last_seq for tail in tails)
        if last_seq >= max(stream.total_events, 1):
            raise SettingsError(
                f"limit leaves {stream.total_events} events of {stream.source_id}, and the log holds them up to number "
                f"{last_seq}: expected a limit of {last_seq + 1} or more, or another log"
            )
        self._tails = {
            partition: _reopened(tail, stream.total_events)
            for partition, tail in zip(own, tails, strict=True)
        }
        self._writer = log.writer()
        self._at = min(tail.last_seq for tail in self._tails.values()) + 1
        self._first = self._at
        self._started_s: float | None = None
        self._first_ms: int | None = None
        self._unflushed = 0
        self.done = all(tail.ended for tail in self._tails.values())

    @property
    def progress(self) -> Progress:
        """How far the log is."""
        return Progress(self._stream.total_events if self.done else self._at, self._stream.total_events)

    def change_pace(self, pace: Pace) -> None:
        """Go on from here at another pace."""
        self._pace = pace
        self._first, self._first_ms = self._at, None
        if self._started_s is not None:
            self._started_s = self._clock.now()

    def run(self) -> None:
        """Step until done."""
        while not self.done:
            self.step()

    def step(self) -> Progress:
        """Write what is due, at most a block; waits when nothing is. Flushed at least every `TICK_S` when paced."""
        if self.done:
            return self.progress
        if self._started_s is None:
            self._started_s = self._clock.now()
            self._start()
        block = self._stream.block(self._at, BLOCK_EVENTS)
        due, wait_s = self._due(block)
        if not due and block.size:
            self._clock.sleep(min(wait_s, TICK_S))
            return self.progress
        self._write(block.take(slice(0, due)))
        self._at += due
        paced = self._pace.rate is not None or self._pace.speed is not None
        if paced or self._unflushed >= FLUSH_EVENTS:
            self._writer.flush()
            self._unflushed = 0
        if self._at >= self._stream.total_events:
            self._end()
        return self.progress

    def close(self) -> None:
        """Flush and release."""
        self._writer.close()

    def _due(self, block: RatingColumns) -> tuple[int, float]:
        """How many events of `block` are due now, and the seconds until the next one is."""
        elapsed_s = self._clock.now() - (self._started_s or 0.0)
        if self._pace.rate is not None:
            allowed = int(elapsed_s * self._pace.rate) + 1 - (self._at - self._first)
            # At least a tick's worth at a time, or a high rate would be lost in small writes.
            least = min(block.size, max(1, int(self._pace.rate * TICK_S)))
            if allowed < least:
                return 0, (least - allowed) / self._pace.rate
            return min(allowed, block.size), 0.0
        if self._pace.speed is not None and block.size:
            if self._first_ms is None:
                self._first_ms = int(block.event_time_ms[0])
            now_ms = self._first_ms + elapsed_s * 1000.0 * self._pace.speed
            due = int(np.searchsorted(block.event_time_ms, now_ms, side="right"))
            if not due:
                return 0, (float(block.event_time_ms[0]) - now_ms) / 1000.0 / self._pace.speed
            return due, 0.0
        return block.size, 0.0

    def _start(self) -> None:
        for partition, tail in self._tails.items():
            if not tail.started:
                self._control(partition, ControlKind.START, 0, -1)

    def _end(self) -> None:
        """Close the source on each partition; the last moment is that of the last event."""
        last = self._stream.block(self._stream.total_events - 1, 1) if self._stream.total_events else None
        time_ms = int(last.event_time_ms[0]) if last is not None else 0
        for partition, tail in self._tails.items():
            if not tail.ended:
                self._control(partition, ControlKind.END, time_ms, self._stream.total_events - 1)
        self._writer.flush()
        self.done = True

    def _control(self, partition: int, kind: ControlKind, time_ms: int, seq: int) -> None:
        start = kind is ControlKind.START
        control = Control(
            control=kind,
            source_id=self._stream.source_id,
            event_time_ms=time_ms,
            source_seq=seq,
            total_events=self._stream.total_events if start else None,
            rating_min=self._stream.rating_min if start else None,
            rating_max=self._stream.rating_max if start else None,
        )
        self._writer.append(self._topic, partition, [control.to_record()])

    def _write(self, block: RatingColumns) -> None:
        """Append a block to the partitions, each from its tail on, then a watermark where there are several."""
        seq = np.arange(self._at, self._at + block.size, dtype=np.int64)
        owner = partitions_of(block.users, self._partitions)
        for partition, tail in self._tails.items():
            mine = np.flatnonzero((owner == partition) & (seq > tail.last_seq))
            if len(mine):
                records = self._records(block.take(mine), seq[mine])
                self._writer.append(self._topic, partition, records)
        self._unflushed += block.size
        if self._partitions > 1 and block.size:
            for partition, tail in self._tails.items():
                if int(seq[-1]) > tail.last_seq:
                    self._control(
                        partition, ControlKind.WATERMARK, int(block.event_time_ms[-1]), int(seq[-1])
                    )

    def _records(self, events: RatingColumns, seq: NDArray[np.int64]) -> Sequence[Record]:
        source = self._stream.source_id
        if self._pace.pack == 1:
            return single_records(source, events, seq)
        batch = _batch_of(source, events, seq)
        pack = self._pace.pack
        return [encode_pack(batch.take(slice(at, at + pack))) for at in range(0, len(batch), pack)]


def _own(asked: Collection[int] | None, partitions: int) -> list[int]:
    """Return the partitions to write, in order."""
    own = sorted(set(range(partitions) if asked is None else asked))
    if not own or own[0] < 0 or own[-1] >= partitions:
        shown = ", ".join(map(str, own)) or "none"
        raise SettingsError(f"own partitions are {shown}, expected some of 0 to {partitions - 1}")
    return own


def _reopened(tail: Tail, total_events: int) -> Tail:
    """A source that ended before it had as many events, under a smaller limit, starts again and goes on."""
    short = tail.ended and tail.last_seq < total_events - 1
    return tail._replace(started=False, ended=False) if short else tail


def single_records(source_id: str, events: RatingColumns, seq: NDArray[np.int64]) -> list[Record]:
    """Encode each event as a JSON message of its own, keyed by its user."""
    rows = zip(
        events.users.tolist(),
        events.items.tolist(),
        events.ratings.tolist(),
        events.event_time_ms.tolist(),
        seq.tolist(),
        strict=True,
    )
    return [
        Record(
            user,
            encode_wire(
                WireEvent(
                    v=SCHEMA_VERSION,
                    user=user.decode(),
                    item=item.decode(),
                    rating=rating,
                    event_time_ms=time_ms,
                    source_id=source_id,
                    source_seq=number,
                )
            ),
        )
        for user, item, rating, time_ms, number in rows
    ]


def _batch_of(source_id: str, events: RatingColumns, seq: NDArray[np.int64]) -> EventBatch:
    n = events.size
    zeros = np.zeros(n, np.int32)
    longs = np.zeros(n, np.int64)
    return EventBatch(
        sources=(source_id,),
        users=events.users,
        items=events.items,
        ratings=events.ratings,
        event_time_ms=events.event_time_ms,
        kinds=np.full(n, Kind.RATING, np.uint8),
        source_index=zeros,
        source_seq=seq,
        key_hash=np.zeros(n, np.uint64),
        partition=zeros,
        offset=longs,
        index=zeros,
        append_time_ms=longs,
    )


def publish_metadata(log: Log, topics: Topics, stream: EventStream) -> tuple[int, int]:
    """Write what is known of items and users to their compacted topics; returns how many of each."""
    items = [item.to_record() for item in stream.items()]
    users = [user.to_record() for user in stream.users()]
    with log.writer() as writer:
        writer.append(topics.items, 0, items)
        writer.append(topics.users, 0, users)
        writer.flush()
    return len(items), len(users)
