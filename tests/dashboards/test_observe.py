"""A real Prometheus scrapes a real replay, and every query of every panel has data; and not more series than allowed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from consumers.metric import Process
from consumers.metrics_table import METRICS, SERIES_BUDGET, metrics_of
from dashboards.answering import JOB, Answering
from dashboards.observe import CHOSEN, Asked, Replaying, ask_all, table, watched
from dashboards.prometheus_process import Prometheus
from dashboards.promql import GRAFANA

# What a large deployment has of each label.
CARDINALITY = {
    **{"model": 8, "baseline": 3, "k": 3, "span": 8, "slice": 8, "q": 3, "detector": 1},
    **{
        "reason": 16,
        "partition": 16,
        "method": 3,
        "route": 12,
        "status": 4,
        "step": 4,
        "change": 3,
        "direction": 2,
        "gpu": 8,
    },
}
MAY_BE_EMPTY = {
    "Recall@10 by popularity of the item",
    "What lanes tell each other",
    "Age of what lanes have heard",
}


def shown(one: Asked) -> bool:
    """Whether a query has data; without a GPU, without lanes that share, and before an item is that popular, it need not."""
    excused = "GPU" in one.panel.title or one.panel.title in MAY_BE_EMPTY
    return one.series > 0 or (excused and one.fine)


def test_every_panel_shows_data_of_a_running_replay(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus: apt-get install prometheus (or Prometheus's own archive) brings it")
    with (
        Replaying(tmp_path, "synthetic", None, rate=750, seconds=120) as replaying,
        Answering(tmp_path / "api") as answering,
        Prometheus(tmp_path / "prometheus", {**replaying.targets, JOB: answering.target}) as prometheus,
    ):
        assert watched(prometheus, replaying, 8_000), (tmp_path / "replay.log").read_text("utf-8")
        deadline_s = time.monotonic() + 60
        # Until there have been a checkpoint and enough scrapes for a rate.
        while True:
            asked = list(ask_all(prometheus, {**GRAFANA, **CHOSEN}))
            if all(shown(one) for one in asked) or time.monotonic() > deadline_s:
                break
            time.sleep(1.0)
        exposed = {
            one["metric"]["job"]: float(one["value"][1])
            for one in prometheus.instant('sum by (job) (scrape_samples_scraped{job=~"engram.*"})')
        }
    assert all(shown(one) for one in asked), table(asked)
    assert 0 < exposed["engram-learner"] <= SERIES_BUDGET[Process.LEARNER]
    assert 0 < exposed["engram-trainer"] <= SERIES_BUDGET[Process.TRAINER]
    assert 0 < exposed[JOB] <= SERIES_BUDGET[Process.LEARNER] + SERIES_BUDGET[Process.API]
    assert 0 < exposed["engram-evaluator"] <= SERIES_BUDGET[Process.EVALUATOR]


@pytest.mark.parametrize("process", Process)
def test_a_large_deployment_stays_within_the_budget_of_series(process: Process) -> None:
    series = 0
    for metric in metrics_of(process):
        product = len(metric.buckets) + 4 if metric.buckets else 1
        for label in metric.labels:
            product *= CARDINALITY[label]
        series += product
    assert series <= SERIES_BUDGET[process]
    assert {label for metric in METRICS for label in metric.labels} <= CARDINALITY.keys()
