"""Several processes on one machine, and a job that is over in less time than Prometheus needs to look twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dashboards.prometheus_process import Prometheus
from engram.replay_command import run_replay
from engram.settings import load

EVENTS = 1_500
SCRAPE_S = 1.0


def test_a_short_replay_is_scraped_whole_and_not_missed_afterwards(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus: apt-get install prometheus (or Prometheus's own archive) brings it")
    targets = tmp_path / "targets"
    targets.mkdir()
    settings = load(
        {
            **{"dataset": "synthetic", "limit": EVENTS, "models": ("popularity",), "batch_size": 256},
            **{"metrics_port": 0, "metrics_targets": str(targets), "metrics_linger_s": 60.0},
        },
        environment={},
    )
    with Prometheus(tmp_path / "prometheus", {}, SCRAPE_S, announced=targets) as prometheus:
        run_replay(settings, tmp_path / "run", quiet=True)
        # What Prometheus saw last, of each process: the end, though nothing was left to see a moment later.
        for job, metric in (
            ("engram-learner", "engram_events_learned_total"),
            ("engram-evaluator", "engram_prequential_events_total"),
        ):
            (last,) = prometheus.instant(f'max_over_time({metric}{{job="{job}"}}[5m])')
            assert float(last["value"][1]) == EVENTS, job
            assert last["metric"]["instance"].startswith("127.0.0.1:")
        assert "firing" not in prometheus.alerts().values()
    assert list(targets.iterdir()) == []
