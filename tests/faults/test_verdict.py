"""The verdict sees what it is there to see: each way of losing an event or applying one twice is a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.stream import Shape, make_events, single, write_stream
from chaos.truth import read_topic, read_truth
from chaos.verdict import judge
from consumers.checkpoint import CheckpointStore
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from eventlog.log import Log
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics

TOPICS = Topics.with_prefix("verdict")


class Left:
    """What a learner that did its work left behind, to be tampered with."""

    def __init__(self, directory: Path, partitions: int) -> None:
        self.log: Log = SqliteLog(directory / "log.db")
        self.checkpoints = directory / "learner"
        self.events = make_events(3, 500)
        write_stream(self.log, TOPICS, self.events, Shape(partitions=partitions), 3)
        config = LearnerConfig(lane=LaneConfig(("popularity",), {}), batch_size=50)
        learner = Learner(self.log, TOPICS, config, self.checkpoints)
        learner.run()
        learner.close()

    def findings(self, *, complete: bool = True) -> set[str]:
        truth = read_truth(self.log, TOPICS.ratings)
        return {one.kind for one in judge(self.log, TOPICS, self.checkpoints, truth, complete=complete)}

    def first_block(self) -> PredictionBlock:
        block = decode_prediction(read_topic(self.log, TOPICS.predictions)[0].value or b"")
        assert isinstance(block, PredictionBlock)
        return block

    def predict(self, block: PredictionBlock) -> None:
        with self.log.writer() as writer:
            writer.append(TOPICS.predictions, 0, [block.to_record()])

    def save(self, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
        """Write a checkpoint in which `change(arrays, meta)` was at work."""
        store = CheckpointStore(self.checkpoints / "lane-0")
        found = store.load()
        assert found is not None
        change(found.arrays, found.meta)
        store.save(found.arrays, found.meta)

    def empty(self, topic: str) -> None:
        partitions = self.log.partition_count(topic)
        self.log.delete_topic(topic)
        self.log.create_topic(topic, partitions)


@pytest.fixture(params=[1, 4], ids=["1-partition", "4-partitions"])
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Left]:
    left = Left(tmp_path, request.param)
    yield left
    left.log.close()


def an_event_was_never_read(left: Left) -> None:
    with left.log.writer() as writer:
        writer.append(TOPICS.ratings, 0, [single(make_events(3, 501), 500)])


def an_event_was_predicted_twice(left: Left) -> None:
    left.predict(left.first_block()._replace(first_seq=500))


def a_repeated_prediction_differs(left: Left) -> None:
    block = left.first_block()
    left.predict(block._replace(ranks={"popularity": block.ranks["popularity"] + np.int32(1)}))


def predictions_have_a_gap(left: Left) -> None:
    left.predict(left.first_block()._replace(first_seq=900))


def predictions_are_gone(left: Left) -> None:
    left.empty(TOPICS.predictions)


def dead_letters_are_gone(left: Left) -> None:
    left.empty(TOPICS.dead_letters)


def a_count_is_one_too_high(left: Left) -> None:
    def change(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        arrays["model/popularity/count"][3] += 1

    left.save(change)


def a_count_is_one_too_low(left: Left) -> None:
    def change(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        arrays["model/popularity/count"][3] -= 1

    left.save(change)


def a_history_has_another_item(left: Left) -> None:
    def change(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        arrays["history/items"][5] += 1

    left.save(change)


def the_state_is_of_more_events_than_it_says(left: Left) -> None:
    def change(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        meta["lane"]["learned"] -= 100
        meta["intake"]["accepted"] -= 100

    left.save(change)


def the_accounting_is_off_by_one(left: Left) -> None:
    def change(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        meta["intake"]["accepted"] += 1

    left.save(change)


def an_offset_is_committed_ahead_of_the_checkpoint(left: Left) -> None:
    left.log.commit("engram-learner", TOPICS.ratings, {0: 10_000})


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (an_event_was_never_read, "lost"),
        (an_event_was_predicted_twice, "twice"),
        (a_repeated_prediction_differs, "other"),
        (predictions_have_a_gap, "lost"),
        (predictions_are_gone, "lost"),
        (dead_letters_are_gone, "lost"),
        (a_count_is_one_too_high, "twice"),
        (a_count_is_one_too_low, "lost"),
        (a_history_has_another_item, "other"),
        (the_state_is_of_more_events_than_it_says, "twice"),
        (the_accounting_is_off_by_one, "other"),
        (an_offset_is_committed_ahead_of_the_checkpoint, "other"),
    ],
)
def test_what_was_tampered_with_is_found(left: Left, tamper: Callable[[Left], None], kind: str) -> None:
    assert left.findings() == left.findings(complete=False) == set()
    tamper(left)
    assert kind in left.findings()


@pytest.mark.parametrize(
    "tamper",
    [predictions_are_gone, dead_letters_are_gone, a_count_is_one_too_high, a_repeated_prediction_differs],
)
def test_a_death_that_leaves_less_than_the_checkpoint_says_is_found(
    left: Left, tamper: Callable[[Left], None]
) -> None:
    tamper(left)
    assert left.findings(complete=False)


def test_what_a_late_producer_repeats_behind_the_end_may_be_read_or_not(tmp_path: Path) -> None:
    left = Left(tmp_path, 1)
    with left.log.writer() as writer:
        writer.append(TOPICS.ratings, 0, [single(left.events, at) for at in range(100)])
    truth = read_truth(left.log, TOPICS.ratings)
    assert truth.repeats == truth.duplicates + 100
    assert left.findings() == set()

    def read_half(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        meta["intake"]["positions"]["0"] = (truth.afterwards[49][1] + 1, 0)
        meta["intake"]["accepted"] += 50
        meta["lane"]["duplicates"] += 50

    left.save(read_half)
    assert left.findings() == set()
    left.log.close()
