"""The embedded log's file: schema, connections, transactions, and the blocks that records are stored in.

Records are stored as blocks (up to `BLOCK_RECORDS` records of one partition as one row), which is what makes
single events cheap; on a compacted topic a block is one record and carries its key.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from eventlog.errors import LogError, TopicMissingError
from eventlog.log import MAX_RECORD_BYTES, Headers, Record

BLOCK_RECORDS = 512
BLOCK_BYTES = 256 << 10
BUSY_TIMEOUT_S = 30.0
SCHEMA_VERSION = 1

# AUTOINCREMENT: a reader of a deleted topic must never find another topic's records under an old id.
_SCHEMA = (
    """CREATE TABLE topics (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
        retention_ms INTEGER NOT NULL, compacted INTEGER NOT NULL)""",
    """CREATE TABLE partitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, topic_id INTEGER NOT NULL, partition INTEGER NOT NULL,
        begin_offset INTEGER NOT NULL DEFAULT 0, end_offset INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic_id, partition))""",
    """CREATE TABLE blocks (
        partition_id INTEGER NOT NULL, first_offset INTEGER NOT NULL, append_time_ms INTEGER NOT NULL,
        key BLOB, tombstone INTEGER NOT NULL, payload BLOB NOT NULL,
        PRIMARY KEY (partition_id, first_offset))""",
    "CREATE UNIQUE INDEX latest_of_key ON blocks (partition_id, key) WHERE key IS NOT NULL",
    """CREATE TABLE committed (
        group_name TEXT NOT NULL, topic_id INTEGER NOT NULL, partition INTEGER NOT NULL,
        next_offset INTEGER NOT NULL, PRIMARY KEY (group_name, topic_id, partition)) WITHOUT ROWID""",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Database:
    """One connection to the log's file. Every `sqlite3.Error` becomes a `LogError` that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LogError(f"{path}: cannot create its directory: {error}") from None
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._enter_wal_mode()
        # FULL: a commit survives a power cut too. A checkpoint's offset must never lie beyond the log's
        # end after one, or new events would take the place of learned ones.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 4000")
        if self.rows("PRAGMA user_version")[0][0] == 0:
            with self.transaction():
                if self.rows("PRAGMA user_version")[0][0] == 0:
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
        version = self.rows("PRAGMA user_version")[0][0]
        if version != SCHEMA_VERSION:
            raise LogError(f"{self.path}: log format is {version}, expected {SCHEMA_VERSION}")

    def _enter_wal_mode(self) -> None:
        """Switch to WAL; SQLite does not wait for a lock here, so that processes opening a new file retry."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            held = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            way_out = (
                f" for more than {BUSY_TIMEOUT_S:g} s by another process: one that is stopped in the middle of a write "
                "keeps everybody waiting; let it go on, or end it (what it had not finished is undone), and start again"
            )
            raise LogError(f"{self.path}: {error}{way_out if held else ''}") from error

    @contextmanager
    def transaction(self, mode: str = "IMMEDIATE") -> Iterator[None]:
        """Run a block as one transaction: `IMMEDIATE` to write, `DEFERRED` to read one snapshot."""
        with self._errors():
            self._connection.execute(f"BEGIN {mode}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk has rolled back already, and its error is the one to tell.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Run a statement and return its rows."""
        with self._errors():
            return self._connection.execute(sql, values).fetchall()

    def each_row(self, sql: str, *values: object) -> Iterator[Any]:
        """Yield rows as they are read; to be used inside `transaction`."""
        cursor = self._connection.execute(sql, values)
        try:
            yield from cursor
        finally:
            cursor.close()

    def write_many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement for each row; to be used inside `transaction`."""
        self._connection.executemany(sql, rows)

    def close(self) -> None:
        """Close the connection (the last one of all processes folds the WAL into the file)."""
        with self._errors():
            self._connection.close()


def topic_of(database: Database, topic: str) -> tuple[int, int, bool]:
    """Return a topic's (id, number of partitions, whether compacted). Raises `TopicMissingError`."""
    rows = database.rows("SELECT id, partitions, compacted FROM topics WHERE name = ?", topic)
    if not rows:
        raise TopicMissingError(f"topic {topic} does not exist in {database.path}")
    topic_id, partitions, compacted = rows[0]
    return topic_id, partitions, bool(compacted)


def check_partition(topic: str, partition: int, partitions: int) -> None:
    """Raise `LogError` for a partition that the topic does not have."""
    if not 0 <= partition < partitions:
        raise LogError(f"topic {topic}: partition is {partition}, expected 0 to {partitions - 1}")


class Block(NamedTuple):
    """Records of one partition with consecutive offsets from `first_offset`, and one append time."""

    first_offset: int
    append_time_ms: int
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers] | None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[list[bytes | None], list[bytes | None], list[Headers] | None])
_BYTES_OR_NONE = {bytes, type(None)}


def size_of(records: Sequence[Record]) -> int:
    """Check records and return the bytes of their keys and values.

    Raises `LogError` naming the record's place, the field and what was expected.
    """
    if not {type(part) for record in records for part in record[:2]} <= _BYTES_OR_NONE:
        raise LogError(_first_fault(records))
    sizes = _sizes(records)
    if sizes and (max(sizes) > MAX_RECORD_BYTES or 0 in sizes or any(r[2] for r in records)):
        fault = _first_fault(records)
        if fault:
            raise LogError(fault)
    return sum(sizes)


def _sizes(records: Sequence[Record]) -> list[int]:
    return [len(key or b"") + len(value or b"") for key, value, _ in records]


def _first_fault(records: Sequence[Record]) -> str:
    """Say what is wrong with the first bad record; empty when none is."""
    for place, (key, value, headers) in enumerate(records):
        for field, part in (("key", key), ("value", value)):
            if type(part) not in _BYTES_OR_NONE:
                return f"record {place}: {field} is {part!r:.80}, expected bytes or None"
        if key is None and value is None:
            return f"record {place}: key and value are both None, expected one of them"
        size = len(key or b"") + len(value or b"")
        if size > MAX_RECORD_BYTES:
            return f"record {place}: {size} bytes, expected at most {MAX_RECORD_BYTES}"
        for header in headers:
            if [type(part) for part in header] != [str, bytes]:
                return f"record {place}: header is {header!r:.80}, expected (str, bytes)"
    return ""


def encode_blocks(records: Sequence[Record], block_records: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number of records, payload) of blocks of at most `block_records` and about `BLOCK_BYTES`."""
    ends = list(accumulate(_sizes(records)))
    start = 0
    while start < len(records):
        full = bisect_right(ends, (ends[start - 1] if start else 0) + BLOCK_BYTES)
        stop = min(start + block_records, max(start + 1, full))
        part = records[start:stop]
        headers = [record[2] for record in part]
        columns = ([r[0] for r in part], [r[1] for r in part], headers if any(headers) else None)
        yield stop - start, _encode(columns)
        start = stop


def decode_block(first_offset: int, append_time_ms: int, payload: bytes) -> Block:
    """Decode a block's payload. Raises `LogError` when its bytes are damaged."""
    try:
        return Block(first_offset, append_time_ms, *_decoder.decode(payload))
    except msgspec.DecodeError as error:
        raise LogError(f"the block at offset {first_offset} is damaged: {error}") from None
