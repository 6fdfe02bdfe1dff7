"""Prometheus metrics of the learner and the evaluator, created from the one table.

Values are published as one snapshot that replaces the one before: a scrape sees all of a moment or nothing of it,
so that the accounting adds up in every scrape.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.metric import Metric, MetricType, Process
from consumers.metrics_table import REBALANCES, metrics_of
from eventlog.deadletter import Reason

Family = CounterMetricFamily | GaugeMetricFamily
Values = dict[str, dict[tuple[str, ...], float]]


class _Snapshot(Collector):
    """Counters and gauges of a moment: {metric name: {label values: value}}."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._values: Values = {}

    def replace(self, values: Values) -> None:
        """Publish `values` in place of all earlier ones. Raises `KeyError` for a name outside the table."""
        for name, by_labels in values.items():
            arity = len(self._metrics[name].labels)
            if any(len(labels) != arity for labels in by_labels):
                raise ValueError(f"{name} has labels {list(by_labels)}, expected {arity} each")
        self._values = values

    def describe(self) -> list[Family]:
        """Name the families without values, for the registry's check of duplicates."""
        return [_family(metric) for metric in self._metrics.values()]

    def collect(self) -> list[Family]:
        """Return the families with the values of one moment."""
        values = self._values
        families = []
        for metric in self._metrics.values():
            family = _family(metric)
            for labels, value in values.get(metric.name, {}).items():
                family.add_metric(labels, value)
            families.append(family)
        return families


