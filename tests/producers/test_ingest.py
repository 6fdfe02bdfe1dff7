"""Ingestion of JSON lines: what comes in, what is refused, and what a run that goes on does not write twice."""

from __future__ import annotations

import itertools
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.codec import decode_event
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import LogError, SettingsError
from eventlog.event_checks import Limits
from eventlog.log import Log
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from producers.ingest import BATCH_LINES, Acknowledged, Ingest, IngestReport
from producers.line_reader import MAX_LINE_BYTES, read_lines
from tests.producers.log_contents import (
    TOPICS,
    Event,
    all_events,
    copy,
    create_topics,
    decoded,
    events,
    letters,
    records,
)

NOW_MS = 1_700_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.sqlite") as log:
        create_topics(log, 2)
        yield log


def line(**fields: object) -> bytes:
    """A good line with `fields` replaced; a field of ... is left out."""
    event = {"user": "u1", "item": "i1", "rating": 4.0, "event_time_ms": 1_000, **fields}
    return msgspec.json.encode({name: value for name, value in event.items() if value is not ...})


def lines_of(count: int, bad_every: int = 0) -> list[bytes]:
    """Lines of many users, line n with event time n; each `bad_every`-th is bad."""
    return [
        line(user=f"u{n % 17}", item=f"i{n % 31}", event_time_ms=n, rating=5.0)
        if not bad_every or n % bad_every
        else b"bad %d" % n
        for n in range(count)
    ]


def expected_events(lines: list[bytes], partitions: int, source: str = "app") -> list[list[Event]]:
    """By hand: the good lines, numbered, each in its user's partition."""
    found: list[list[Event]] = [[] for _ in range(partitions)]
    for number, text in enumerate(lines):
        if text.startswith(b"{"):
            one = msgspec.json.decode(text)
            found[partition_of(one["user"], partitions)].append(
                Event(one["user"], one["item"], one["rating"], one["event_time_ms"], source, number)
            )
    return found


def ingest(log: Log, lines: list[bytes], source: str = "app", limits: Limits | None = None) -> IngestReport:
    return Ingest(log, TOPICS, source, limits, now_ms=lambda: NOW_MS).run(lines)


