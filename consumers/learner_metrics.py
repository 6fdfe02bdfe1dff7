"""From lanes to the learner's Prometheus figures, at most once a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from consumers.intake import Intake
from consumers.lane import Lane
from consumers.metrics import LearnerFigures, LearnerMetrics
from eventlog.log import Log

_PUBLISH_EVERY_S = 1.0


class LearnerPublisher:
    """Publishes the figures of all lanes of a learner that reads `topic`."""

    def __init__(self, metrics: LearnerMetrics, log: Log, topic: str) -> None:
        self._metrics = metrics
        self._log = log
        self._topic = topic
        self._published_at = float("-inf")
        self._checkpoint_bytes: int | None = None
        self._checkpoint_time_s: float | None = None

    def publish(
        self, lanes: Sequence[tuple[Lane, Intake]], batch_s: float | None, *, final: bool = False
    ) -> None:
        """Observe one batch (batch_s seconds, None for an idle poll), and publish when it is time."""
        if batch_s is not None:
            self._metrics.observe_batch(batch_s)
        if not final and time.monotonic() - self._published_at < _PUBLISH_EVERY_S:
            return
        self._published_at = time.monotonic()
        dead: Counter[str] = Counter()
        kernel_s: dict[str, float] = {}
        state_bytes: Counter[str] = Counter()
        lag: dict[int, int] = {}
        ends = self._log.bounds(self._topic)
        for lane, intake in lanes:
            dead.update(lane.dead_lettered)
            for name, model in lane.models.items():
                kernel_s[name] = kernel_s.get(name, 0.0) + lane.kernel_seconds[name]
                state_bytes[name] += model.state_bytes
            for partition, (offset, _) in intake.positions.items():
                lag[partition] = max(ends[partition].end - offset, 0)
        latest = max(lane.clock_time_ms for lane, _ in lanes)
        self._metrics.publish(
            LearnerFigures(
                accepted=sum(intake.accepted for _, intake in lanes),
                learned=sum(lane.learned for lane, _ in lanes),
                repeats=sum(lane.repeats for lane, _ in lanes),
                duplicate=sum(lane.duplicates for lane, _ in lanes),
                dead_lettered=dead,
                waiting=sum(intake.waiting for _, intake in lanes),
                lag_events=lag,
                event_time_ms=latest if any(lane.learned for lane, _ in lanes) else None,
                kernel_seconds=kernel_s,
                state_bytes=state_bytes,
                users=sum(len(lane.users) for lane, _ in lanes),
                items=max(len(lane.items) for lane, _ in lanes),
                checkpoint_bytes=self._checkpoint_bytes,
                checkpoint_time_s=self._checkpoint_time_s,
            )
        )

    def checkpointed(self, arrays: Mapping[str, NDArray[Any]], seconds: float) -> None:
        """Take note of a checkpoint that was written."""
        self._checkpoint_bytes = sum(array.nbytes for array in arrays.values())
        self._checkpoint_time_s = time.time()
        self._metrics.observe_checkpoint(seconds)
