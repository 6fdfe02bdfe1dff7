"""Classes of bugs that users of other stream processors met, each a test by name.

Those that other tests hold already are listed in docs/faults.md.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from chaos.run import Run
from chaos.stream import Shape, create_topics, make_events, messages
from chaos.truth import read_truth
from chaos.victim import Job, learn
from consumers.learner import GROUP
from eventlog.controls import Control, ControlKind
from eventlog.errors import OffsetGoneError
from eventlog.log import Log, Record
from eventlog.open_log import open_log
from eventlog.partitioner import partition_of
from eventlog.topics import Topics

EVENTS = 200


def bounded(events) -> tuple[Record, list[Record], Record]:
    start = Control(control=ControlKind.START, source_id="shop", total_events=len(events))
    end = Control(
        control=ControlKind.END,
        source_id="shop",
        event_time_ms=int(events.event_time_ms.max()),
        source_seq=len(events) - 1,
    )
    return start.to_record(), messages(events, 1), end.to_record()


def learned(run: Run) -> None:
    """Learn to the end, a second time from the checkpoint, evaluate, and judge."""
    run.here("learner")
    run.here("learner", "evaluator")
    run.judge(run.truth(), complete=True)
    assert run.findings == []


@pytest.mark.kafka
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "aborted"])
def test_recovery_ends_though_a_control_record_is_at_the_tail(
    committed: bool, kafka_bootstrap: str, tmp_path: Path
) -> None:
    """Recovery that waits for ever for an offset that no record has."""
    from kafka import KafkaProducer

    run = Run(f"kafka:{kafka_bootstrap}", tmp_path / "run", 1, Shape(pack=1), "event_count", events=EVENTS)
    start, sent, end = bounded(make_events(1, EVENTS))
    with run.log() as log:
        create_topics(log, run.topics, 1)
    producer = KafkaProducer(
        bootstrap_servers=kafka_bootstrap, transactional_id=uuid.uuid4().hex, retry_backoff_ms=5
    )
    producer.init_transactions()
    producer.begin_transaction()
    for record in [start, *sent, end]:
        producer.send(run.topics.ratings, record.value, record.key, list(record.headers), 0)
    producer.commit_transaction()
    if not committed:
        producer.begin_transaction()
        producer.send(run.topics.ratings, b"never", b"k", partition=0)
        producer.flush()
        producer.abort_transaction()
    producer.close()
    run.here("learner")
    run.here("learner")  # from its checkpoint: the marker is all that is left
    run.here("evaluator")
    assert run.digests()
    run.delete()


@pytest.mark.parametrize("kind", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_a_negative_offset_is_an_error_by_name(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Recovery from an offset such as -1001, which clients take for a place."""
    spec = (
        f"kafka:{request.getfixturevalue('kafka_bootstrap')}" if kind == "kafka" else f"embedded:{tmp_path}/l"
    )
    topic = f"test-{uuid.uuid4().hex[:12]}"
    with open_log(spec) as log:
        log.create_topic(topic, 1)
        with log.reader(topic, [0]) as reader, pytest.raises(OffsetGoneError, match="-1001"):
            reader.seek(0, -1001)
            reader.poll(1, 1.0)
        log.delete_topic(topic)


def test_empty_partitions_do_not_hold_recovery_up(tmp_path: Path) -> None:
    """Recovery that waits for ever for the first event of a partition that has none."""
    run = Run("embedded", tmp_path / "run", 1, Shape(partitions=4, pack=1), "event_count", events=EVENTS)
    events = make_events(1, EVENTS)
    of_one = events.take(np.array([partition_of(user.decode(), 4) == 2 for user in events.users]))
    start, sent, end = bounded(of_one)
    with run.log() as log:
        create_topics(log, run.topics, 4)
        with log.writer() as writer:
            for partition in range(4):
                writer.append(run.topics.ratings, partition, [start, *(sent if partition == 2 else []), end])
    learned(run)


def test_partitions_without_any_record_are_waited_for_and_then_learned(tmp_path: Path) -> None:
    """A source that has not begun on a partition is not taken for one that has ended there."""
    run = Run("embedded", tmp_path / "run", 1, Shape(partitions=2, pack=1), "event_count", events=EVENTS)
    run.write()
    with run.log() as log:
        whole = read_truth(log, run.topics.ratings)
    assert {partition for partition, end in whole.ends.items() if end} == {0, 1}
    learned(run)


@pytest.mark.kafka
def test_slow_processing_costs_neither_membership_nor_commits(kafka_bootstrap: str, tmp_path: Path) -> None:
    """kafka-python #1401, #1418, #2179: a batch that takes longer than the session ends in CommitFailedError."""
    run = Run(f"kafka:{kafka_bootstrap}", tmp_path / "run", 1, Shape(pack=16), "event_count", events=EVENTS)
    run.write()

    class Slow:
        """A log whose polls are answered long after any session of the broker's least time-out (1 s) has ended."""

        def __init__(self, log: Log) -> None:
            self._log = log
            self._slept = False

        def __getattr__(self, name: str) -> object:
            if name == "commit" and not self._slept:
                self._slept = True
                time.sleep(1.5)
            return getattr(self._log, name)

        def __enter__(self) -> Slow:
            return self

        def __exit__(self, *_: object) -> None:
            self._log.close()

    job: Job = run.job("learner")
    learn(job, Slow)  # type: ignore[arg-type,return-value]
    with run.log() as log:
        [end] = [bounds.end for bounds in log.bounds(run.topics.ratings).values()]
        assert log.committed(GROUP, Topics.with_prefix(run.prefix).ratings) == {0: end}
    run.delete()
