"""Learners in a consumer group on a real broker: one joins, one is killed, one sleeps and wakes; nothing lost, nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.checkpoint import CheckpointStore
from consumers.epochs import Epoch
from consumers.group_learner import GroupLearner
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from consumers.stream import lane_folder
from engram.parts import create_topics
from eventlog.codec import encode_event
from eventlog.errors import FencedError
from eventlog.events import RatingEvent
from eventlog.kafka_log import KafkaLog
from eventlog.kafka_membership import KafkaMembership
from eventlog.partitioner import partition_of
from eventlog.topics import Topics

PARTITIONS = 4
PART = 240  # events between two changes
CONTEXT = multiprocessing.get_context("spawn")


def member(bootstrap: str, prefix: str, folder: Path, number: int, lanes: Any, stop: Any) -> None:
    """One learner: lanes[number] is how many it has."""
    topics = Topics.with_prefix(prefix)
    config = LearnerConfig(
        lane=LaneConfig(("popularity", "decayed_popularity"), {}, drift="none", share=True),
        merge=False,
        group=True,
        batch_size=16,
        checkpoint_every_s=0.5,
        share_every_events=32,
        stop_at_end=False,
    )
    with KafkaLog(bootstrap) as log:
        learner = Learner(log, topics, config, folder, partitions=())
        membership = KafkaMembership(
            bootstrap, {}, topics.ratings, f"{prefix}.learners", session_timeout_ms=2_000
        )
        with membership:
            group = GroupLearner(learner, membership)
            while not stop.is_set():
                group.step(0.05)
                lanes[number] = len(learner.streams)
            group.close()


class Deployment:
    """A topic, the events sent to it so far, and the learners."""

    def __init__(self, log: KafkaLog, bootstrap: str, folder: Path) -> None:
        self.log, self.bootstrap, self.folder = log, bootstrap, folder
        self.prefix = f"group-{uuid.uuid4().hex[:8]}"
        self.topics = Topics.with_prefix(self.prefix)
        create_topics(log, self.topics, PARTITIONS)
        self.lanes = CONTEXT.Array("i", 8)
        self.stop = CONTEXT.Event()
        self.members: list[Any] = []
        self.sent = 0

    def start(self) -> int:
        number = len(self.members)
        arguments = (self.bootstrap, self.prefix, self.folder, number, self.lanes, self.stop)
        process = CONTEXT.Process(target=member, args=arguments, daemon=True)
        process.start()
        self.members.append(process)
        return number

    def signal(self, number: int, what: signal.Signals) -> None:
        os.kill(self.members[number].pid, what)

    def send(self) -> None:
        with self.log.writer() as writer:
            for seq in range(self.sent, self.sent + PART):
                user = f"u{seq * 7919 % 97}"
                event = RatingEvent(
                    user=user, item=f"i{seq}", event_time_ms=seq, rating=4.0, source_id="test", source_seq=seq
                )
                writer.append(self.topics.ratings, partition_of(user, PARTITIONS), [encode_event(event)])
        self.sent += PART

    def learned(self) -> list[int]:
        """source_seq of every event that a reader of the predictions counts, of each lane in order."""
        found: list[int] = []
        for partition, bounds in self.log.bounds(self.topics.predictions).items():
            next_seq = 0
            with self.log.reader(self.topics.predictions, [partition]) as reader:
                while reader.position(partition) < bounds.end:
                    for batch in reader.poll(1_000, 1.0):
                        for value in batch.values:
                            said = decode_prediction(value or b"")
                            assert isinstance(said, PredictionBlock)
                            assert said.first_seq <= next_seq, "a gap"
                            found += said.source_seq[max(next_seq - said.first_seq, 0) :].tolist()
                            next_seq = max(next_seq, said.first_seq + len(said.flags))
        return found

    def close(self) -> None:
        self.stop.set()
        for process in self.members:
            process.join(30)
            process.kill()


def until(condition: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


def test_learners_come_and_go_and_nothing_is_lost_or_learned_twice(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    with KafkaLog(kafka_bootstrap) as log:
        at = Deployment(log, kafka_bootstrap, tmp_path)
        lanes = at.lanes
        try:
            first = at.start()
            at.send()
            until(lambda: lanes[first] == PARTITIONS, "the first has all")
            second = at.start()
            at.send()
            until(lambda: lanes[first] == lanes[second] == PARTITIONS // 2, "the second has its share")
            at.send()
            at.signal(first, signal.SIGKILL)
            at.send()
            until(lambda: lanes[second] == PARTITIONS, "the second has all after the first's death")
            third = at.start()
            at.send()
            until(lambda: lanes[second] == lanes[third] == PARTITIONS // 2, "the third has its share")
            at.signal(third, signal.SIGSTOP)
            at.send()
            until(lambda: lanes[second] == PARTITIONS, "the second has all while the third sleeps")
            until(lambda: len(at.learned()) == at.sent, "all is learned")
            at.signal(third, signal.SIGCONT)
            at.send()
            until(lambda: lanes[second] == lanes[third] == PARTITIONS // 2, "the third is back")
            until(lambda: len(at.learned()) == at.sent, "all is learned")
        finally:
            at.close()
        assert sorted(at.learned()) == list(range(at.sent))
    accounts = []
    for lane in range(PARTITIONS):
        checkpoint = CheckpointStore(lane_folder(tmp_path, lane)).load()
        assert checkpoint is not None
        accounts.append(checkpoint.meta["lane"])
    assert sum(account["learned"] for account in accounts) == at.sent
    assert [account["duplicates"] for account in accounts] == [0] * PARTITIONS


def test_an_owner_that_was_followed_writes_nothing(tmp_path: Path) -> None:
    state = {"a": np.arange(3)}
    zombie = CheckpointStore(tmp_path, epoch=Epoch(tmp_path))
    zombie.save(state, {"of": "zombie"})
    successor = CheckpointStore(tmp_path, epoch=Epoch(tmp_path))
    with pytest.raises(FencedError, match="epoch 2 now, this learner had 1"):
        zombie.save(state, {"of": "zombie"})
    # Before the successor has written, its predecessor's newest counts; then whatever the zombie wrote is older.
    assert (found := successor.load()) is not None
    assert found.meta == {"of": "zombie"}
    successor.save(state, {"of": "successor"})
    CheckpointStore(tmp_path).directory.joinpath(
        "epoch-0000000002"
    ).unlink()  # as if the check had come too early
    zombie.save(state, {"of": "zombie"})
    assert (found := CheckpointStore(tmp_path).load()) is not None
    assert found.meta == {"of": "successor"}
