"""What only the embedded log has: its own clock, retention and compaction at known times, its file."""

from __future__ import annotations

import sqlite3

import pytest

from eventlog.errors import LogError
from eventlog.log import Bounds, Record
from eventlog.sqlite_log import RETENTION_CHECK_MS, TOMBSTONE_RETENTION_MS, SqliteLog

DAY_MS = 24 * 3600 * 1000
START_MS = 900_000_000_000


class Clock:
    """A clock that tests set."""

    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(tmp_path, clock):
    with SqliteLog(tmp_path / "log.db", now_ms=clock) as opened:
        yield opened


def append(log, topic, *values, key=b"k"):
    with log.writer() as writer:
        writer.append(topic, 0, [Record(key, value) for value in values])


def read(log, topic):
    """(offset, append time, value) of every record."""
    with log.reader(topic, [0]) as reader:
        batches = []
        while reader.position(0) < log.bounds(topic)[0].end:
            batches += reader.poll(100, 0.0)
    return [
        row
        for batch in batches
        for row in zip(batch.offsets.tolist(), batch.append_time_ms.tolist(), batch.values, strict=True)
    ]


def test_retention_drops_what_was_appended_too_long_ago(log, clock):
    log.create_topic("t", 1, retention_ms=DAY_MS)
    log.create_topic("kept", 1)
    for topic in ("t", "kept"):
        append(log, topic, b"0", b"1")
    clock.now_ms += DAY_MS
    append(log, "t", b"2")
    log.enforce_retention()
    assert log.bounds("t")[0] == Bounds(0, 3)
    log.enforce_retention(START_MS + DAY_MS + 1)
    assert log.bounds("t")[0] == Bounds(2, 3)
    assert read(log, "t") == [(2, START_MS + DAY_MS, b"2")]
    log.enforce_retention(START_MS + 9 * DAY_MS)
    assert log.bounds("t")[0] == Bounds(3, 3)
    append(log, "t", b"3")
    assert read(log, "t") == [(3, START_MS + DAY_MS, b"3")]
    assert log.bounds("kept")[0] == Bounds(0, 2)


def test_retention_is_enforced_by_appends_now_and_then(log, clock):
    log.create_topic("t", 1, retention_ms=1000)
    with log.writer() as writer:
        for step in range(3):
            writer.append("t", 0, [Record(b"k", b"%d" % step)])
            writer.flush()
            clock.now_ms += RETENTION_CHECK_MS
    # The last append, one check interval after the second, dropped the two before it.
    assert log.bounds("t")[0] == Bounds(2, 3)


def test_tombstones_go_a_day_later_and_readers_still_reach_the_end(log, clock):
    log.create_topic("t", 1, compacted=True)
    append(log, "t", b"value", key=b"a")
    append(log, "t", b"value", key=b"b")
    append(log, "t", None, key=b"b")
    assert read(log, "t") == [(0, START_MS, b"value"), (2, START_MS, None)]
    log.enforce_retention(START_MS + TOMBSTONE_RETENTION_MS)
    assert len(read(log, "t")) == 2
    log.enforce_retention(START_MS + TOMBSTONE_RETENTION_MS + 1)
    assert read(log, "t") == [(0, START_MS, b"value")]
    assert log.bounds("t")[0] == Bounds(0, 3)


def test_a_clock_that_goes_back_harms_nothing(log, clock):
    log.create_topic("t", 1, retention_ms=1000)
    append(log, "t", b"0")
    clock.now_ms -= DAY_MS
    append(log, "t", b"1")
    assert read(log, "t") == [(0, START_MS, b"0"), (1, START_MS - DAY_MS, b"1")]
    log.enforce_retention(START_MS)
    assert log.bounds("t")[0] == Bounds(0, 2)


def test_a_refused_flush_stores_nothing_and_the_writer_goes_on(log):
    log.create_topic("t", 1)
    with log.writer() as writer:
        writer.append("t", 0, [Record(b"k", b"lost")])
        writer.append("t", 1, [Record(b"k", b"no such partition")])
        with pytest.raises(LogError, match="topic t: partition is 1, expected 0 to 0"):
            writer.flush()
        writer.append("t", 0, [Record(b"k", b"stored")])
        assert writer.flush() == {("t", 0): 0}
    assert [value for _, _, value in read(log, "t")] == [b"stored"]


def test_a_file_that_is_no_log_is_named(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\n" * 100)
    with pytest.raises(LogError, match=r"ratings\.csv"):
        SqliteLog(path)
    with pytest.raises(LogError, match=str(tmp_path)):
        SqliteLog(tmp_path)
    with pytest.raises(LogError, match="below"):
        SqliteLog(path / "below" / "log.db")


def test_a_log_of_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "log.db"
    SqliteLog(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(LogError, match="log format is 2, expected 1"):
        SqliteLog(path)


def test_a_damaged_block_is_named_by_its_offset(tmp_path):
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.create_topic("t", 1)
        append(log, "t", b"good")
        append(log, "t", b"bad")
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("UPDATE blocks SET payload = x'c1' WHERE first_offset = 1")
        connection.close()
        with log.reader("t", [0]) as reader, pytest.raises(LogError, match="offset 1 is damaged"):
            reader.poll(10, 0.0)


def test_who_waits_for_a_writer_that_does_not_go_on_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("eventlog.sqlite_store.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "log.db"
    with SqliteLog(path) as log:
        log.create_topic("t", 1)
        stuck = sqlite3.connect(path, isolation_level=None)
        stuck.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match=r"log\.db: database is locked for more than 0\.05 s .* end it"):
            append(log, "t", b"a")
        stuck.close()
        append(log, "t", b"b")
        assert log.bounds("t") == {0: Bounds(0, 1)}
