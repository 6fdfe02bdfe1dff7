"""The learner over a real embedded log: one result for all ways of running it, and interrupted equals uninterrupted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import CheckpointPolicy, Evaluator
from consumers.lane_config import LaneConfig
from consumers.learner import GROUP, Learner, LearnerConfig
from consumers.metrics import LearnerMetrics
from consumers.result import RunInfo
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import CheckpointMismatchError, OffsetGoneError, TopicMissingError
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import (
    BAD_EVERY,
    EVENTS,
    LANE,
    LIMITS,
    TOPICS,
    create_topics,
    finish,
    is_bad,
    learner,
    records,
    replay,
    rows,
    summaries,
)

# A learner that is dropped like a killed process leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")

RUN = RunInfo(
    dataset="small",
    data_source="made for this test",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=41,
    seconds=None,
)
ROWS = rows()
BAD = EVENTS // BAD_EVERY
GOOD = EVENTS - BAD


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[..., SqliteLog]]:
    """Make logs with the small replay in them; `.repeated` is how many events were sent twice."""
    made = []

    def make(partitions: int = 1, pack_size: int = 16, **settings: Any) -> SqliteLog:
        log = SqliteLog(tmp_path / f"log-{len(made)}.db")
        made.append(log)
        create_topics(log, partitions, **settings)
        repeated[id(log)] = replay(log, partitions, pack_size, ROWS)
        return log

    repeated: dict[int, int] = {}
    make.repeated = lambda log: repeated[id(log)]  # type: ignore[attr-defined]
    yield make
    for log in made:
        log.close()


def verdict(log: SqliteLog, lanes: tuple[int, ...] = (0,)) -> tuple[str, dict[int, dict[str, str]]]:
    """The digest of the evaluated run, and those of the models by lane."""
    with Evaluator(log, TOPICS.predictions, lanes=lanes) as evaluator:
        while not evaluator.done:
            assert evaluator.step(0.0) or evaluator.done
        digest = evaluator.result(RUN)["digest"]
        models = {
            lane: {name: model.digest for name, model in summary.models.items()}
            for lane, summary in evaluator.summaries.items()
        }
    return digest, models


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[int, dict[str, str]]]:
    """The verdict of one partition, packs of 16, one uninterrupted learner."""
    folder = tmp_path_factory.mktemp("expected")
    with SqliteLog(folder / "log.db") as log:
        create_topics(log, 1)
        replay(log, 1, 16, ROWS)
        finish(learner(log, folder / "checkpoints"))
        return verdict(log)


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("pack_size", [1, 16, 256])
def test_batches_packs_and_partitions_change_nothing(
    partitions: int, pack_size: int, open_log: Callable[..., SqliteLog], tmp_path: Path, expected: Any
) -> None:
    log = open_log(partitions, pack_size)
    for batch_size in (1, 7, 4096):
        log.delete_topic(TOPICS.predictions)
        log.create_topic(TOPICS.predictions, partitions)
        directory = tmp_path / f"checkpoints-{batch_size}"
        finish(learner(log, directory, batch_size=batch_size, checkpoint_every_events=10**9))
        assert verdict(log) == expected


def test_every_event_is_accounted_for(open_log: Callable[..., SqliteLog], tmp_path: Path) -> None:
    log = open_log(4)
    finish(learner(log, tmp_path / "checkpoints"))
    [summary] = summaries(log)
    repeated = open_log.repeated(log)  # type: ignore[attr-defined]
    assert repeated > 0
    pairs = {(user, item) for user, item, _, seq in ROWS if not is_bad((user, item, 0, seq))}
    assert summary.accounting == {
        "accepted": EVENTS + repeated,
        "learned": GOOD,
        "repeats": GOOD - len(pairs),
        "corrections": 0,
        "dead_lettered": BAD,
        "duplicate": repeated,
        "waiting": 0,
    }
    assert summary.events == summary.timed_events == GOOD
    assert summary.partitions == (0, 1, 2, 3)
    assert summary.last_seq == {"replay": max(row[3] for row in ROWS if not is_bad(row))}
    assert summary.users == len({row[0] for row in ROWS if not is_bad(row)})
    letters = [DeadLetter.from_value(record.value or b"") for record in records(log, TOPICS.dead_letters)]
    assert {letter.reason for letter in letters} == {Reason.RATING_OUT_OF_SCALE}
    assert len({(one.partition, one.offset, one.index) for one in letters}) == len(letters) == BAD
    ends = {partition: bounds.end for partition, bounds in log.bounds(TOPICS.ratings).items()}
    assert log.committed(GROUP, TOPICS.ratings) == ends


def steps_of(start: Callable[[], Learner]) -> int:
    """How many steps an uninterrupted learner takes."""
    one, steps = start(), 0
    while not one.done:
        one.step(0.0)
        steps += 1
    one.close()
    return steps


@pytest.mark.parametrize("partitions", [1, 4])
def test_interrupted_after_any_step_equals_uninterrupted(
    partitions: int, open_log: Callable[..., SqliteLog], tmp_path: Path, expected: Any
) -> None:
    log = open_log(partitions)
    steps = steps_of(partial(learner, log, tmp_path / "whole", batch_size=200))
    assert steps >= 8
    for interrupted in range(1, steps):
        log.delete_topic(TOPICS.predictions)
        log.create_topic(TOPICS.predictions, partitions)
        start = partial(learner, log, tmp_path / f"after-{interrupted}", batch_size=200)
        one = start()
        for _ in range(interrupted):
            one.step(0.0)
        del one  # as a killed process: nothing is committed, nothing is flushed
        finish(start())
        assert verdict(log) == expected


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("partitions", [1, 4])
def test_many_interruptions_of_learner_and_evaluator_equal_none(
    partitions: int, seed: int, open_log: Callable[..., SqliteLog], tmp_path: Path, expected: Any
) -> None:
    rng = random.Random(seed)
    log = open_log(partitions)
    start = partial(learner, log, tmp_path / "learner", batch_size=40, checkpoint_every_events=90)
    evaluate = partial(
        Evaluator,
        log,
        TOPICS.predictions,
        store=CheckpointStore(tmp_path / "evaluator"),
        policy=CheckpointPolicy(events=100, seconds=1e9),
    )
    lives, done = 0, False
    while not done:
        one = start()
        for _ in range(rng.randint(1, 9)):
            if not one.done:
                one.step(0.0)
        if rng.random() < 0.3:
            one.close()
        done = one.done
        del one  # as a process that is killed lets go of what it owns
        lives += 1
        with evaluate() as evaluator:
            for _ in range(rng.randint(0, 3)):
                evaluator.step(0.0)
    assert lives > 4
    evaluator = evaluate()
    while not evaluator.done:
        evaluator.step(0.0)
    assert evaluator.result(RUN)["digest"] == verdict(log)[0] == expected[0]
    assert verdict(log) == expected
    evaluator.close()
    [*_, last] = summaries(log)
    repeated = open_log.repeated(log)  # type: ignore[attr-defined]
    assert last.accounting["accepted"] == EVENTS + repeated
    assert (last.accounting["dead_lettered"], last.accounting["duplicate"]) == (BAD, repeated)
    # Dead letters may be written again after an interruption, under the same key.
    assert len({record.key for record in records(log, TOPICS.dead_letters)}) == BAD


def test_a_finished_run_has_nothing_left_to_do(open_log: Callable[..., SqliteLog], tmp_path: Path) -> None:
    log = open_log(2)
    finish(learner(log, tmp_path / "checkpoints"))
    before = {topic: log.bounds(topic) for topic in log.topics()}
    versions = CheckpointStore(tmp_path / "checkpoints" / "lane-0").versions()
    again = learner(log, tmp_path / "checkpoints")
    assert again.done
    finish(again)
    assert {topic: log.bounds(topic) for topic in log.topics()} == before
    assert CheckpointStore(tmp_path / "checkpoints" / "lane-0").versions() == versions


def test_without_a_merge_each_partition_is_a_lane(open_log: Callable[..., SqliteLog], tmp_path: Path) -> None:
    log = open_log(4)
    finish(learner(log, tmp_path / "whole", merge=False))
    lanes = tuple(range(4))
    expected = verdict(log, lanes)
    by_lane = {summary.lane: summary for summary in summaries(log)}
    for lane in lanes:
        mine = [row for row in ROWS if partition_of(row[0], 4) == lane and not is_bad(row)]
        assert by_lane[lane].partitions == (lane,)
        assert by_lane[lane].events == len(mine)
        assert by_lane[lane].users == len({row[0] for row in mine})
        assert by_lane[lane].accounting["waiting"] == 0
    assert sum(summary.events for summary in by_lane.values()) == GOOD
    # Interrupted now and then, too.
    log.delete_topic(TOPICS.predictions)
    log.create_topic(TOPICS.predictions, 4)
    for steps in (3, 8, 13, 10_000):
        one = learner(log, tmp_path / "cut", merge=False)
        for _ in range(steps):
            if not one.done:
                one.step(0.0)
        del one
    assert verdict(log, lanes) == expected


def test_retention_past_the_checkpoint_is_a_named_error(
    open_log: Callable[..., SqliteLog], tmp_path: Path
) -> None:
    log = open_log(1, retention_ms=1_000)
    one = learner(log, tmp_path / "checkpoints", batch_size=100)
    for _ in range(6):
        one.step(0.0)
    one.close()
    assert CheckpointStore(tmp_path / "checkpoints" / "lane-0").versions()
    log.enforce_retention(1 << 52)
    with pytest.raises(OffsetGoneError):
        learner(log, tmp_path / "checkpoints").step(0.0)


def half_way(log: SqliteLog, directory: Path, **settings: Any) -> None:
    one = learner(log, directory, **settings)
    for _ in range(6):
        one.step(0.0)
    one.close()


def test_a_changed_partition_count_is_a_named_error(
    open_log: Callable[..., SqliteLog], tmp_path: Path
) -> None:
    half_way(open_log(2), tmp_path / "checkpoints")
    with pytest.raises(
        CheckpointMismatchError, match=r"with 2 partitions, this learner reads test\.ratings with 4"
    ):
        learner(open_log(4), tmp_path / "checkpoints")


@pytest.mark.parametrize(
    "settings",
    [
        {"lane": LaneConfig(models=("popularity",), configs={})},
        {"lane": LaneConfig(models=LANE.models, configs=LANE.configs, clock="event_time")},
        {"merge": False},
    ],
    ids=["models", "clock", "lanes"],
)
def test_another_configuration_is_a_named_error(
    settings: dict[str, Any], open_log: Callable[..., SqliteLog], tmp_path: Path
) -> None:
    log = open_log(2)
    half_way(log, tmp_path / "checkpoints")
    with pytest.raises(CheckpointMismatchError, match="start it with what the checkpoint has"):
        learner(log, tmp_path / "checkpoints", **settings)


def test_a_topic_that_does_not_exist_is_a_named_error(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log, pytest.raises(TopicMissingError, match=r"test\.ratings"):
        learner(log, tmp_path / "checkpoints")


def test_the_accounting_adds_up_in_the_metrics(open_log: Callable[..., SqliteLog], tmp_path: Path) -> None:
    log = open_log(4)
    registry = CollectorRegistry()
    config = LearnerConfig(lane=LANE, batch_size=100, limits=LIMITS)
    one = Learner(log, TOPICS, config, tmp_path / "checkpoints", LearnerMetrics(registry))
    one.step(0.0)
    assert registry.get_sample_value("engram_events_unaccounted") == 0
    one.run()
    one.close()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    repeated = open_log.repeated(log)  # type: ignore[attr-defined]
    assert value("engram_events_accepted_total") == EVENTS + repeated
    assert value("engram_events_learned_total") == GOOD
    assert value("engram_events_duplicate_total") == repeated
    assert value("engram_events_dead_lettered_total", reason="rating_out_of_scale") == BAD
    assert value("engram_events_dead_lettered_total", reason="undecodable") == 0
    assert value("engram_events_waiting") == 0
    assert value("engram_events_unaccounted") == 0
    assert [value("engram_learner_lag_events", partition=str(p)) for p in range(4)] == [0] * 4
    assert value("engram_learner_event_time_seconds") == max(r[2] for r in ROWS if not is_bad(r)) / 1000
    assert value("engram_known_users") == len({row[0] for row in ROWS if not is_bad(row)})
    for model in LANE.models:
        assert (value("engram_model_state_bytes", model=model) or 0) > 0