def test_lines_become_events_numbered_by_line_in_their_users_partitions(log):
    said: list[Acknowledged] = []
    lines = lines_of(3 * BATCH_LINES // 2)
    report = Ingest(log, TOPICS, "app", on_acknowledged=said.append).run(lines)
    wanted = expected_events(lines, 2)
    assert all_events(log) == wanted
    ends = {partition: len(wanted[partition]) - 1 for partition in range(2)}
    assert report == IngestReport(len(lines), len(lines), 0, 0, ends)
    assert sum(one.events for one in said) == len(lines)
    assert said[-1].positions == ends
    for partition in range(2):
        keys = records(log, TOPICS.ratings, partition).keys
        assert keys == [event.user.encode() for event in wanted[partition]]


def test_blank_lines_are_left_out_and_numbered(log):
    report = ingest(log, [b"\n", line(user="a") + b"\r\n", b"  \n", b"", b"\t" + line(user="b") + b" \n"])
    found = sorted((event.seq, event.user) for part in all_events(log) for event in part)
    assert found == [(1, "a"), (4, "b")]
    assert (report.read, report.accepted) == (2, 2)


def test_no_lines(log):
    assert ingest(log, []) == IngestReport(0, 0, 0, 0, {})
    assert ingest(log, [b"\n"]) == IngestReport(0, 0, 0, 0, {})


BAD = [
    (b"not json", Reason.UNDECODABLE, "not JSON"),
    (b'{"user": "u1"', Reason.UNDECODABLE, "not JSON"),
    (b"[1, 2]", Reason.WRONG_TYPE, "Expected `object`, got `array`"),
    (b"\xff\xfe", Reason.UNDECODABLE, "not JSON"),
    (b"\x81\xa1v\x01", Reason.UNDECODABLE, "not JSON"),  # what a pack may look like
    (line(v=2), Reason.UNKNOWN_VERSION, "v is 2, expected 1"),
    (line(user=...), Reason.MISSING_FIELD, "`user`"),
    (line(event_time_ms="now"), Reason.WRONG_TYPE, "$.event_time_ms"),
    (line(kind="purchase"), Reason.UNKNOWN_KIND, "kind is 'purchase', expected one of"),
    (line(kind="forget_user", user=""), Reason.ID_EMPTY, "user is b''"),
    (line(user=""), Reason.ID_EMPTY, "user is b''"),
    (line(item="x" * 257), Reason.ID_TOO_LONG, "item has 257 bytes, expected at most 256"),
    (line(user="a\tb"), Reason.ID_NOT_TEXT, "user is b'a\\tb'"),
    (line(rating=...), Reason.RATING_MISSING, "rating is absent or null, expected a number"),
    (line(rating=99), Reason.RATING_OUT_OF_SCALE, "rating is 99, expected 0 to 10"),
    (line(event_time_ms=-1), Reason.TIME_NEGATIVE, "event_time_ms is -1, expected 0 or more"),
    (line(event_time_ms=10**18), Reason.TIME_ABSURD, "event_time_ms is 1000000000000000000"),
    (line(event_time_ms=NOW_MS + 90_000_000), Reason.TIME_FUTURE, "expected at most 86400 s after"),
    (line(source_id="web"), Reason.IDENTITY_MISSING, "expected source_id and source_seq"),
    (line(source_seq=3), Reason.IDENTITY_MISSING, "expected source_id and source_seq"),
    (line(key=""), Reason.IDENTITY_MISSING, "or an idempotency key"),
    (line(source_id="web", source_seq=-3), Reason.IDENTITY_INVALID, "source_seq is -3"),
    (line(note="x" * 5000), Reason.MESSAGE_TOO_LARGE, "bytes, expected at most 4096"),
]


@pytest.mark.parametrize(
    ("bad", "reason", "detail"), BAD, ids=[f"{why}-{n}" for n, (_, why, _) in enumerate(BAD)]
)
def test_a_bad_line_is_a_dead_letter_and_the_stream_goes_on(log, bad, reason, detail):
    said: list[DeadLetter] = []
    limits = Limits(max_message_bytes=4096)
    lines = [line(user="a"), bad, line(user="b")]
    report = Ingest(log, TOPICS, "app", limits, on_rejected=said.append, now_ms=lambda: NOW_MS).run(lines)
    assert report[:4] == (3, 2, 1, 0)
    assert sorted((event.seq, event.user) for part in all_events(log) for event in part) == [
        (0, "a"),
        (2, "b"),
    ]
    [letter] = letters(log)
    assert (letter.topic, letter.partition, letter.offset, letter.index) == ("ingest:app", -1, 1, -1)
    assert (letter.reason, letter.payload, letter.events) == (reason, bad, 1)
    assert detail in letter.detail
    assert said == [letter]


def test_all_kinds_of_bad_lines_at_once_are_in_order(log):
    lines = [text for bad, _, _ in BAD for text in (bad, line())]
    report = ingest(log, lines, limits=Limits(max_message_bytes=4096))
    assert [(letter.offset, letter.reason) for letter in letters(log)] == [
        (2 * n, reason) for n, (_, reason, _) in enumerate(BAD)
    ]
    assert report[:4] == (2 * len(BAD), len(BAD), len(BAD), 0)


def test_the_scale_is_the_one_given(log):
    report = ingest(log, [line(rating=5), line(rating=5.5), line(rating=0.5)], limits=Limits(1.0, 5.0))
    assert report[:4] == (3, 1, 2, 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.dictionaries(
                st.sampled_from(
                    ["user", "item", "rating", "event_time_ms", "source_id", "source_seq", "key", "v"]
                ),
                st.one_of(st.text(max_size=5), st.integers(), st.floats(allow_nan=False), st.none()),
            ).map(lambda fields: line(**fields)),
        ),
        max_size=20,
    )
)
def test_what_is_accepted_is_what_the_learner_accepts(tmp_path_factory, lines):
    with SqliteLog(tmp_path_factory.mktemp("fuzz") / "log.sqlite") as log:
        create_topics(log, 2)
        report = ingest(log, lines)
        found = [decoded(log, partition) for partition in range(2)]
        assert report.read == report.accepted + report.rejected
        assert report.accepted == sum(one.accepted for one in found) == sum(len(one.events) for one in found)
        assert report.rejected == len(letters(log))
        assert not any(one.rejects or one.controls for one in found)


def test_an_identity_that_a_line_brings_is_kept(tmp_path):
    with SqliteLog(tmp_path / "log.sqlite") as log:
        create_topics(log, 1)
        lines = [
            line(source_id="web", source_seq=70, campaign={"name": "x"}),
            line(key="k-1"),
            line(source_id=None, source_seq=None, key=None, campaign=3),
        ]
        assert ingest(log, lines).accepted == 3
        found = [decode_event(value or b"") for value in records(log, TOPICS.ratings, 0).values]
        assert [(one.source_id, one.source_seq, one.key) for one in found] == [
            ("web", 70, None),
            (None, None, "k-1"),
            ("app", 2, None),
        ]
        assert [one.extra for one in found] == [{"campaign": {"name": "x"}}, None, {"campaign": 3}]
        assert records(log, TOPICS.ratings, 0).values[:2] == lines[:2]


@pytest.mark.parametrize("own", [{}, {"key": "k"}])
def test_a_line_cannot_pass_for_a_control_record(tmp_path, own):
    with SqliteLog(tmp_path / "log.sqlite") as log:
        create_topics(log, 1)
        end = b'{"control":"end","source_id":"app"}'
        event = b'{"control":"end",' + line(**own)[1:]
        assert ingest(log, [end, event])[:4] == (2, 1, 1, 0)
        batch = decoded(log)
        assert not batch.controls
        assert len(batch.events) == 1