def _family(metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def _register(
    process: Process, registry: CollectorRegistry, *, without: Collection[str] = ()
) -> tuple[_Snapshot, dict[str, Histogram]]:
    metrics = [metric for metric in metrics_of(process) if metric.name not in without]
    snapshot = _Snapshot(m for m in metrics if m.type is not MetricType.HISTOGRAM)
    registry.register(snapshot)
    histograms = {
        m.name: Histogram(m.name, m.help, registry=registry, buckets=m.buckets)
        for m in metrics
        if m.type is MetricType.HISTOGRAM
    }
    return snapshot, histograms


class LearnerFigures(NamedTuple):
    """What the learner publishes of a moment; counts are totals since the start of the stream or of the process.

    dead_lettered: {reason: events}. lag_events: {partition: offsets to its end}. event_time_ms: the clock, None
    before the first event. lag_s, watermark_delay_s: see the table. kernel_seconds, state_bytes: by model. checkpoint_bytes, checkpoint_time_s (seconds since
    1970): of the last checkpoint, None before it. synapses: as of then, {metric name: {label values: value}}, see
    `consumers.synapse_gauges`. drifts: by watched model and detector. hand_over: of batch models, as synapses.
    """

    accepted: int
    learned: int
    repeats: int
    duplicate: int
    dead_lettered: Mapping[str, int]
    waiting: int
    lag_events: Mapping[int, int]
    event_time_ms: int | None
    kernel_seconds: Mapping[str, float]
    state_bytes: Mapping[str, int]
    users: int
    items: int
    corrections: int = 0
    catalogue_items: int = 0
    evicted_users: int = 0
    evicted_items: int = 0
    forgotten_users: int = 0
    checkpoint_bytes: int | None = None
    checkpoint_time_s: float | None = None
    synapses: Mapping[str, Mapping[tuple[str, ...], float]] = {}
    drifts: Mapping[tuple[str, str], int] = {}
    hand_over: Mapping[str, Mapping[tuple[str, ...], float]] = {}
    lag_s: float = 0.0
    watermark_delay_s: float = 0.0
    rebalances: Mapping[str, int] = {}


class LearnerMetrics:
    """The learner's metrics in `registry`. Raises `ValueError` if they are registered there already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._snapshot, histograms = _register(Process.LEARNER, registry)
        self._batch_seconds = histograms["engram_learner_batch_seconds"]
        self._checkpoint_seconds = histograms["engram_checkpoint_seconds"]
        self._swap_seconds = histograms["engram_batch_swap_seconds"]

    def observe_batch(self, seconds: float) -> None:
        """Count one polled batch."""
        self._batch_seconds.observe(seconds)

    def observe_checkpoint(self, seconds: float) -> None:
        """Count one checkpoint written."""
        self._checkpoint_seconds.observe(seconds)

    def observe_swap(self, seconds: float) -> None:
        """Count one version of a batch model adopted."""
        self._swap_seconds.observe(seconds)

    def publish(self, figures: LearnerFigures) -> None:
        """Replace everything published before, at once."""
        dead = {reason.value: 0 for reason in Reason} | dict(figures.dead_lettered)
        missing = figures.accepted - (
            figures.learned + sum(dead.values()) + figures.duplicate + figures.waiting
        )
        self._snapshot.replace(
            {
                "engram_events_accepted_total": _one(figures.accepted),
                "engram_events_learned_total": _one(figures.learned),
                "engram_events_repeated_total": _one(figures.repeats),
                "engram_events_duplicate_total": _one(figures.duplicate),
                "engram_events_dead_lettered_total": _by_label(dead),
                "engram_events_waiting": _one(figures.waiting),
                "engram_events_unaccounted": _one(missing),
                "engram_learner_lag_events": _by_label(figures.lag_events),
                "engram_learner_lag_seconds": _one(figures.lag_s),
                "engram_partitions_owned": _one(len(figures.lag_events)),
                "engram_rebalances_total": _by_label(dict.fromkeys(REBALANCES, 0) | dict(figures.rebalances)),
                "engram_watermark_delay_seconds": _one(figures.watermark_delay_s),
                "engram_learner_event_time_seconds": _one(
                    None if figures.event_time_ms is None else figures.event_time_ms / 1000
                ),
                "engram_model_kernel_seconds_total": _by_label(figures.kernel_seconds),
                "engram_model_state_bytes": _by_label(figures.state_bytes),
                "engram_known_users": _one(figures.users),
                "engram_known_items": _one(figures.items),
                "engram_events_corrected_total": _one(figures.corrections),
                "engram_catalogue_items": _one(figures.catalogue_items),
                "engram_evicted_users_total": _one(figures.evicted_users),
                "engram_evicted_items_total": _one(figures.evicted_items),
                "engram_forgotten_users_total": _one(figures.forgotten_users),
                "engram_checkpoint_bytes": _one(figures.checkpoint_bytes),
                "engram_checkpoint_timestamp_seconds": _one(figures.checkpoint_time_s),
                **{name: dict(of) for name, of in figures.synapses.items()},
                **{name: dict(of) for name, of in figures.hand_over.items()},
                "engram_drift_detected_total": {key: float(count) for key, count in figures.drifts.items()},
            }
        )


class EvaluatorMetrics:
    """The evaluator's metrics in `registry`. Raises `ValueError` if they are registered there already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._snapshot, _ = _register(Process.EVALUATOR, registry)

    def publish(
        self,
        events: int,
        figures: Mapping[str, Mapping[str, Mapping[str, float] | None]],
        lag_s: float,
        measured: Mapping[str, Mapping[tuple[str, ...], float]] | None = None,
    ) -> None:
        """Replace everything published before, at once.

        events: evaluated so far. figures: {model: {span: {measure: value}}}; a span without figures is left out.
        lag_s: seconds between the log's taking the newest predictions and now. measured: other metrics of the table,
        {name: {label values: value}}.
        """
        values: Values = {
            "engram_prequential_events_total": _one(events),
            "engram_prequential_lag_seconds": _one(lag_s),
        }
        for model, spans in figures.items():
            for span, by_measure in spans.items():
                for measure, value in (by_measure or {}).items():
                    name, _, cutoff = measure.partition("@")
                    by_labels = values.setdefault(f"engram_prequential_{name}_ratio", {})
                    by_labels[model, cutoff, span] = value
        self._snapshot.replace(values | {name: dict(of) for name, of in (measured or {}).items()})


class TrainerMetrics:
    """The trainer's metrics in `registry`. Raises `ValueError` if they are registered there already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gpu = {metric.name for metric in metrics_of(Process.TRAINER) if "gpu" in metric.labels}
        self._snapshot, histograms = _register(Process.TRAINER, registry, without=gpu)
        self._seconds = histograms["engram_training_seconds"]
        self._trainings = 0
        self._newest: Values = {}

    def trained(self, model: str, version: int, seconds: float, events: int) -> None:
        """Count a version that was announced now; the trainer has read so many events."""
        self._seconds.observe(seconds)
        self._trainings += 1
        self._newest = {
            "engram_training_timestamp_seconds": _one(time.time()),
            "engram_trained_version": {(model,): float(version)},
        }
        self.read(events)

    def read(self, events: int) -> None:
        """Publish how many events the trainer has read."""
        self._snapshot.replace(
            {
                "engram_trainer_events_total": _one(events),
                "engram_trainings_total": _one(self._trainings),
                **self._newest,
            }
        )


def _one(value: float | None) -> dict[tuple[str, ...], float]:
    return {} if value is None else {(): float(value)}


def _by_label(values: Mapping[str, float] | Mapping[int, int]) -> dict[tuple[str, ...], float]:
    return {(str(label),): float(value) for label, value in values.items()}
