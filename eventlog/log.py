"""The log protocol: ordered, partitioned, replayable topics.

Two implementations pass the same contract tests: `eventlog.sqlite_log.SqliteLog` (embedded) and
`eventlog.kafka_log.KafkaLog`. Offsets are per partition, start at 0, increase, and may have gaps
(Kafka's control records take offsets too): nothing may compute "the next offset" except by reading it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from eventlog.errors import LogError

Headers = tuple[tuple[str, bytes], ...]

MAX_RECORD_BYTES = 8 << 20
"""Key and value together, in both logs: the largest pack fits, and so does the dead letter of a large message."""


class Record(NamedTuple):
    """A record to append. A `value` of None is a tombstone: on a compacted topic it deletes `key`."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class RecordBatch(NamedTuple):
    """Records of one partition in offset order, columnar.

    offsets: int64[n], increasing. append_time_ms: int64[n], the log's own clock, UTC.
    keys, values, headers: lists of length n. next_offset: where reading goes on after this batch; it can
    lie beyond `offsets[-1] + 1`, where the log has offsets that hold no record.
    """

    topic: str
    partition: int
    offsets: NDArray[np.int64]
    append_time_ms: NDArray[np.int64]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]
    next_offset: int

    def __bool__(self) -> bool:
        """Whether there is any record (a NamedTuple would count its fields)."""
        return len(self.values) > 0


class Bounds(NamedTuple):
    """What a partition retains: offsets in [begin, end)."""

    begin: int
    end: int


class LogWriter(Protocol):
    """Appends records. Not safe for several threads; any number of processes may each have one."""

    def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Append in order; may buffer. Raises `TopicMissingError` (here or at `flush`)."""

    def flush(self) -> dict[tuple[str, int], int]:
        """Wait until everything appended is durable.

        Returns {(topic, partition): offset of the last record acknowledged since the last flush}.
        Raises `LogError` when anything was refused: then nothing since the last flush is promised.
        """

    def close(self) -> None:
        """Flush and release."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LogReader(Protocol):
    """Reads given partitions of one topic from given offsets, without a group: positions are the caller's."""

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next. Raises `OffsetGoneError` at the seek or the next poll."""

    def poll(self, max_records: int, timeout_s: float) -> list[RecordBatch]:
        """Return up to `max_records` in all, waiting at most `timeout_s`; empty when there is nothing.

        Several batches may be of one partition (then in offset order).
        """

    def position(self, partition: int) -> int:
        """The offset that the next poll of `partition` starts from."""

    def pause(self, partitions: Iterable[int]) -> None:
        """Leave these partitions out of polls until resumed."""

    def resume(self, partitions: Iterable[int]) -> None:
        """Take these partitions into polls again."""

    def close(self) -> None:
        """Release."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Log(Protocol):
    """Topics, and the writers and readers of them."""

    def create_topic(
        self, topic: str, partitions: int, *, retention_ms: int = -1, compacted: bool = False
    ) -> None:
        """Create a topic; one that exists with as many partitions is left as it is.

        retention_ms: -1 keeps everything. Record times are the log's append times, never event times.
        Raises `LogError` when it exists with another number of partitions.
        """

    def grow_topic(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions, empty ones; it may have as many already.

        Readers and writers that are open keep to those that they know. Raises `TopicMissingError`, and `LogError` when
        it has more.
        """

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records and committed offsets; one that does not exist is no error."""

    def topics(self) -> dict[str, int]:
        """{topic: number of partitions}, internal topics left out."""

    def partition_count(self, topic: str) -> int:
        """Raises `TopicMissingError`."""

    def bounds(self, topic: str) -> dict[int, Bounds]:
        """What each partition retains. Raises `TopicMissingError`."""

    def writer(self) -> LogWriter:
        """Open a writer of any topics (idempotent: a retried append is stored once)."""

    def reader(self, topic: str, partitions: Sequence[int]) -> LogReader:
        """Open a reader at the first retained offsets. Raises `TopicMissingError`."""

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Record next offsets for `group`, as information: nobody restarts from them."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offsets committed by `group`; partitions without one are absent."""

    def close(self) -> None:
        """Release."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_growth(topic: str, have: int, wanted: int) -> None:
    """Raise `LogError` where a topic of `have` partitions is to have fewer."""
    if wanted < have:
        raise LogError(
            f"topic {topic} has {have} partitions, expected at most the {wanted} that it is to have"
        )
