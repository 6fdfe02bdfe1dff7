"""Live ingestion: JSON lines (`eventlog.codec.WireEvent`) into the ratings topic.

A line without an identity gets one: (source_id, number of the line from 0). A line that brings its own keeps it.
Ingestion that was killed goes on where the log's tail says, when it is given the same lines again: of what has this
source's identity, nothing that is in the log is written again. Other identities are written again, and the learner
drops what it has taken already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from eventlog.codec import decode_wire
from eventlog.controls import PREFIX
from eventlog.deadletter import DeadLetter, Reason
from eventlog.decode import decode
from eventlog.errors import EventError, SettingsError
from eventlog.event_checks import Limits
from eventlog.events import MAX_ID_BYTES, EventBatch
from eventlog.log import Log, LogWriter, Record, RecordBatch
from eventlog.partitioner import partitions_of
from eventlog.topics import Topics
from producers.line_reader import MAX_LINE_BYTES
from producers.tail import last_dead_line, read_tails

BATCH_LINES: Final = 4_096
BATCH_BYTES: Final = 4 << 20
FLUSH_S: Final = 0.2
_NO_PARTITION: Final = -1
_WHOLE: Final = -1


class Acknowledged(NamedTuple):
    """What one flush made durable. positions: {partition of the ratings topic: offset of its last event}."""

    events: int
    positions: dict[int, int]


class IngestReport(NamedTuple):
    """Counts of lines, blank ones left out: read = accepted + rejected + skipped.

    skipped: those that were in the log already. positions: as of the last flush that had the partition.
    """

    read: int
    accepted: int
    rejected: int
    skipped: int
    positions: dict[int, int]


class _Line(NamedTuple):
    number: int
    value: bytes


@dataclass
class _Done:
    """How far a run is; last_seq (int64[partitions]) and last_dead: what an earlier run left in the log."""

    last_seq: NDArray[np.int64]
    last_dead: int
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    positions: dict[int, int] = field(default_factory=dict)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Ingest:
    """Writes lines to `topics.ratings`, bad ones to `topics.dead_letters`; both must exist.

    source_id: who numbers the lines. limits: those of the learner. on_acknowledged is called after each flush with
    events in it, on_rejected for each bad line once its dead letter is durable; its `offset` is the line's number.
    now_ms: the clock that event times may not be far ahead of. Raises `SettingsError` for a bad source_id.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        source_id: str,
        limits: Limits | None = None,
        *,
        on_acknowledged: Callable[[Acknowledged], None] | None = None,
        on_rejected: Callable[[DeadLetter], None] | None = None,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        if not 1 <= len(source_id) <= MAX_ID_BYTES or not source_id.isprintable():
            raise SettingsError(f"source is {source_id!r}, expected 1 to {MAX_ID_BYTES} printable characters")
        self._log = log
        self._topics = topics
        self._limits = limits or Limits()
        self._max_line_bytes = min(self._limits.max_message_bytes, MAX_LINE_BYTES)
        self._on_acknowledged = on_acknowledged
        self._on_rejected = on_rejected
        self._now_ms = now_ms
        self._source_id = source_id
        self._name = f"ingest:{source_id}"
        self._identity = b',"source_id":' + msgspec.json.encode(source_id) + b',"source_seq":'

    def run(self, lines: Iterable[bytes | None]) -> IngestReport:
        """Ingest lines, with or without their ends, until there are no more.

        None among them says that no more is ready: then what was read is flushed at once. Never raises for what a
        line holds; raises `LogError` when the log refuses, after which a run with the same lines goes on.
        """
        done = self._resume()
        batch: list[_Line] = []
        batch_bytes, number = 0, 0
        flushed_s = time.monotonic()
        with self._log.writer() as writer:
            for line in lines:
                if line is not None:
                    if stripped := line.strip():
                        batch.append(_Line(number, stripped))
                        batch_bytes += len(stripped)
                    number += 1
                if (
                    line is None
                    or len(batch) >= BATCH_LINES
                    or batch_bytes >= BATCH_BYTES
                    or time.monotonic() - flushed_s >= FLUSH_S
                ):
                    self._write(batch, writer, done)
                    batch, batch_bytes = [], 0
                    flushed_s = time.monotonic()
            self._write(batch, writer, done)
        return IngestReport(done.read, done.accepted, done.rejected, done.skipped, done.positions)

    def _resume(self) -> _Done:
        """Read from the log how far this source has come."""
        partitions = range(self._log.partition_count(self._topics.ratings))
        tails = read_tails(self._log, self._topics.ratings, partitions, self._source_id)
        return _Done(
            last_seq=np.array([tail.last_seq for tail in tails], np.int64),
            last_dead=last_dead_line(self._log, self._topics.dead_letters, self._name),
        )

    def _write(self, batch: list[_Line], writer: LogWriter, done: _Done) -> None:
        """Append what is new of a batch, wait until it is durable, and say so."""
        if not batch:
            return
        values, letters = self._check_structure(batch)
        decoded = decode(self._as_records(values), self._limits)
        line_of = {line.number: line.value for line in batch}
        letters += [
            msgspec.structs.replace(letter, index=_WHOLE, payload=line_of[letter.offset])
            for letter in decoded.rejects
        ]
        letters = sorted((one for one in letters if one.offset > done.last_dead), key=lambda one: one.offset)
        accepted = self._append(decoded.events, values, writer, done)
        if letters:
            writer.append(self._topics.dead_letters, 0, [letter.to_record() for letter in letters])
        acknowledged = writer.flush()

        done.read += len(batch)
        done.accepted += accepted
        done.rejected += len(letters)
        done.skipped += len(batch) - accepted - len(letters)
        positions = {
            partition: offset
            for (topic, partition), offset in acknowledged.items()
            if topic == self._topics.ratings
        }
        done.positions.update(positions)
        if self._on_rejected:
            for letter in letters:
                self._on_rejected(letter)
        if self._on_acknowledged and accepted:
            self._on_acknowledged(Acknowledged(accepted, positions))

    def _check_structure(self, batch: list[_Line]) -> tuple[dict[int, bytes], list[DeadLetter]]:
        """Return {number: message of the line, with an identity}, and letters for lines that are no events."""
        values: dict[int, bytes] = {}
        letters = []
        for number, line in batch:
            try:
                values[number] = self._with_identity(number, line)
            except EventError as error:
                letters.append(
                    DeadLetter(
                        topic=self._name,
                        partition=_NO_PARTITION,
                        offset=number,
                        index=_WHOLE,
                        reason=Reason(str(error.reason)),
                        detail=error.detail,
                        payload=line,
                    )
                )
        return values, letters

    def _with_identity(self, number: int, line: bytes) -> bytes:
        if len(line) > self._max_line_bytes:
            size = f"{len(line)} bytes{' or more' if len(line) >= MAX_LINE_BYTES else ''}"
            raise EventError(
                Reason.MESSAGE_TOO_LARGE, f"line has {size}, expected at most {self._max_line_bytes}"
            )
        wire = decode_wire(line)
        if wire.source_id is None and wire.source_seq is None and wire.key is None:
            # The last of equal names counts, so this holds against an explicit null too.
            line = b"%s%s%d}" % (line[:-1], self._identity, number)
        # An event whose first field is unknown to us and called "control" is an event all the same.
        return b"{ " + line[1:] if line.startswith(PREFIX) else line

    def _as_records(self, values: dict[int, bytes]) -> RecordBatch:
        """The lines as the learner would read them, at offsets that are their numbers."""
        n = len(values)
        return RecordBatch(
            topic=self._name,
            partition=_NO_PARTITION,
            offsets=np.fromiter(values, np.int64, n),
            append_time_ms=np.full(n, self._now_ms(), np.int64),
            keys=[None] * n,
            values=list(values.values()),
            headers=[()] * n,
            next_offset=0,
        )

    def _append(self, events: EventBatch, values: dict[int, bytes], writer: LogWriter, done: _Done) -> int:
        """Append good events, each to its user's partition, in order; return how many were not there yet."""
        owner = partitions_of(events.users, len(done.last_seq))
        own = np.array([source == self._source_id for source in (*events.sources, "")])
        there = own[events.source_index] & (events.source_seq <= done.last_seq[owner])
        for partition in range(len(done.last_seq)):
            mine = events.take(~there & (owner == partition))
            rows = zip(mine.users.tolist(), mine.offset.tolist(), strict=True)
            if len(mine):
                records = [Record(user, values[number]) for user, number in rows]
                writer.append(self._topics.ratings, partition, records)
        return int((~there).sum())
