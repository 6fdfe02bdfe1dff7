"""A run's synapses over time: one model learned again from the run's log, with a snapshot on the way.

The log is the source of truth: checkpoints keep the last versions only, and events, order and kernels here are those
of the learner, so that the last snapshot is that of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consumers.intake import Intake
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from engram.graph_source import Snapshot, snapshot
from engram.settings import Settings
from engram.source import rating_limits
from eventlog.decode import decode
from eventlog.errors import LogError, OffsetGoneError
from eventlog.log import Log

_BATCH_EVENTS = 4096
_RECORDS_A_POLL = 64
_WAIT_S = 1.0


def positions(events: int, steps: int) -> list[int]:
    """Return at most `steps` equally spaced numbers of events, ascending; the last one is `events`."""
    return sorted({round(events * step / steps) for step in range(1, steps + 1)} - {0})


def snapshots(
    log: Log, settings: Settings, meta: Mapping[str, Any], config: LaneConfig, at: Sequence[int]
) -> Iterator[Snapshot]:
    """Learn a lane from the log's beginning; yield a snapshot after each number of events of `at` (ascending).

    meta: of a checkpoint of the lane. config: with one model.
    Raises `OffsetGoneError` when the log has lost its beginning, `LogError` when it ends too early.
    """
    lane_meta = meta["lane"]
    partitions = lane_meta["partitions"]
    bounds = log.bounds(meta["topic"])
    for partition in partitions:
        if bounds[partition].begin > 0:
            raise OffsetGoneError(
                f"{meta['topic']}, partition {partition}, begins at offset {bounds[partition].begin}: its beginning "
                "was deleted, and what it taught cannot be learned again"
            )
    lane = Lane(lane_meta["lane"], partitions, meta["topic_partitions"], config)
    intake = Intake(partitions)
    limits = rating_limits(settings)
    [model] = lane.models.values()
    with log.reader(meta["topic"], partitions) as reader:
        for target in at:
            while lane.learned < target:
                taken = intake.take(min(_BATCH_EVENTS, target - lane.learned))
                if taken is not None:
                    if len(taken.events):
                        lane.test_then_learn(taken.events)
                    continue
                read = 0
                for batch in reader.poll(_RECORDS_A_POLL, _WAIT_S):
                    intake.offer(batch.partition, decode(batch, limits, meta["topic_partitions"]))
                    read += len(batch.values)
                full = intake.full
                reader.pause(full)
                reader.resume(set(partitions) - full)
                if not read and all(reader.position(p) >= bounds[p].end for p in partitions):
                    raise LogError(
                        f"{meta['topic']} ends after {lane.learned:,} events, expected {target:,}, as the checkpoint "
                        "has learned"
                    )
            yield snapshot(model, lane.now, lane.learned, lane.rows.arrays())
