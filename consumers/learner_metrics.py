"""From lanes to the learner's Prometheus figures, at most once a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from consumers.hand_over_steps import REASONS, STEPS
from consumers.intake import Intake
from consumers.metrics import LearnerFigures, LearnerMetrics
from consumers.stream import Stream
from consumers.synapse_gauges import Gauges, community_gauges, saturation_gauges, synapse_gauges
from eventlog.errors import BrokerError
from eventlog.log import Log

_PUBLISH_EVERY_S = 1.0
_COMMUNITIES_EVERY_S = 60.0


class LearnerPublisher:
    """Publishes the figures of all lanes of a learner that reads `topic`."""

    def __init__(self, metrics: LearnerMetrics, log: Log, topic: str) -> None:
        self._metrics = metrics
        self._log = log
        self._topic = topic
        self._published_at = float("-inf")
        self._checkpoint_bytes: int | None = None
        self._checkpoint_time_s: float | None = None
        self._synapses: Gauges = {}
        self._communities: Gauges = {}
        self._communities_at = float("-inf")
        self._rebalances: Counter[str] = Counter()

    def rebalanced(self, change: str) -> None:
        """Count a rebalance of the group: partitions were assigned, revoked or lost. Those of lanes that are gone have no series."""
        self._rebalances[change] += 1

    def publish(self, streams: Sequence[Stream], batch_s: float | None, *, final: bool = False) -> None:
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
        drifts: Counter[tuple[str, str]] = Counter()
        try:
            ends = self._log.bounds(self._topic)
        except BrokerError:
            return  # figures can wait for the brokers
        lanes = [stream.lane for stream in streams]
        intakes = [stream.intake for stream in streams]
        for lane, intake in zip(lanes, intakes, strict=True):
            dead.update(lane.dead_lettered)
            drifts.update(lane.drifts)
            for name, model in lane.models.items():
                kernel_s[name] = kernel_s.get(name, 0.0) + lane.kernel_seconds[name]
                state_bytes[name] += model.state_bytes
            for partition, (offset, _) in intake.positions.items():
                lag[partition] = max(ends[partition].end - offset, 0)
        latest = max((lane.clock_time_ms for lane in lanes), default=0)
        self._metrics.publish(
            LearnerFigures(
                accepted=sum(intake.accepted for intake in intakes),
                learned=sum(lane.learned + lane.corrections for lane in lanes),
                repeats=sum(lane.repeats for lane in lanes),
                corrections=sum(lane.corrections for lane in lanes),
                duplicate=sum(lane.duplicates for lane in lanes),
                dead_lettered=dead,
                waiting=sum(intake.waiting for intake in intakes),
                lag_events=lag,
                event_time_ms=latest if any(lane.learned for lane in lanes) else None,
                kernel_seconds=kernel_s,
                state_bytes=state_bytes,
                users=sum(lane.rows.known_users for lane in lanes),
                items=max((len(lane.rows.items) for lane in lanes), default=0),
                catalogue_items=max((len(lane.rows.catalogue) for lane in lanes), default=0),
                evicted_users=sum(lane.rows.evicted_users for lane in lanes),
                evicted_items=sum(lane.rows.evicted_items for lane in lanes),
                forgotten_users=sum(lane.rows.forgotten_users for lane in lanes),
                checkpoint_bytes=self._checkpoint_bytes,
                checkpoint_time_s=self._checkpoint_time_s,
                synapses=self._synapses,
                drifts=drifts,
                hand_over=self._look_at_versions(streams),
                lag_s=self._lag_s(intakes) if any(lag.values()) else 0.0,
                watermark_delay_s=max((intake.watermark_delay_ms for intake in intakes), default=0) / 1000,
                rebalances=self._rebalances,
            )
        )

    @staticmethod
    def _lag_s(intakes: Sequence[Intake]) -> float:
        """Age of what is learned, of the lane that is furthest behind; 0 before the first event."""
        oldest_ms = min((intake.taken_append_ms for intake in intakes if intake.taken_append_ms), default=0)
        return max(time.time() - oldest_ms / 1000, 0.0) if oldest_ms else 0.0

    def _look_at_versions(self, streams: Sequence[Stream]) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the metrics of batch models, and observe the swaps since the last time; {} without such models."""
        steps: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        versions: dict[str, int] = {}
        hand_overs = [stream.hand_over for stream in streams if stream.hand_over is not None]
        for one in hand_overs:
            steps.update(one.counts)
            refused.update(one.refusals)
            for model, version in one.versions_in_use.items():
                versions[model] = min(version, versions.get(model, version))
            for seconds in one.swap_seconds:
                self._metrics.observe_swap(seconds)
            one.swap_seconds.clear()
        if not hand_overs:
            return {}
        return {
            "engram_batch_steps_total": {(step,): float(steps[step]) for step in STEPS},
            "engram_batch_refused_total": {(reason,): float(refused[reason]) for reason in REASONS},
            "engram_batch_version": {(model,): float(version) for model, version in versions.items()},
        }

    def checkpointed(self, state_bytes: int, seconds: float) -> None:
        """Take note of a checkpoint of `state_bytes` that took `seconds`."""
        self._checkpoint_bytes = state_bytes
        self._checkpoint_time_s = time.time()
        self._metrics.observe_checkpoint(seconds)

    def look_at_synapses(self, streams: Sequence[Stream]) -> None:
        """Take note of the models' synapses; to be called at checkpoints only, for it takes some milliseconds."""
        lanes = [stream.lane for stream in streams]
        if time.monotonic() - self._communities_at >= _COMMUNITIES_EVERY_S:
            self._communities_at = time.monotonic()
            self._communities = community_gauges(lanes)
        self._synapses = synapse_gauges(lanes) | saturation_gauges(lanes) | self._communities
