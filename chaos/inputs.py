"""Faults of the input: topics deleted, made anew, grown, cut by retention; events delivered again; poison."""

from __future__ import annotations

import shutil
from functools import partial

from chaos.fault import SAME, Fault, Ground, Outcome, finish, refused
from chaos.run import Run
from chaos.stream import Shape, lay_out, make_events
from chaos.traps import at_call, learn_partly, store_of
from eventlog.errors import (
    CheckpointMismatchError,
    EngramError,
    OffsetGoneError,
    TopicMissingError,
)
from eventlog.log import Log
from eventlog.sqlite_log import SqliteLog

_LONG_MS = 1 << 50
_LATER_MS = 1 << 52
ANOTHER = "another checkpoint directory"


def _events(ground: Ground) -> int:
    return 200 if ground.on_kafka else 300


def delivered_again(ground: Ground) -> Outcome:
    """Every message once more, in its order, after the first time and before the end of the source."""
    run = ground.draw(_events(ground))
    events = make_events(run.seed, run.events, late=run.shape.late)
    with run.log() as log:
        for topic, count in (
            (run.topics.ratings, run.shape.partitions),
            (run.topics.predictions, run.shape.partitions),
        ):
            log.create_topic(topic, count)
        log.create_topic(run.topics.dead_letters, 1)
        with log.writer() as writer:
            for partition, records in enumerate(lay_out(events, run.shape, run.seed)):
                start, *sent, end = records
                writer.append(run.topics.ratings, partition, [start, *sent, *sent, end])
    run.here("learner", "evaluator")
    return Outcome(struck=run.events, findings=finish(ground, run))


def poisoned(ground: Ground) -> Outcome:
    """A malformed message beside each good one."""
    shape = Shape(partitions=int(ground.rng.choice([1, 4])), pack=1, bad=1.0)
    run = ground.draw(_events(ground) if ground.on_kafka else 500, shape)
    run.write()
    truth = run.truth()
    run.here("learner", "evaluator")
    return Outcome(struck=len(truth.bad), findings=finish(ground, run))


def deleted(ground: Ground) -> Outcome:
    """The topic is deleted while it is learned; made anew with the same events, another learner learns it."""
    run = ground.draw(_events(ground))
    run.write()
    run.batch_size = 7

    def delete() -> None:
        with run.log() as log:
            log.delete_topic(run.topics.ratings)

    ended, findings = refused(
        TopicMissingError, ("create it",), lambda: run.here("learner", wrap=at_call("poll", 2, delete))
    )
    run.findings += findings
    shutil.rmtree(run.directory / "learner")
    run.write()
    run.here("learner", "evaluator")
    return Outcome(ended=ended, findings=finish(ground, run))


def made_anew(again: bool, ground: Ground) -> Outcome:
    """The topic is deleted and made anew, empty or with the same events, between two lives of a learner."""
    run = ground.draw(_events(ground))
    run.write()
    learn_partly(run, ground.rng)
    newest = store_of(run).load()
    if newest is None or not any(offset for offset, _ in newest.meta["intake"]["positions"].values()):
        run.delete()
        return Outcome(0, 0)
    with run.log() as log:
        log.delete_topic(run.topics.ratings)
        if not again:
            log.create_topic(run.topics.ratings, run.shape.partitions)
    if again:
        run.write()
    error: type[EngramError] = CheckpointMismatchError if again else OffsetGoneError
    ended, findings = refused(error, (ANOTHER,), lambda: run.here("learner"))
    run.findings += findings
    shutil.rmtree(run.directory / "learner")
    if not again:
        run.write()
    run.here("learner", "evaluator")
    return Outcome(ended=ended, findings=finish(ground, run))


def grown(ground: Ground) -> Outcome:
    """The topic gets twice the partitions between two lives of a learner."""
    run = ground.draw(_events(ground))
    run.write()
    if not learn_partly(run, ground.rng):
        run.delete()
        return Outcome(0, 0)
    with run.log() as log:
        log.grow_topic(run.topics.ratings, 2 * run.shape.partitions)
    ended, findings = refused(
        CheckpointMismatchError, ("engram checkpoint repartition",), lambda: run.here("learner")
    )
    if not findings:
        run.delete()
    return Outcome(ended=ended, findings=findings)


def cut_by_retention(recovering: bool, ground: Ground) -> Outcome:
    """The log drops what the checkpoint has not reached: before the learner starts, or while it recovers."""
    run = ground.draw(_events(ground), Shape(partitions=int(ground.rng.choice([1, 4])), pack=1))
    with run.log() as log:
        log.create_topic(run.topics.ratings, run.shape.partitions, retention_ms=_LONG_MS)
    run.write()
    learn_partly(run, ground.rng)
    before = store_of(run).load()
    positions = before.meta["intake"]["positions"] if before else {}
    with run.log() as log:
        ends = {partition: bounds.end for partition, bounds in log.bounds(run.topics.ratings).items()}
    if not positions or all(positions[str(p)][0] >= end for p, end in ends.items()):
        run.delete()
        return Outcome(0, 0)

    def drop() -> None:
        with run.log() as log:
            _drop(log, run)

    if not recovering:
        drop()
    run.batch_size = 7
    wrap = at_call("poll", 1, drop if recovering else lambda: None)
    ended, findings = refused(OffsetGoneError, (ANOTHER,), lambda: run.here("learner", wrap=wrap))
    if recovering and ended == "progress":
        findings = []  # what was dropped had been fetched already
    if not findings:
        run.delete()
    return Outcome(ended=ended, findings=findings)


def _drop(log: Log, run: Run) -> None:
    """Make the log drop every record of the ratings topic."""
    if isinstance(log, SqliteLog):
        log.enforce_retention(_LATER_MS)
        return
    from kafka import KafkaAdminClient, TopicPartition

    ends = {
        TopicPartition(run.topics.ratings, p): bounds.end
        for p, bounds in log.bounds(run.topics.ratings).items()
    }
    with KafkaAdminClient(bootstrap_servers=run.spec.partition(":")[2]) as admin:
        admin.delete_records(ends)


_THEN = "says the way out; then the same result"
FAULTS = (
    Fault("every message delivered again", SAME, delivered_again),
    Fault("poison: a malformed message beside each good one", f"each a dead letter, once; {SAME}", poisoned),
    Fault("topic deleted while it is learned", f"TopicMissingError {_THEN}", deleted),
    Fault("topic made anew, empty", f"OffsetGoneError {_THEN}", partial(made_anew, False)),
    Fault("topic made anew, with events", f"CheckpointMismatchError {_THEN}", partial(made_anew, True)),
    Fault("topic grown", "CheckpointMismatchError says the way out", grown),
    Fault(
        "retention past the checkpoint", "OffsetGoneError says the way out", partial(cut_by_retention, False)
    ),
    Fault(
        "retention during recovery",
        "progress, or OffsetGoneError that says the way out",
        partial(cut_by_retention, True),
    ),
)
