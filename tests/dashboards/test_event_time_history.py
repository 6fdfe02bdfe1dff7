"""A run's figures at the events' own times: the text, and what a real Prometheus makes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dashboards.prometheus_process import Prometheus
from engram.history_command import Point, open_metrics, thin

RECALL = "engram_prequential_recall_ratio"
LABELS = (("model", "hebbian"), ("k", "10"), ("span", "all"))
YEAR_MS = 365 * 86_400_000
# 2000-01-01 and later, half a year apart.
POINTS = [Point(946_684_800_000 + n * YEAR_MS // 2, {(RECALL, LABELS): 0.125 * (n + 1)}) for n in range(4)]


def test_families_are_whole_and_times_are_those_of_the_events() -> None:
    count = ("engram_prequential_events_total", ())
    points = [
        Point(1_500, {(RECALL, LABELS): 0.5, count: 3.0}),
        Point(2_000, {(RECALL, LABELS): 0.25, count: 4.0}),
    ]
    lines = "".join(open_metrics(points, 'a "b"')).splitlines()
    place = 'job="engram-evaluator",instance="a \\"b\\""'
    assert [line for line in lines if not line.startswith("# HELP")] == [
        f"# TYPE {RECALL} gauge",
        f'{RECALL}{{{place},model="hebbian",k="10",span="all"}} 0.5 1.500',
        f'{RECALL}{{{place},model="hebbian",k="10",span="all"}} 0.25 2.000',
        "# TYPE engram_prequential_events counter",
        f"engram_prequential_events_total{{{place}}} 3.0 1.500",
        f"engram_prequential_events_total{{{place}}} 4.0 2.000",
        "# EOF",
    ]


def test_few_points_are_all_kept_and_many_are_spread_with_both_ends() -> None:
    assert thin(POINTS, 4) == POINTS
    assert thin(POINTS, 2) == [POINTS[0], POINTS[-1]]
    many = [Point(at, {}) for at in range(101)]
    assert [point.event_time_ms for point in thin(many, 5)] == [0, 25, 50, 75, 100]


def test_a_real_prometheus_shows_the_years(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: apt-get install prometheus (or Prometheus's own archive) brings it")
    file, folder = tmp_path / "history.om", tmp_path / "prometheus"
    file.write_text("".join(open_metrics(POINTS, "run")), "utf-8")
    importing = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=8760h", "openmetrics"]
    subprocess.run([*importing, str(file), str(folder / "tsdb")], check=True, capture_output=True)
    with Prometheus(
        folder, {}, options=("--storage.tsdb.retention.time=100y", "--query.lookback-delta=200d")
    ) as prometheus:
        (series,) = prometheus.range(
            f'{RECALL}{{model="hebbian"}}', 946_684_800, 993_988_800, 86_400 * 365 / 2
        )
        assert [float(value) for _, value in series["values"]] == [0.125, 0.25, 0.375, 0.5]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engram", "history", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "expected that of a finished run" in done.stderr


def test_the_history_of_a_replay_is_its_figures(tmp_path: Path) -> None:
    from engram.history_command import history
    from engram.replay_command import run_replay
    from engram.settings import load

    settings = load(
        {"dataset": "synthetic", "limit": 3_000, "models": ("popularity",), "batch_size": 500, "pack": 100}
    )
    result = run_replay(settings, tmp_path / "run", quiet=True)
    out = tmp_path / "run.om"
    history(tmp_path / "run", out)
    lines = out.read_text("utf-8").splitlines()
    recall = [line for line in lines if line.startswith(RECALL) and 'k="10",span="all"' in line]
    assert len(recall) > 3
    assert float(recall[-1].split()[1]) == result["models"]["popularity"]["all"]["recall@10"]
    times = [float(line.split()[2]) for line in recall]
    assert times == sorted(set(times))
