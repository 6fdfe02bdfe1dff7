"""A topic that was deleted and made anew is not the checkpoint's, however many records it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.checkpoint import CheckpointStore
from consumers.topic_identity import check_is_same_topic
from eventlog.errors import CheckpointMismatchError, OffsetGoneError
from eventlog.log import Record
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import TOPICS, create_topics, finish, learner, replay, rows


def written(path: Path, times_ms: list[int]) -> SqliteLog:
    """A log with one record of topic t for each append time."""
    now_ms = [0]
    log = SqliteLog(path, now_ms=lambda: now_ms[0])
    log.create_topic("t", 1)
    for now_ms[0] in times_ms:
        with log.writer() as writer:
            writer.append("t", 0, [Record(b"k", b"v")])
    return log


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_the_same_record_passes_and_another_is_named(offset: int, tmp_path: Path) -> None:
    times = [1000, 2000, 3000]
    with written(tmp_path / "log.db", list(times)) as log:
        check_is_same_topic(log, "t", {0: (offset, times[offset])})
        with pytest.raises(
            CheckpointMismatchError, match=f"offset {offset} of t, partition 0, as appended at 999"
        ):
            check_is_same_topic(log, "t", {0: (offset, 999)})


def test_a_log_that_ends_before_the_mark_is_named(tmp_path: Path) -> None:
    with written(tmp_path / "log.db", [1000]) as log, pytest.raises(OffsetGoneError, match="ends at 1"):
        check_is_same_topic(log, "t", {0: (1, 1000)})


def test_a_checkpoint_of_an_older_version_has_no_marks_and_goes_on(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        replay(log, 1, 16, rows(events=300))
        finish(learner(log, tmp_path / "checkpoints"))
        store = CheckpointStore(tmp_path / "checkpoints" / "lane-0")
        loaded = store.load()
        assert loaded is not None
        assert loaded.meta["intake"].pop("marks")["0"]
        store.save(loaded.arrays, loaded.meta)
        assert learner(log, tmp_path / "checkpoints").done


def test_going_on_in_a_topic_that_was_made_anew_would_leave_out_its_beginning(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        replay(log, 1, 16, rows(events=300))
        one = learner(log, tmp_path / "checkpoints", batch_size=100)
        while not one.streams[0].lane.learned:
            one.step(0.0)
        one.close()
        log.delete_topic(TOPICS.ratings)
        create_topics(log, 1)
        replay(log, 1, 16, rows(seed=7, events=600))
        with pytest.raises(
            CheckpointMismatchError, match="deleted and made anew; name another checkpoint directory"
        ):
            learner(log, tmp_path / "checkpoints")
