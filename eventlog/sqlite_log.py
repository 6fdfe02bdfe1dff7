"""The embedded log: one SQLite file in WAL mode, safe for any number of processes on one machine.

A flush is one transaction over all its topics and partitions: a process killed at any point leaves all of it or
nothing, and flushed records survive a power cut (`synchronous = FULL`). Nothing is ever retried inside the log, so
no append can be stored twice. Compaction happens as records are appended, retention on some appends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from eventlog.errors import LogError, TopicMissingError
from eventlog.log import Bounds, Record, check_growth
from eventlog.sqlite_reader import SqliteReader
from eventlog.sqlite_store import (
    BLOCK_RECORDS,
    Database,
    check_partition,
    encode_blocks,
    size_of,
    topic_of,
)

BUFFER_RECORDS = 16_384
BUFFER_BYTES = 16 << 20
RETENTION_CHECK_MS = 60_000
TOMBSTONE_RETENTION_MS = 24 * 3600 * 1000

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteLog:
    """The log in the SQLite file `path`, which is created when it does not exist.

    now_ms: the clock of append times and retention. Raises `LogError` when the file is no log.
    """

    def __init__(self, path: str | Path, *, now_ms: Callable[[], int] = _wall_clock_ms) -> None:
        self._path = Path(path)
        self._now_ms = now_ms
        self._database = Database(self._path)

    def create_topic(
        self, topic: str, partitions: int, *, retention_ms: int = -1, compacted: bool = False
    ) -> None:
        """Create a topic (see `eventlog.log.Log`). A compacted topic refuses records without a key."""
        if not _TOPIC_NAME.fullmatch(topic) or topic in {".", ".."}:
            raise LogError(f"topic is {topic!r}, expected 1 to 249 letters, digits, '.', '_' or '-'")
        if partitions < 1:
            raise LogError(f"topic {topic}: partitions is {partitions}, expected 1 or more")
        if retention_ms < -1:
            raise LogError(f"topic {topic}: retention_ms is {retention_ms}, expected -1 or more")
        db = self._database
        with db.transaction():
            found = db.rows("SELECT partitions FROM topics WHERE name = ?", topic)
            if found:
                if found[0][0] != partitions:
                    raise LogError(
                        f"topic {topic} exists with {found[0][0]} partitions, expected {partitions}"
                    )
                return
            [(topic_id,)] = db.rows(
                "INSERT INTO topics (name, partitions, retention_ms, compacted) VALUES (?, ?, ?, ?) "
                "RETURNING id",
                topic,
                partitions,
                retention_ms,
                compacted,
            )
            db.write_many(
                "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
                [(topic_id, partition) for partition in range(partitions)],
            )

    def grow_topic(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions (see `eventlog.log.Log`)."""
        db = self._database
        with db.transaction():
            topic_id, have, _ = topic_of(db, topic)
            check_growth(topic, have, partitions)
            db.rows("UPDATE topics SET partitions = ? WHERE id = ?", partitions, topic_id)
            db.write_many(
                "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
                [(topic_id, partition) for partition in range(have, partitions)],
            )

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records and committed offsets."""
        db = self._database
        with db.transaction():
            for (topic_id,) in db.rows("SELECT id FROM topics WHERE name = ?", topic):
                db.rows(
                    "DELETE FROM blocks WHERE partition_id IN (SELECT id FROM partitions WHERE topic_id = ?)",
                    topic_id,
                )
                for table in ("partitions", "committed"):
                    db.rows(f"DELETE FROM {table} WHERE topic_id = ?", topic_id)
                db.rows("DELETE FROM topics WHERE id = ?", topic_id)

    def topics(self) -> dict[str, int]:
        """{topic: number of partitions}."""
        return dict(self._database.rows("SELECT name, partitions FROM topics ORDER BY name"))

    def partition_count(self, topic: str) -> int:
        """Return the number of partitions. Raises `TopicMissingError`."""
        return topic_of(self._database, topic)[1]

    def bounds(self, topic: str) -> dict[int, Bounds]:
        """What each partition retains. Raises `TopicMissingError`."""
        rows = self._database.rows(
            "SELECT partition, begin_offset, end_offset FROM partitions "
            "WHERE topic_id = (SELECT id FROM topics WHERE name = ?) ORDER BY partition",
            topic,
        )
        if not rows:
            raise TopicMissingError(f"topic {topic} does not exist in {self._path}")
        return {partition: Bounds(begin, end) for partition, begin, end in rows}

    def writer(self) -> SqliteWriter:
        """Open a writer with a connection of its own."""
        return SqliteWriter(Database(self._path), self._now_ms)

    def reader(self, topic: str, partitions: Sequence[int]) -> SqliteReader:
        """Open a reader with a connection of its own, at the first retained offsets."""
        database = Database(self._path)
        try:
            return SqliteReader(database, topic, partitions)
        except BaseException:
            database.close()
            raise

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Record next offsets for `group`. Raises `TopicMissingError`, `LogError` for an unknown partition."""
        db = self._database
        with db.transaction():
            topic_id, partitions, _ = topic_of(db, topic)
            for partition in offsets:
                check_partition(topic, partition, partitions)
            db.write_many(
                "INSERT OR REPLACE INTO committed VALUES (?, ?, ?, ?)",
                [(group, topic_id, partition, offset) for partition, offset in offsets.items()],
            )

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offsets committed by `group`; empty for a topic that does not exist."""
        return dict(
            self._database.rows(
                "SELECT partition, next_offset FROM committed WHERE group_name = ? "
                "AND topic_id = (SELECT id FROM topics WHERE name = ?) ORDER BY partition",
                group,
                topic,
            )
        )

    def enforce_retention(self, now_ms: int | None = None) -> None:
        """Drop what is older than each topic's retention at `now_ms` (the log's clock without one)."""
        with self._database.transaction():
            _enforce_retention(self._database, self._now_ms() if now_ms is None else now_ms)

    def close(self) -> None:
        """Release the connection; writers and readers have their own."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _enforce_retention(database: Database, now_ms: int) -> None:
    """Move `begin_offset` past expired blocks and delete them; drop old tombstones. Inside a transaction."""
    for partition_id, retention_ms in database.rows(
        "SELECT p.id, retention_ms FROM partitions p JOIN topics t ON t.id = topic_id WHERE retention_ms >= 0"
    ):
        database.rows(
            "UPDATE partitions SET begin_offset = coalesce((SELECT first_offset FROM blocks "
            "WHERE partition_id = ?1 AND append_time_ms >= ?2 ORDER BY first_offset LIMIT 1), "
            "end_offset) WHERE id = ?1",
            partition_id,
            now_ms - retention_ms,
        )
        database.rows(
            "DELETE FROM blocks WHERE partition_id = ?1 AND first_offset < "
            "(SELECT begin_offset FROM partitions WHERE id = ?1)",
            partition_id,
        )
    database.rows(
        "DELETE FROM blocks WHERE key IS NOT NULL AND tombstone AND append_time_ms < ?",
        now_ms - TOMBSTONE_RETENTION_MS,
    )


