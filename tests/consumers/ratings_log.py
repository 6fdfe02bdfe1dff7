"""A small replay in a real embedded log: good events, bad ones and repeated messages, with START, watermarks, END."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import LaneSummary, decode_prediction
from eventlog.controls import Control, ControlKind
from eventlog.event_checks import Limits
from eventlog.log import Log, Record
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from online_models.hebbian import HebbianConfig
from tests.online_models.event_streams import random_stream
from tests.record_batches import pack

TOPICS = Topics.with_prefix("test")
EVENTS = 1_500
BAD_EVERY = 50  # every 50th event has a rating out of scale
REPEATED_EVERY = 20  # every 20th message is sent twice
LANE = LaneConfig(
    models=("popularity", "decayed_popularity", "hebbian", "rating_means", "river_biased_mf"),
    configs={"hebbian": HebbianConfig(direct_neurons=60, row_synapses=8, half_life_events=200)},
    scale=(0.0, 5.0),
)
LIMITS = Limits(rating_max=5.0)


def rows(seed: int = 41, events: int = EVENTS) -> list[tuple[str, str, int, int]]:
    """(user, item, event_time_ms, source_seq) in event-time order, some at equal times."""
    stream = sorted(random_stream(seed, events, users=80, items=120, step_ms=2), key=lambda one: one.time_ms)
    return [(f"u{one.user}", f"i{one.item}", one.time_ms, seq) for seq, one in enumerate(stream)]


def is_bad(row: tuple[str, str, int, int]) -> bool:
    """Whether the event is sent with a rating out of scale."""
    return row[3] % BAD_EVERY == BAD_EVERY - 1


def create_topics(log: Log, partitions: int, *, retention_ms: int = -1) -> None:
    """Create the topics of a run."""
    log.create_topic(TOPICS.ratings, partitions, retention_ms=retention_ms)
    log.create_topic(TOPICS.predictions, partitions)
    log.create_topic(TOPICS.dead_letters, 1)


def replay(log: Log, partitions: int, pack_size: int, events: Sequence[tuple[str, str, int, int]]) -> int:
    """Write `events`; returns how many were sent twice."""
    repeated = sent = 0
    with log.writer() as writer:

        def everywhere(control: Control) -> None:
            for partition in range(partitions):
                writer.append(TOPICS.ratings, partition, [control.to_record()])

        everywhere(Control(control=ControlKind.START, source_id="replay", total_events=len(events)))
        for first in range(0, len(events), 300):
            part = events[first : first + 300]
            for partition in range(partitions):
                mine = [row for row in part if partition_of(row[0], partitions) == partition]
                for at in range(0, len(mine), pack_size):
                    packed = mine[at : at + pack_size]
                    ratings = np.array([9.0 if is_bad(row) else 1.0 + row[3] % 5 for row in packed])
                    record = pack(packed, ratings=ratings)
                    # A message with a bad event is not sent twice: that would be two dead letters.
                    twice = sent % REPEATED_EVERY == 0 and not any(is_bad(row) for row in packed)
                    writer.append(TOPICS.ratings, partition, [record, record] if twice else [record])
                    repeated += len(packed) if twice else 0
                    sent += 1
            *_, time_ms, seq = part[-1]
            everywhere(
                Control(
                    control=ControlKind.WATERMARK, source_id="replay", event_time_ms=time_ms, source_seq=seq
                )
            )
        *_, time_ms, seq = events[-1]
        everywhere(
            Control(control=ControlKind.END, source_id="replay", event_time_ms=time_ms, source_seq=seq)
        )
    return repeated


def learner(
    log: SqliteLog,
    directory: Path,
    *,
    lane: LaneConfig = LANE,
    merge: bool = True,
    batch_size: int = 64,
    checkpoint_every_events: int = 200,
) -> Learner:
    """Start a learner whose checkpoints depend on events alone."""
    config = LearnerConfig(
        lane=lane,
        merge=merge,
        batch_size=batch_size,
        checkpoint_every_events=checkpoint_every_events,
        checkpoint_every_s=1e9,
        limits=LIMITS,
    )
    return Learner(log, TOPICS, config, directory)


def finish(one: Learner) -> Learner:
    """Run a learner to its end."""
    one.run()
    one.close()
    return one


def records(log: SqliteLog, topic: str) -> list[Record]:
    """Read all records of a topic, partition after partition."""
    found = []
    for partition, bounds in log.bounds(topic).items():
        with log.reader(topic, [partition]) as reader:
            reader.seek(partition, bounds.begin)
            while reader.position(partition) < bounds.end:
                for batch in reader.poll(1_000, 0.0):
                    found += [
                        Record(*one) for one in zip(batch.keys, batch.values, batch.headers, strict=True)
                    ]
    return found


def summaries(log: SqliteLog) -> list[LaneSummary]:
    """What the lanes said at their ends."""
    messages = [decode_prediction(record.value or b"") for record in records(log, TOPICS.predictions)]
    return [message for message in messages if isinstance(message, LaneSummary)]
