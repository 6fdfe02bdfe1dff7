"""Each alert raised in a real Prometheus by the fault that it is there for, and silent before and after.

The figures are published by the real exporters, faulty ones too; "for" and ranges run sixty times faster than deployed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge

from consumers.metrics import EvaluatorMetrics, LearnerFigures, LearnerMetrics
from consumers.metrics_server import MetricsServer
from dashboards.prometheus_process import RULES, Prometheus

HURRY = 60.0
SCRAPE_S = 0.25
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((RULES / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]


class Deployment:
    """A learner and an evaluator, as far as Prometheus sees; `beat` publishes a moment, healthy or with a fault."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        registries = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
        self._learner, self._evaluator = LearnerMetrics(registries[0]), EvaluatorMetrics(registries[1])
        self._files = Gauge("process_open_fds", "open", registry=registries[0])
        Gauge("process_max_fds", "most", registry=registries[0]).set(1000)
        self._servers = [MetricsServer(registry, 0) for registry in registries]
        for server in self._servers:
            stack.callback(server.close)
        names = ("engram-learner", "engram-evaluator", "engram-doomed")
        ports = [server.port for server in self._servers]
        self.targets = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
        self.learned = self.bad = self.drifts = 0
        self.lag = 0

    def lose_a_process(self) -> None:
        """The third one ends."""
        self._servers[2].close()

    def beat(self, fault: str | None = None) -> None:
        """Publish."""
        stands_still = fault in {"EngramLearningStuck", "EngramMergeHeldBack"}
        self.learned += 0 if stands_still else 1000
        self.bad += 50 if fault == "EngramDeadLettersBurning" else 0
        self.drifts += 1 if fault == "EngramDriftDetected" else 0
        self.lag = (
            self.lag + 200 if fault == "EngramLagGrowing" else 500 if fault == "EngramLearningStuck" else 0
        )
        old_s = 400.0 if fault == "EngramCheckpointStale" else 0.0
        waiting = 300 if fault == "EngramMergeHeldBack" else 0
        lost = 3 if fault == "EngramAccountingBroken" else 0
        self._learner.observe_checkpoint(9.0 if fault == "EngramCheckpointSlow" else 0.01)
        self._files.set(900 if fault == "EngramFilesRunningOut" else 30)
        self._learner.publish(
            LearnerFigures(
                accepted=self.learned + self.bad + waiting + lost,
                learned=self.learned,
                repeats=0,
                duplicate=0,
                dead_lettered={"rating_missing": self.bad},
                waiting=waiting,
                lag_events={0: self.lag},
                event_time_ms=1_000_000,
                kernel_seconds={"hebbian": 0.1},
                state_bytes={"hebbian": 100},
                users=10,
                items=10,
                checkpoint_bytes=100,
                checkpoint_time_s=time.time() - old_s,
                drifts={("hebbian", "adwin"): self.drifts},
            )
        )
        best = 0.05 if fault == "EngramBelowFloor" else 0.2
        now = 0.05 if fault == "EngramQualityFell" else best
        figures = {
            "hebbian": {"window_10000": {"recall@10": best}, "window_1000": {"recall@10": now}},
            "popularity": {"window_10000": {"recall@10": 0.1}, "window_1000": {"recall@10": 0.1}},
        }
        lag_s = 90.0 if fault == "EngramFiguresStale" else 0.1
        self._evaluator.publish(100_000, figures, lag_s)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with contextlib.ExitStack() as stack:
        yield Deployment(stack)


@pytest.fixture(scope="module")
def prometheus(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus: apt-get install prometheus (or Prometheus's own archive) brings it")
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, deployment.targets, SCRAPE_S, HURRY) as running:
        yield running


def until(
    deployment: Deployment,
    prometheus: Prometheus,
    fault: str | None,
    happened: Callable[[dict[str, str]], bool],
    timeout_s: float = 60.0,
) -> dict[str, str]:
    """Go on with or without a fault until the alerts are so; returns them, as they are then or at the time-out."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        deployment.beat(fault)
        alerts = prometheus.alerts()
        if happened(alerts) or time.monotonic() > deadline_s:
            return alerts
        time.sleep(SCRAPE_S / 2)


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert != "EngramProcessDown"])
def test_an_alert_fires_at_its_fault_and_is_silent_without(
    alert: str, deployment: Deployment, prometheus: Prometheus
) -> None:
    assert until(deployment, prometheus, None, lambda alerts: alert not in alerts).get(alert) is None
    fired = until(deployment, prometheus, alert, lambda alerts: alerts.get(alert) == "firing")
    assert fired.get(alert) == "firing"
    calm = until(deployment, prometheus, None, lambda alerts: not alerts)
    assert calm == {}


def test_a_process_that_is_gone_is_missed(deployment: Deployment, prometheus: Prometheus) -> None:
    assert until(deployment, prometheus, None, lambda alerts: not alerts) == {}
    deployment.lose_a_process()
    fired = until(deployment, prometheus, None, lambda alerts: "firing" in alerts.values())
    assert fired == {"EngramProcessDown": "firing"}
