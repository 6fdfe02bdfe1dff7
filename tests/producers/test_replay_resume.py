"""A replay that loses what it had not flushed: the log is in the end as if it had never been stopped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.intake import Intake
from eventlog.controls import ControlKind
from eventlog.log import Log
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from producers.columns import RatingColumns
from producers.replay import BLOCK_EVENTS, Pace, Progress, Replay
from tests.producers.log_contents import TOPICS, Event, all_events, controls, copy, create_topics, decoded
from tests.producers.made_stream import SOURCE, FakeClock, ListStream, abandon, made_events


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.sqlite") as log:
        yield log


def wanted(columns: RatingColumns, partitions: int) -> list[list[Event]]:
    """By hand: each event in its user's partition, numbered over all of them."""
    found: list[list[Event]] = [[] for _ in range(partitions)]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for seq, (user, item, rating, time_ms) in enumerate(rows):
        event = Event(user.decode(), item.decode(), rating, time_ms, SOURCE, seq)
        found[partition_of(event.user, partitions)].append(event)
    return found


def assert_whole(log: Log, columns: RatingColumns) -> None:
    """The stream is there once, in order, between START and END; every watermark keeps its word.

    A reader that merges the partitions gets the replay's order, and reaches the end.
    """
    partitions = log.partition_count(TOPICS.ratings)
    assert all_events(log) == wanted(columns, partitions)
    intake = Intake(range(partitions))
    for partition in range(partitions):
        said = [one.control for one in controls(log, partition, SOURCE)]
        assert [one for one in said if one is not ControlKind.WATERMARK] == ["start", "end"]
        batch = decoded(log, partition)
        for offset, control in batch.controls:
            later = batch.events.take(batch.events.offset > offset)
            moments = zip(later.event_time_ms.tolist(), later.source_seq.tolist(), strict=True)
            assert all(moment > (control.event_time_ms, control.source_seq) for moment in moments)
        intake.offer(partition, batch)
    taken = intake.take(columns.size + 1)
    order = taken.events.source_seq.tolist() if taken else []
    assert order == list(range(columns.size))
    assert intake.ended


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("pack", [1, 256])
def test_killed_after_one_step_more_in_each_life(log, partitions, pack):
    """Unpaced, most steps are lost; with single events the log commits by itself within a block."""
    columns = made_events(5 * BLOCK_EVENTS)
    create_topics(log, partitions)
    for steps in itertools.count(1):
        replay = Replay(log, TOPICS, ListStream(columns), Pace(pack=pack))
        for _ in range(steps):
            replay.step()
        if replay.done:
            break
        abandon(replay)
    replay.close()
    assert_whole(log, columns)


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("pack", [1, 16])
def test_killed_after_every_paced_step(log, partitions, pack):
    columns = made_events(3_000)
    create_topics(log, partitions)
    clock = FakeClock()
    lives = 0
    replay = Replay(log, TOPICS, ListStream(columns), Pace(pack=pack, rate=1024), clock)
    while not replay.done:
        written = replay.progress.written
        if replay.step().written > written:
            abandon(replay)
            lives += 1
            replay = Replay(log, TOPICS, ListStream(columns), Pace(pack=pack, rate=1024), clock)
            # Paced, a step is in the log; but for a partition without events in it, it was for nothing.
            assert replay.progress.written > written or partitions > 1
    replay.close()
    assert lives > 20
    assert_whole(log, columns)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_killed_when_each_partition_had_taken_another_part(tmp_path_factory, data):
    """What a broker that acknowledges partition by partition can leave behind."""
    columns = made_events(data.draw(st.integers(0, 400), "events"))
    pack = data.draw(st.sampled_from([1, 7, 64]), "pack")
    folder = tmp_path_factory.mktemp("parts")
    with SqliteLog(folder / "whole.sqlite") as whole, SqliteLog(folder / "part.sqlite") as part:
        for one in (whole, part):
            create_topics(one, 3)
        replay = Replay(whole, TOPICS, ListStream(columns), Pace(pack=pack, rate=256), FakeClock())
        replay.run()
        replay.close()
        for partition, bounds in whole.bounds(TOPICS.ratings).items():
            kept = data.draw(st.integers(0, bounds.end), f"kept {partition}")
            copy(whole, part, TOPICS.ratings, partition, kept)
        again = Replay(part, TOPICS, ListStream(columns), Pace(pack=pack))
        again.run()
        again.close()
        for one in (whole, part):
            assert_whole(one, columns)


@pytest.mark.parametrize("pace", [Pace(), Pace(rate=5.0), Pace(speed=5.0)])
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_stream_of_no_events_ends_once(log, partitions, pace):
    create_topics(log, partitions)
    for _ in range(2):
        replay = Replay(log, TOPICS, ListStream(made_events(0)), pace, FakeClock())
        replay.run()
        assert replay.progress == Progress(0, 0)
        replay.close()
    assert_whole(log, made_events(0))
