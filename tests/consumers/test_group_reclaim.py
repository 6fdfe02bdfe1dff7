"""A lane that a zombie has claimed, which had not heard that it lost it, is claimed again by whom the group gave it to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from consumers import group_learner
from consumers.group_learner import GroupLearner
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from eventlog.codec import encode_event
from eventlog.events import RatingEvent
from eventlog.log import Log
from eventlog.membership import Change, ChangeKind
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics

TOPICS = Topics.with_prefix("reclaim")


class Answered:
    """An answer that nobody waits for."""

    is_done = True


class Said:
    """A membership that says what a test puts into it."""

    def __init__(self) -> None:
        self._next: list[Change] = []

    def say(self, kind: ChangeKind, *partitions: int) -> None:
        self._next.append(Change(kind, frozenset(partitions), Answered()))  # type: ignore[arg-type]

    def changes(self) -> Sequence[Change]:
        said, self._next = self._next, []
        return said


class Member:
    """A learner in a group, on the checkpoints that all members share."""

    def __init__(self, log: Log, folder: Path) -> None:
        config = LearnerConfig(
            lane=LaneConfig(("popularity",), {}, drift="none"),
            merge=False,
            group=True,
            checkpoint_every_events=1,
            stop_at_end=False,
        )
        self.learner = Learner(log, TOPICS, config, folder, partitions=())
        self.membership = Said()
        self.group = GroupLearner(self.learner, self.membership)

    def steps(self, count: int = 3) -> None:
        for _ in range(count):
            self.group.step(0.0)

    @property
    def learned(self) -> dict[int, int]:
        return {stream.lane.number: stream.lane.learned for stream in self.learner.streams}


def send(log: Log, first: int, last: int) -> None:
    with log.writer() as writer:
        for seq in range(first, last):
            event = RatingEvent(
                user="u", item=f"i{seq}", event_time_ms=seq, rating=4.0, source_id="test", source_seq=seq
            )
            writer.append(TOPICS.ratings, 0, [encode_event(event)])


@pytest.mark.parametrize("heard", ["before the owner", "after the owner"])
def test_a_lane_claimed_by_a_zombie_is_claimed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: str
) -> None:
    monkeypatch.setattr(group_learner, "RECLAIM_S", 0.0)
    with SqliteLog(tmp_path / "log.db") as log:
        for topic in (TOPICS.ratings, TOPICS.predictions, TOPICS.dead_letters, TOPICS.items):
            log.create_topic(topic, 1)
        owner, zombie = Member(log, tmp_path / "learner"), Member(log, tmp_path / "learner")
        owner.membership.say(ChangeKind.ASSIGNED, 0)
        send(log, 0, 5)
        owner.steps()
        assert owner.learned == {0: 5}
        # The zombie was given the partition before the owner was, and makes the change only now.
        zombie.membership.say(ChangeKind.ASSIGNED, 0)
        zombie.steps(1)
        if heard == "before the owner":
            zombie.membership.say(ChangeKind.LOST, 0)
            zombie.steps()
        send(log, 5, 9)
        owner.steps()
        zombie.membership.say(ChangeKind.LOST, 0)
        zombie.steps()
        owner.steps()
        assert zombie.learned == {}
        assert owner.learned == {0: 9}
        owner.learner.commit()
        zombie.group.close()
        owner.group.close()


def test_a_lane_that_is_no_longer_ours_is_not_claimed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_learner, "RECLAIM_S", 0.0)
    with SqliteLog(tmp_path / "log.db") as log:
        for topic in (TOPICS.ratings, TOPICS.predictions, TOPICS.dead_letters, TOPICS.items):
            log.create_topic(topic, 1)
        former, successor = Member(log, tmp_path / "learner"), Member(log, tmp_path / "learner")
        former.membership.say(ChangeKind.ASSIGNED, 0)
        former.steps()
        successor.membership.say(ChangeKind.ASSIGNED, 0)
        successor.steps()
        send(log, 0, 4)
        former.membership.say(ChangeKind.LOST, 0)
        former.steps()
        successor.steps()
        assert (former.learned, successor.learned) == ({}, {0: 4})
        former.group.close()
        successor.group.close()
