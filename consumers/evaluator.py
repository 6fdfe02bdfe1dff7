"""The evaluator: reads what the models predicted, and turns it into figures.

Predictions are identified by (lane, lane_seq): what comes again after a learner's restart is dropped, and a gap is
fatal. State goes into checkpoints together with the offsets that it stands for, so that an evaluator interrupted
anywhere and started again gives what an uninterrupted one gives, bit for bit. Without a store it reads from the
first retained offset: that recomputes a run's figures from its topic.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec

from consumers.checkpoint import CheckpointStore
from consumers.drift_log import newest
from consumers.failpoints import failpoint
from consumers.hand_over_steps import steps_of
from consumers.lane_measures import LaneMeasures, MeasuresConfig
from consumers.measured import live_measures, model_measures
from consumers.metrics import EvaluatorMetrics
from consumers.predictions import Drift, LaneSummary, PredictionBlock, decode_prediction
from consumers.result import RunInfo, build_result, evaluator_digest
from evaluation.figures import ALL, Figures, curves_of, figures_of
from evaluation.named_arrays import under
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig, significance_of
from eventlog.errors import CheckpointMismatchError, PredictionsError
from eventlog.log import Log, RecordBatch

BLOCKS_A_POLL: Final = 256
PUBLISH_INTERVAL_S: Final = 0.5


class CheckpointPolicy(NamedTuple):
    """When the evaluator writes a checkpoint: after `events` events or `seconds`, whichever comes first."""

    events: int = 200_000
    seconds: float = 10.0


class Evaluator:
    """Evaluates the lanes of one predictions topic, step by step; not safe for several threads.

    lanes: those to expect, () for an open stream, whose evaluator is never done and takes any lane.
    store: where checkpoints are kept; the newest one is restored and reading goes on from its offsets.
    Raises `TopicMissingError`, and `CheckpointMismatchError` for a checkpoint of another topic or configuration.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        *,
        lanes: Collection[int] = (0,),
        config: PrequentialConfig | None = None,
        significance: SignificanceConfig | None = None,
        store: CheckpointStore | None = None,
        policy: CheckpointPolicy = CheckpointPolicy(),  # noqa: B008 (immutable)
        metrics: EvaluatorMetrics | None = None,
    ) -> None:
        self.topic = topic
        self.config = config or PrequentialConfig()
        self._measures = MeasuresConfig(self.config, significance or SignificanceConfig())
        self.lanes: dict[int, LaneMeasures] = {}
        self.summaries: dict[int, LaneSummary] = {}
        self._expected = frozenset(lanes)
        self._store = store
        self._policy = policy
        self._metrics = metrics
        partitions = range(log.partition_count(topic))
        self._reader = log.reader(topic, list(partitions))
        try:
            self._offsets = {partition: self._reader.position(partition) for partition in partitions}
            self._restore()
        except BaseException:
            self._reader.close()
            raise
        self._saved_offsets = dict(self._offsets)
        self._saved_events = self.events
        self._saved_at_s = time.monotonic()
        self._published_at_s = 0.0

    @property
    def events(self) -> int:
        """Events evaluated, over all lanes, repeats included."""
        return sum(lane.events for lane in self.lanes.values())

    @property
    def total_events(self) -> int | None:
        """Events that the source announced, over all lanes; None for an open stream."""
        announced = [
            of.total_events for lane in self.lanes.values() if (of := lane.ranking).total_events is not None
        ]
        return max(announced, default=None)

    @property
    def done(self) -> bool:
        """Whether every expected lane has ended and all its events are evaluated."""
        return bool(self._expected) and self._expected == self.summaries.keys()

    def step(self, timeout_s: float, blocks: int = BLOCKS_A_POLL) -> int:
        """Take what the log has, `blocks` at most, waiting at most `timeout_s` for any; return the events taken.

        Raises `PredictionsError` for a gap, other models than before, an unexpected lane or an unreadable message,
        and `OffsetGoneError` when the log no longer retains what comes next; then this evaluator cannot go on.
        """
        before = self.events
        # (1) take
        batches = self._reader.poll(blocks, timeout_s)
        for batch in batches:
            self._take_batch(batch)
        failpoint("evaluated")
        # (2) publish
        if self._metrics is not None and (
            self.done or time.monotonic() - self._published_at_s >= PUBLISH_INTERVAL_S
        ):
            newest_ms = max((int(batch.append_time_ms[-1]) for batch in batches if batch), default=None)
            self.publish(newest_ms)
        # (3) checkpoint
        if self._checkpoint_due():
            self.checkpoint()
        return self.events - before

    def figures(self) -> dict[str, dict[str, Figures | None]]:
        """Return {model: {span: {measure: value}}} of now, {} before the first event (`evaluation.figures`)."""
        return figures_of([lane.ranking for lane in self._states()]) if self.lanes else {}

    def curves(self) -> dict[str, Any]:
        """Return the curves so far (`evaluation.figures.curves_of`). Needs an event."""
        return curves_of([lane.ranking for lane in self._states()])

    @property
    def clock_ms(self) -> int | None:
        """The greatest event time evaluated so far, over all lanes; None before the first event."""
        clocks = [lane.ranking.clock_ms for lane in self.lanes.values()]
        return max((clock for clock in clocks if clock is not None), default=None)

    def drifts(self) -> list[Drift]:
        """Return the drifts that are kept, in order of their event, of all lanes."""
        return newest([lane.drifts for lane in self._states()])

    def significance(self) -> dict[str, Any] | None:
        """Return how models differ (`evaluation.significance.significance_of`); None before there is a pair."""
        return significance_of([lane.comparison for lane in self._states()]) if self.lanes else None

    def beyond(self) -> dict[str, Figures]:
        """Return {model: coverage, novelty, diversity, ...} of the lists so far of each model that ranks."""
        states = self._states()
        names = states[0].ranking.models if states else []
        found = {name: model_measures(states, name)["beyond"] for name in names}
        return {name: spans[ALL] for name, spans in found.items() if spans and spans[ALL]}

    def hand_overs(self) -> list[dict[str, Any]]:
        """Return what became of versions of batch models, in order of their event, as result.json has it."""
        return steps_of({number: lane.steps for number, lane in self.lanes.items()})

    def digest(self) -> str:
        """Sha256 of the evaluation of all lanes."""
        return evaluator_digest(self.lanes)

    def result(self, run: RunInfo) -> dict[str, Any]:
        """Return the content of result.json. Raises `PredictionsError` before the expected lanes have ended."""
        missing = sorted((self._expected or self.lanes.keys()) - self.summaries.keys())
        if missing or not self.summaries:
            raise PredictionsError(
                f"{self.topic}: lanes {missing} have not ended, expected a summary of each; evaluate again when "
                "the learner has finished"
            )
        return build_result(run, self.lanes, self.summaries)

    def publish(self, newest_ms: int | None = None) -> None:
        """Publish the figures of now; newest_ms: when the log took what was evaluated last, None for no lag."""
        if self._metrics is None:
            return
        lag_s = 0.0 if newest_ms is None else max(0.0, time.time() - newest_ms / 1000)
        measured = live_measures(self._states()) if self.lanes else {}
        self._metrics.publish(self.events, self.figures(), lag_s, measured)
        self._published_at_s = time.monotonic()

    def checkpoint(self) -> None:
        """Write a checkpoint now; without a store nothing happens."""
        if self._store is None:
            return
        arrays = {
            f"lane{lane}.{name}": array
            for lane, state in self.lanes.items()
            for name, array in state.arrays().items()
        }
        meta = {
            "topic": self.topic,
            "config": self._measures.describe(),
            "offsets": {str(partition): offset for partition, offset in self._offsets.items()},
            "lanes": {str(lane): state.meta() for lane, state in self.lanes.items()},
            "summaries": {
                str(lane): msgspec.to_builtins(summary) for lane, summary in self.summaries.items()
            },
        }
        self._store.save(arrays, meta)
        self._saved_offsets = dict(self._offsets)
        self._saved_events = self.events
        self._saved_at_s = time.monotonic()

    def close(self) -> None:
        """Release the reader; what came after the last checkpoint is read again by the next evaluator."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _states(self) -> list[LaneMeasures]:
        return [state for _, state in sorted(self.lanes.items())]

    def _checkpoint_due(self) -> bool:
        if self._store is None or self._offsets == self._saved_offsets:
            return False
        return (
            self.done
            or self.events - self._saved_events >= self._policy.events
            or time.monotonic() - self._saved_at_s >= self._policy.seconds
        )

    def _restore(self) -> None:
        found = self._store.load() if self._store is not None else None
        if found is None:
            return
        expected = {"topic": self.topic, "config": self._measures.describe()}
        for name, value in expected.items():
            if found.meta.get(name) != value:
                raise CheckpointMismatchError(
                    f"the evaluator's checkpoint has {name} {found.meta.get(name)!r}, expected {value!r}: name "
                    "another checkpoint directory, or delete this one to evaluate from the start of the topic"
                )
        offsets = {int(partition): offset for partition, offset in found.meta["offsets"].items()}
        if not offsets.keys() <= self._offsets.keys():
            raise CheckpointMismatchError(
                f"the evaluator's checkpoint has partitions {sorted(offsets)} of {self.topic}, expected some of "
                f"{sorted(self._offsets)}: delete it to evaluate from the start of the topic"
            )
        for lane, meta in found.meta["lanes"].items():
            try:
                self.lanes[int(lane)] = LaneMeasures.restore(
                    self._measures, under(f"lane{lane}.", found.arrays), meta
                )
            except ValueError as error:
                raise CheckpointMismatchError(f"lane {lane} of the evaluator: {error}") from error
        for lane, summary in found.meta["summaries"].items():
            self.summaries[int(lane)] = msgspec.convert(summary, LaneSummary)
        for partition, offset in offsets.items():
            self._reader.seek(partition, offset)
        # Partitions that the topic has got since are read from their beginning.
        self._offsets |= offsets

    def _take_batch(self, batch: RecordBatch) -> None:
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            where = f"{batch.topic}/{batch.partition} at {offset}"
            try:
                message = decode_prediction(value or b"")
            except (msgspec.DecodeError, ValueError) as error:
                raise PredictionsError(f"{where}: not a prediction block or summary: {error}") from error
            if self._expected and message.lane not in self._expected:
                raise PredictionsError(
                    f"{where}: lane is {message.lane}, expected one of {sorted(self._expected)}"
                )
            if isinstance(message, LaneSummary):
                self._take_summary(message, where)
            else:
                self._take_block(message, where)
        self._offsets[batch.partition] = batch.next_offset

    def _take_summary(self, summary: LaneSummary, where: str) -> None:
        state = self.lanes.get(summary.lane)
        if state is None:
            said = summary.models.items()
            state = self._new_lane(
                summary.lane,
                where,
                [name for name, model in said if model.ranks],
                [name for name, model in said if model.rates],
                [name for name, model in said if model.likes],
            )
        if summary.events != state.events:
            raise PredictionsError(
                f"{where}: lane {summary.lane} ends after {summary.events} events, expected {state.events}, as many "
                "as were predicted"
            )
        self.summaries[summary.lane] = summary

    def _take_block(self, block: PredictionBlock, where: str) -> None:
        state = self.lanes.get(block.lane)
        if state is None:
            state = self._new_lane(block.lane, where, block.ranks, block.predicted, block.liked, block.cold)
        known = state.events - block.first_seq
        if known < 0:
            raise PredictionsError(
                f"{where}: lane {block.lane} goes on at lane_seq {block.first_seq}, expected {state.events}: "
                "predictions between are lost (retention?); run the learner again from its ratings, with a new "
                "predictions topic"
            )
        if known >= len(block.flags):
            return
        block = block.after(known)
        # A lane that goes on has not ended: it will say so again.
        self.summaries.pop(block.lane, None)
        try:
            state.update(block)
        except ValueError as error:
            raise PredictionsError(f"{where}: lane {block.lane}: {error}") from error

    def _new_lane(
        self,
        lane: int,
        where: str,
        ranking: Collection[str],
        rating: Collection[str],
        liking: Collection[str],
        cold: Collection[str] = (),
    ) -> LaneMeasures:
        state = LaneMeasures(self._measures, ranking, rating, liking, cold)
        for other in self.lanes.values():
            if other.models != state.models:
                raise PredictionsError(
                    f"{where}: lane {lane} has models {state.models}, expected {other.models}"
                )
        self.lanes[lane] = state
        return state
