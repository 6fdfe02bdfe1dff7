"""The metrics table, its documentation, and what a scrape of the HTTP endpoint says."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from consumers.gpu_metrics import GpuCollector
from consumers.metric import MetricType, Process
from consumers.metrics import EvaluatorMetrics, LearnerFigures, LearnerMetrics, TrainerMetrics
from consumers.metrics_server import Health, MetricsServer
from consumers.metrics_table import METRICS, markdown, metrics_of
from eventlog.errors import SettingsError
from serving.red_metrics import RequestMetrics
from tests.consumers.test_gpu_metrics import put_nvidia_smi

FIGURES = LearnerFigures(
    accepted=100,
    learned=80,
    repeats=5,
    duplicate=7,
    dead_lettered={"rating_missing": 2, "undecodable": 1},
    waiting=10,
    lag_events={0: 12, 3: 0},
    event_time_ms=1_500,
    kernel_seconds={"hebbian": 0.25, "popularity": 0.5},
    state_bytes={"hebbian": 4096, "popularity": 64},
    users=9,
    items=11,
    checkpoint_bytes=5000,
    checkpoint_time_s=1_700_000_000.5,
    synapses={
        "engram_synapses": {("hebbian",): 40.0},
        "engram_synapse_density_ratio": {("hebbian",): 0.125},
        "engram_synapse_communities": {("hebbian",): 4.0},
        "engram_synapse_modularity_ratio": {("hebbian",): 0.25},
        "engram_wisard_saturation_ratio": {("wisard",): 0.5},
        "engram_synapse_weight_quantile": {("hebbian", "0.5"): 0.75, ("hebbian", "0.99"): 8.0},
    },
    lag_s=1.5,
    watermark_delay_s=2.5,
    drifts={("hebbian", "adwin"): 3, ("decayed_popularity", "adwin"): 0},
    hand_over={
        "engram_batch_steps_total": {("adopted",): 3.0, ("refused",): 1.0},
        "engram_batch_refused_total": {("torn",): 1.0},
        "engram_batch_version": {("batch",): 4.0},
    },
)
EVALUATED = {
    "hebbian": {
        "all": {"recall@10": 0.25, "ndcg@10": 0.125, "mrr@10": 0.1, "precision@10": 0.025, "hr@10": 0.25},
        "last_70": None,
        "window_1000": {"recall@10": 0.5},
    }
}
MEASURED = {
    "engram_prequential_rating_rmse": {("wisard", "all"): 0.875},
    "engram_prequential_rating_mae": {("wisard", "all"): 0.75},
    "engram_prequential_like_auc_ratio": {("wisard", "all"): 0.625},
    "engram_prequential_like_accuracy_ratio": {("wisard", "all"): 0.5},
    "engram_prequential_slice_recall_ratio": {("hebbian", "user_1"): 0.5},
    "engram_prequential_cold_recall_ratio": {("hebbian", "all"): 0.125},
    "engram_prequential_coverage_ratio": {("hebbian", "20", "all"): 0.75},
    "engram_prequential_gini_ratio": {("hebbian", "20", "all"): 0.875},
    "engram_prequential_novelty_bits": {("hebbian", "20", "all"): 9.5},
    "engram_prequential_diversity_ratio": {("hebbian", "20", "all"): 0.25},
    "engram_prequential_serendipity_ratio": {("hebbian", "10", "all"): 0.0625},
    "engram_prequential_difference_ratio": {("hebbian", "popularity"): -0.25},
    "engram_prequential_difference_low_ratio": {("hebbian", "popularity"): -0.5},
    "engram_prequential_difference_high_ratio": {("hebbian", "popularity"): 0.0},
    "engram_prequential_difference_p_ratio": {("hebbian", "popularity"): 0.0625},
    "engram_prequential_difference_decided": {("hebbian", "popularity"): -1.0},
}


def scrape(registry: CollectorRegistry) -> dict[str, Family]:
    """Families by name, over HTTP, in the form that Prometheus reads."""
    with (
        MetricsServer(registry, 0) as server,
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer,
    ):
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Family) -> dict[tuple[str, ...], float]:
    """Values of a counter or gauge by its label values."""
    return {
        tuple(sample.labels.values()): sample.value
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_names_units_and_labels_conform() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"engram_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.type is MetricType.COUNTER), metric.name
        units = {"seconds", "bytes", "ratio", "bits", "sign", "events", "users", "items", "drifts"}
        assert metric.unit in units | {
            "synapses",
            "weight",
            "communities",
            "rating",
            "requests",
            "steps",
            "versions",
            "version",
            "rebalances",
            "partitions",
            "trainings",
            "watts",
            "celsius",
        }
        if metric.unit in {"seconds", "bytes", "ratio", "bits", "watts", "celsius"}:
            assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}"), metric.name
        assert set(metric.labels) <= {
            *("model", "baseline", "reason", "partition", "k", "span", "slice", "q", "detector", "step"),
            *("method", "route", "status", "change", "gpu"),
        }
        assert metric.help.endswith(".")
        assert metric.reader.endswith(".")
        assert bool(metric.buckets) == (metric.type is MetricType.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_everything_scraped_is_in_the_table_and_the_table_is_scraped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    learner, evaluator = LearnerMetrics(registry), EvaluatorMetrics(registry)
    learner.publish(FIGURES)
    learner.observe_batch(0.01)
    learner.observe_checkpoint(0.5)
    evaluator.publish(80, EVALUATED, 0.5, MEASURED)
    TrainerMetrics(registry).trained("item_factors", 3, 12.0, 5_000)
    put_nvidia_smi(tmp_path, monkeypatch, "0, 50, 1024, 81920, 300.5, 61")
    GpuCollector(registry)
    RequestMetrics(registry).observe("GET", "/v1/models", 200, 0.001)
    families = scrape(registry)
    # prometheus_client adds when a counter or histogram was created, as gauges.
    exposed = {
        (name + "_total" if family.type == "counter" else name): (family.type, family.documentation)
        for name, family in families.items()
        if not name.endswith("_created")
    }
    assert exposed == {metric.name: (metric.type.value, metric.help) for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert family.samples, metric.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(metric.labels), metric.name


def test_a_scrape_has_the_values() -> None:
    registry = CollectorRegistry()
    learner, evaluator = LearnerMetrics(registry), EvaluatorMetrics(registry)
    learner.publish(FIGURES)
    for seconds in (0.002, 0.3, 99.0):
        learner.observe_batch(seconds)
    evaluator.publish(80, EVALUATED, 1.5, MEASURED)
    families = scrape(registry)
    assert values(families["engram_events_learned"]) == {(): 80}
    assert values(families["engram_events_repeated"]) == {(): 5}
    assert values(families["engram_learner_lag_events"]) == {("0",): 12, ("3",): 0}
    assert values(families["engram_learner_event_time_seconds"]) == {(): 1.5}
    assert values(families["engram_model_kernel_seconds"]) == {("hebbian",): 0.25, ("popularity",): 0.5}
    assert values(families["engram_checkpoint_timestamp_seconds"]) == {(): 1_700_000_000.5}
    assert values(families["engram_synapses"]) == {("hebbian",): 40}
    assert values(families["engram_synapse_density_ratio"]) == {("hebbian",): 0.125}
    assert values(families["engram_synapse_weight_quantile"]) == {
        ("hebbian", "0.5"): 0.75,
        ("hebbian", "0.99"): 8.0,
    }
    # Of every watched model, also before its first.
    drifts = {
        (sample.labels["model"], sample.labels["detector"]): sample.value
        for sample in families["engram_drift_detected"].samples
    }
    assert drifts == {("hebbian", "adwin"): 3, ("decayed_popularity", "adwin"): 0}
    assert values(families["engram_prequential_events"]) == {(): 80}
    assert values(families["engram_prequential_lag_seconds"]) == {(): 1.5}
    recall = families["engram_prequential_recall_ratio"].samples
    assert {(s.labels["model"], s.labels["k"], s.labels["span"]): s.value for s in recall} == {
        ("hebbian", "10", "all"): 0.25,
        ("hebbian", "10", "window_1000"): 0.5,
    }
    for name, of in MEASURED.items():
        # By label values; a scrape has labels in the order of their names.
        assert {tuple(sorted(labels)): value for labels, value in values(families[name]).items()} == {
            tuple(sorted(labels)): value for labels, value in of.items()
        }
    batches = {
        sample.labels.get("le"): sample.value
        for sample in families["engram_learner_batch_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert (batches["0.001"], batches["0.0025"], batches["0.5"], batches["+Inf"]) == (0, 1, 2, 3)


def test_the_accounting_adds_up_in_a_scrape() -> None:
    registry = CollectorRegistry()
    learner = LearnerMetrics(registry)
    learner.publish(FIGURES)
    families = scrape(registry)
    dead = values(families["engram_events_dead_lettered"])
    assert dead["rating_missing",] == 2
    assert dead["time_future",] == 0  # every reason is there from the start, so that rates are seen
    terms = [values(families[f"engram_events_{name}"])[()] for name in ("learned", "duplicate", "waiting")]
    assert values(families["engram_events_accepted"])[()] == sum(terms) + sum(dead.values())
    assert values(families["engram_events_unaccounted"]) == {(): 0}
    learner.publish(FIGURES._replace(learned=79))
    assert values(scrape(registry)["engram_events_unaccounted"]) == {(): 1}


def test_before_anything_is_published_there_are_no_values() -> None:
    registry = CollectorRegistry()
    LearnerMetrics(registry)
    EvaluatorMetrics(registry)
    TrainerMetrics(registry)
    GpuCollector(registry)
    RequestMetrics(registry)
    families = scrape(registry)
    assert values(families["engram_events_accepted"]) == {}
    assert len([name for name in families if not name.endswith("_created")]) == len(METRICS)


def test_series_of_partitions_that_were_revoked_are_gone() -> None:
    registry = CollectorRegistry()
    learner = LearnerMetrics(registry)
    learner.publish(FIGURES)
    assert values(scrape(registry)["engram_partitions_owned"]) == {(): 2}
    learner.publish(FIGURES._replace(lag_events={3: 1}, rebalances={"revoked": 1}))
    families = scrape(registry)
    assert values(families["engram_learner_lag_events"]) == {("3",): 1}
    assert values(families["engram_partitions_owned"]) == {(): 1}
    assert values(families["engram_rebalances"]) == {("assigned",): 0, ("revoked",): 1, ("lost",): 0}


def test_the_trainer_says_what_it_trained() -> None:
    registry = CollectorRegistry()
    trainer = TrainerMetrics(registry)
    trainer.read(900)
    assert values(scrape(registry)["engram_trainer_events"]) == {(): 900}
    assert values(scrape(registry)["engram_training_timestamp_seconds"]) == {}
    before_s = time.time()
    trainer.trained("item_factors", 1, 2.0, 1_000)
    trainer.trained("item_factors", 2, 20.0, 2_000)
    trainer.read(2_500)
    families = scrape(registry)
    assert values(families["engram_trainer_events"]) == {(): 2_500}
    assert values(families["engram_trainings"]) == {(): 2}
    assert values(families["engram_trained_version"]) == {("item_factors",): 2}
    assert values(families["engram_training_timestamp_seconds"])[()] >= before_s
    seconds = {s.name: s.value for s in families["engram_training_seconds"].samples if "le" not in s.labels}
    assert (seconds["engram_training_seconds_count"], seconds["engram_training_seconds_sum"]) == (2, 22.0)


def test_registering_twice_is_refused() -> None:
    registry = CollectorRegistry()
    LearnerMetrics(registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        LearnerMetrics(registry)


def test_a_port_in_use_is_a_clear_error_and_a_closed_server_releases_it() -> None:
    registry = CollectorRegistry()
    with (
        MetricsServer(registry, 0) as first,
        pytest.raises(SettingsError, match=rf"metrics port is {first.port} .*expected a free port"),
    ):
        MetricsServer(registry, first.port)
    MetricsServer(registry, first.port).close()
    with pytest.raises(SettingsError, match="metrics port is 70000"):
        MetricsServer(registry, 70_000)


def test_every_metric_is_of_one_process() -> None:
    assert sum(len(metrics_of(process)) for process in Process) == len(METRICS)


def test_the_documentation_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text("utf-8") == markdown(), (
        "write it again: python -m consumers.metrics_table > docs/metrics.md"
    )


def ask(server: MetricsServer, path: str) -> tuple[int, dict[str, object]]:
    """Status and JSON of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_process_is_ready_when_its_loop_has_gone_round_and_unhealthy_when_it_stalls() -> None:
    now_s = 100.0
    health = Health(stalled_after_s=60.0, clock=lambda: now_s)
    with MetricsServer(CollectorRegistry(), 0, health=health) as server:
        assert ask(server, "/readyz") == (503, {"status": "starting"})
        health.beat()
        assert ask(server, "/readyz") == (200, {"status": "ready"})
        now_s = 160.0
        assert ask(server, "/healthz") == (200, {"status": "ok", "silent_seconds": 60.0})
        now_s = 161.0
        assert ask(server, "/healthz") == (503, {"status": "stalled", "silent_seconds": 61.0})
        health.beat()
        assert ask(server, "/healthz")[0] == 200
        assert ask(server, "/other")[0] == 404


def test_without_a_loop_to_watch_an_answer_is_health_enough() -> None:
    with MetricsServer(CollectorRegistry(), 0) as server:
        assert ask(server, "/healthz") == (200, {"status": "ok"})
        assert ask(server, "/readyz") == (200, {"status": "ready"})


def test_what_has_finished_can_wait_for_its_last_scrape() -> None:
    with MetricsServer(CollectorRegistry(), 0) as server:
        assert not server.linger(0.01)
        scraping = threading.Timer(
            0.2, lambda: urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics").close()
        )
        scraping.start()
        # Other questions are no scrapes; this one is before it waits.
        ask(server, "/healthz")
        assert server.linger(60.0)
        scraping.join()