@pytest.mark.parametrize("source", ["", "x" * 257, "a\nb"])
def test_a_source_without_a_proper_name_is_refused(log, source):
    with pytest.raises(SettingsError, match=r"source is .*, expected 1 to 256 printable characters"):
        Ingest(log, TOPICS, source)


@pytest.mark.parametrize("source", ["app", "orders/2024/-1/3", "Zoë"])
@pytest.mark.parametrize("stopped_at", [1, 700, BATCH_LINES, BATCH_LINES + 1, 9_000])
def test_the_same_lines_again_add_only_what_is_missing(log, source, stopped_at):
    lines = lines_of(9_000, bad_every=50)
    ingest(log, lines[:stopped_at], source)
    report = ingest(log, lines, source)
    assert all_events(log) == expected_events(lines, 2, source)
    assert [letter.offset for letter in letters(log)] == list(range(0, 9_000, 50))
    assert report.read == 9_000
    assert report.skipped == stopped_at
    assert report.accepted + report.rejected == 9_000 - stopped_at
    assert ingest(log, lines, source)[:4] == (9_000, 0, 0, 9_000)


def test_other_sources_at_the_tail_do_not_hide_where_it_was_stopped(log):
    lines = lines_of(3_000, bad_every=50)
    ingest(log, lines[:1_500])
    ingest(log, lines_of(2_500, bad_every=10), "another")
    before = letters(log)
    ingest(log, lines)
    mine = [[event for event in part if event.source == "app"] for part in all_events(log)]
    assert mine == expected_events(lines, 2)
    assert [one.offset for one in letters(log)[len(before) :]] == list(range(1_500, 3_000, 50))


@pytest.mark.parametrize("kept", list(itertools.product([0, 40, 90], [0, 25], [0, 3])))
def test_a_flush_that_reached_some_partitions_only_is_completed(log, tmp_path, kept):
    lines = lines_of(200, bad_every=20)
    ingest(log, lines)
    with SqliteLog(tmp_path / "part.sqlite") as part:
        create_topics(part, 2)
        for (topic, partition), count in zip(
            [(TOPICS.ratings, 0), (TOPICS.ratings, 1), (TOPICS.dead_letters, 0)], kept, strict=True
        ):
            copy(log, part, topic, partition, count)
        assert ingest(part, lines).skipped == sum(kept)
        assert all_events(part) == all_events(log)
        assert letters(part) == letters(log)


def test_lines_that_break_off_are_taken_up_again(log):
    lines = lines_of(6_000)

    def breaking() -> Iterator[bytes]:
        yield from lines[:5_000]
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        Ingest(log, TOPICS, "app").run(breaking())
    ingest(log, lines)
    assert all_events(log) == expected_events(lines, 2)


def test_a_run_needs_its_topics(tmp_path):
    with SqliteLog(tmp_path / "log.sqlite") as log, pytest.raises(LogError, match=r"test\.ratings"):
        ingest(log, [line()])


def test_what_was_read_is_in_the_log_when_no_more_is_ready(log):
    def feed() -> Iterator[bytes | None]:
        for number in range(5):
            yield line(event_time_ms=number)
            yield None
            assert len(events(log, partition_of("u1", 2))) == number + 1

    assert Ingest(log, TOPICS, "app").run(feed()).accepted == 5


def test_the_reader_hands_over_what_is_ready_and_says_when_nothing_is():
    read_end, write_end = os.pipe()
    lines = read_lines(read_end)
    assert next(lines) is None
    os.write(write_end, b"one\ntwo\nthr")
    assert [next(one for one in lines if one is not None) for _ in range(2)] == [b"one", b"two"]
    assert next(lines) is None
    os.write(write_end, b"ee\n\nlast")
    os.close(write_end)
    assert [one for one in lines if one is not None] == [b"three", b"", b"last"]
    os.close(read_end)


def test_a_line_without_an_end_does_not_fill_the_memory(log, tmp_path):
    path = tmp_path / "lines"
    with path.open("wb") as file:
        file.write(line(user="a") + b"\n")
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + line(user="b") + b"\n")
    tracemalloc.start()
    with path.open("rb") as file:
        report = Ingest(log, TOPICS, "app").run(read_lines(file.fileno()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report[:4] == (3, 2, 1, 0)
    [letter] = letters(log)
    assert (letter.offset, letter.reason) == (1, Reason.MESSAGE_TOO_LARGE)
    assert letter.payload == b"x" * MAX_LINE_BYTES
    assert letter.detail == f"line has {MAX_LINE_BYTES} bytes or more, expected at most {1 << 20}"
    assert peak < 48 << 20  # the line's beginning, its dead letter, and that as a block of the log
