"""A log whose calls fail as networks and disks do, by seed: the same protocol, around another log.

An append may be refused, be stored in part, be stored twice, or be stored without an answer; a poll may fail, find
nothing, bring less than there is, or bring partitions in another order. Nothing is lost or reordered within a
partition: that a log keeps. Appended records are held back until `flush`, so that closing a log that failed stores
nothing more, as the death of a process would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from eventlog.errors import BrokerError, LogError
from eventlog.log import Bounds, Log, LogReader, LogWriter, Record, RecordBatch


class Rates(NamedTuple):
    """Chances of each call.

    fails: at once. unanswered: done, and yet it fails. Of a flush, torn: a part of it is stored, then it fails; doubled:
    it is stored twice. Of a poll, starved: it finds nothing; short: few records.
    """

    fails: float = 0.0
    unanswered: float = 0.0
    torn: float = 0.0
    doubled: float = 0.0
    starved: float = 0.0
    short: float = 0.0


@dataclass
class Chance:
    """When something goes wrong: drawn by `rng`, `left` times at most; `struck` counts what did, by name."""

    rates: Rates
    rng: np.random.Generator
    left: int
    struck: Counter[str] = field(default_factory=Counter)

    def of(self, name: str) -> bool:
        """Whether this fault strikes now."""
        if self.left <= 0 or self.rng.random() >= getattr(self.rates, name):
            return False
        self.left -= 1
        self.struck[name] += 1
        return True

    def before(self, call: str) -> None:
        """Fail before anything is done. Raises `BrokerError`."""
        if self.of("fails"):
            raise BrokerError(f"injected: {call} failed")

    def after(self, call: str) -> None:
        """Fail after everything is done. Raises `BrokerError`."""
        if self.of("unanswered"):
            raise BrokerError(f"injected: {call} was done, and its answer was lost")


class FaultyLog:
    """`inner`, with `chance` of faults at each call (see `eventlog.log.Log`). Closes the inner log with itself."""

    def __init__(self, inner: Log, chance: Chance) -> None:
        self._inner = inner
        self._chance = chance
        self._opened: list[LogWriter | LogReader] = []

    def create_topic(
        self, topic: str, partitions: int, *, retention_ms: int = -1, compacted: bool = False
    ) -> None:
        """Create a topic."""
        self._chance.before("create_topic")
        self._inner.create_topic(topic, partitions, retention_ms=retention_ms, compacted=compacted)

    def grow_topic(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self._inner.grow_topic(topic, partitions)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic."""
        self._inner.delete_topic(topic)

    def topics(self) -> dict[str, int]:
        """{topic: number of partitions}."""
        return self._inner.topics()

    def partition_count(self, topic: str) -> int:
        """Return the number of partitions."""
        self._chance.before("partition_count")
        return self._inner.partition_count(topic)

    def bounds(self, topic: str) -> dict[int, Bounds]:
        """What each partition retains."""
        self._chance.before("bounds")
        return self._inner.bounds(topic)

    def writer(self) -> FaultyWriter:
        """Open a writer."""
        self._chance.before("writer")
        inner = self._inner.writer()
        self._opened.append(inner)
        return FaultyWriter(inner, self._chance)

    def reader(self, topic: str, partitions: Sequence[int]) -> FaultyReader:
        """Open a reader."""
        self._chance.before("reader")
        inner = self._inner.reader(topic, partitions)
        self._opened.append(inner)
        return FaultyReader(inner, self._chance)

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Record next offsets for `group`."""
        self._chance.before("commit")
        self._inner.commit(group, topic, offsets)
        self._chance.after("commit")

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offsets committed by `group`."""
        return self._inner.committed(group, topic)

    def close(self) -> None:
        """Release everything that was opened here; what was not flushed is gone."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaultyWriter:
    """Holds records back until `flush` (see `eventlog.log.LogWriter`); the inner writer is closed by the log."""

    def __init__(self, inner: LogWriter, chance: Chance) -> None:
        self._inner = inner
        self._chance = chance
        self._held: list[tuple[str, int, Record]] = []

    def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Hold records back."""
        self._chance.before("append")
        self._held += [(topic, partition, record) for record in records]

    def flush(self) -> dict[tuple[str, int], int]:
        """Store what is held back: all of it, a part of it, or all of it twice."""
        held, self._held = self._held, []
        self._chance.before("flush")
        if held and self._chance.of("torn"):
            self._store(held[: int(self._chance.rng.integers(len(held)))])
            raise LogError("injected: a part of the flush was stored")
        acknowledged = self._store(held)
        if held and self._chance.of("doubled"):
            acknowledged |= self._store(held)
        self._chance.after("flush")
        return acknowledged

    def _store(self, held: list[tuple[str, int, Record]]) -> dict[tuple[str, int], int]:
        for topic, partition, record in held:
            self._inner.append(topic, partition, [record])
        return self._inner.flush()

    def close(self) -> None:
        """Flush."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaultyReader:
    """Finds less than there is, later, in another order of partitions (see `eventlog.log.LogReader`)."""

    def __init__(self, inner: LogReader, chance: Chance) -> None:
        self._inner = inner
        self._chance = chance

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next."""
        self._inner.seek(partition, offset)

    def poll(self, max_records: int, timeout_s: float) -> list[RecordBatch]:
        """Return up to `max_records`."""
        self._chance.before("poll")
        if self._chance.of("starved"):
            return []
        few = int(self._chance.rng.integers(1, 4)) if self._chance.of("short") else max_records
        found = self._inner.poll(min(few, max_records), timeout_s)
        order = {
            int(p): at for at, p in enumerate(self._chance.rng.permutation([b.partition for b in found]))
        }
        return sorted(found, key=lambda batch: order[batch.partition])

    def position(self, partition: int) -> int:
        """The offset that the next poll of `partition` starts from."""
        return self._inner.position(partition)

    def pause(self, partitions: Iterable[int]) -> None:
        """Leave these partitions out of polls until resumed."""
        self._inner.pause(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """Take these partitions into polls again."""
        self._inner.resume(partitions)

    def close(self) -> None:
        """Nothing: the log closes the inner reader."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