class SqliteWriter:
    """Buffers records and commits them, all partitions in one transaction (see `eventlog.log.LogWriter`)."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._buffer: dict[tuple[str, int], list[Record]] = {}
        self._records = 0
        self._bytes = 0
        self._acknowledged: dict[tuple[str, int], int] = {}
        self._retention_checked_ms = 0

    def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Buffer records; a large buffer is committed at once, before `flush`.

        Raises `LogError` for a record that cannot be stored (then none of this call is buffered).
        """
        taken = list(records)
        self._bytes += size_of(taken)
        self._records += len(taken)
        self._buffer.setdefault((topic, partition), []).extend(taken)
        if self._records >= BUFFER_RECORDS or self._bytes >= BUFFER_BYTES:
            self._commit()

    def flush(self) -> dict[tuple[str, int], int]:
        """Commit what is buffered; on an error nothing of it is stored, and the buffer is dropped."""
        self._commit()
        acknowledged, self._acknowledged = self._acknowledged, {}
        return acknowledged

    def close(self) -> None:
        """Flush and release the connection."""
        try:
            self.flush()
        finally:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _commit(self) -> None:
        buffered, self._buffer = self._buffer, {}
        self._records = self._bytes = 0
        acknowledged = {}
        try:
            with self._database.transaction():
                for (topic, partition), records in buffered.items():
                    if records:
                        last = self._insert(topic, partition, records)
                        acknowledged[topic, partition] = last
                if buffered:
                    self._check_retention()
        except BaseException:
            self._acknowledged = {}
            raise
        self._acknowledged.update(acknowledged)

    def _insert(self, topic: str, partition: int, records: list[Record]) -> int:
        """Insert records at the partition's end; return the last one's offset."""
        topic_id, partitions, compacted = topic_of(self._database, topic)
        check_partition(topic, partition, partitions)
        if compacted and any(record.key is None for record in records):
            raise LogError(f"topic {topic} is compacted: a record's key is None, expected bytes")
        [(partition_id, end)] = self._database.rows(
            "SELECT id, end_offset FROM partitions WHERE topic_id = ? AND partition = ?",
            topic_id,
            partition,
        )
        append_time_ms = self._now_ms()
        rows: list[tuple[object, ...]] = []
        first: int = end
        for count, payload in encode_blocks(records, 1 if compacted else BLOCK_RECORDS):
            record = records[first - end]
            key, tombstone = (record.key, record.value is None) if compacted else (None, False)
            rows.append((partition_id, first, append_time_ms, key, tombstone, payload))
            first += count
        # REPLACE is the compaction: an older record of the same key goes.
        self._database.write_many("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._database.rows("UPDATE partitions SET end_offset = ? WHERE id = ?", first, partition_id)
        return first - 1

    def _check_retention(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._retention_checked_ms >= RETENTION_CHECK_MS:
            self._retention_checked_ms = now_ms
            _enforce_retention(self._database, now_ms)
