"""Each alert raised in a real Prometheus by the fault that it is there for, and by no other deployment's.

There is one deployment for each alert, and a healthy one: a job of its own, whose figures are published by the real
exporters. All are healthy, then each has its fault, then all are healthy again. "for" and ranges run sixty times faster
than deployed.
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
from serving.red_metrics import RequestMetrics

HURRY = 60.0
SCRAPE_S = 0.25
HEALTHY = "healthy"
DOWN = "EngramProcessDown"
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((RULES / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
Raised = set[tuple[str, str]]


class Deployment:
    """A learner, an evaluator and an API as Prometheus sees them, and what is wrong with them when something is."""

    def __init__(self, fault: str) -> None:
        registry = CollectorRegistry()
        self._fault = fault
        self._learner, self._evaluator = LearnerMetrics(registry), EvaluatorMetrics(registry)
        self._requests = RequestMetrics(registry)
        self._files = Gauge("process_open_fds", "open", registry=registry)
        Gauge("process_max_fds", "most", registry=registry).set(1000)
        self._server: MetricsServer | None = MetricsServer(registry, 0)
        self.port = self._server.port
        self._registry = registry
        self.learned = self.bad = self.drifts = self.lag = self.revoked = self.refused = 0

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def beat(self, *, ill: bool) -> None:
        """Publish a moment; ill: with the fault."""
        fault = self._fault if ill else HEALTHY
        if fault == DOWN:
            self.close()
        elif self._server is None:
            self._server = MetricsServer(self._registry, self.port)
        stands_still = fault in {"EngramLearningStuck", "EngramMergeHeldBack"}
        self.learned += 0 if stands_still else 1000
        self.bad += 50 if fault == "EngramDeadLettersBurning" else 0
        self.drifts += 1 if fault == "EngramDriftDetected" else 0
        self.revoked += 1 if fault == "EngramRebalancing" else 0
        self.refused += 1 if fault == "EngramBatchRefused" else 0
        self.lag = (
            self.lag + 200 if fault == "EngramLagGrowing" else 500 if fault == "EngramLearningStuck" else 0
        )
        old_s = 400.0 if fault == "EngramCheckpointStale" else 0.0
        waiting = 300 if fault == "EngramMergeHeldBack" else 0
        lost = 3 if fault == "EngramAccountingBroken" else 0
        self._learner.observe_checkpoint(9.0 if fault == "EngramCheckpointSlow" else 0.01)
        self._files.set(900 if fault == "EngramFilesRunningOut" else 30)
        self._requests.observe(
            "GET",
            "/v1/models",
            503 if fault == "EngramApiFailing" else 404,
            2.0 if fault == "EngramApiSlow" else 0.002,
        )
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
                rebalances={"assigned": 1, "revoked": self.revoked},
                hand_over={"engram_batch_refused_total": {("torn",): float(self.refused)}},
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


def firing(prometheus: Prometheus) -> Raised:
    """(alert, deployment) of what fires now."""
    found = prometheus.instant('ALERTS{alertstate="firing"}')
    return {(one["metric"]["alertname"], one["metric"]["job"].removeprefix("engram-")) for one in found}


class Drill:
    """What fired while all were healthy, while each had its fault, and when that was over."""

    def __init__(self, prometheus: Prometheus, deployments: list[Deployment]) -> None:
        self._prometheus = prometheus
        self._deployments = deployments
        self.before = self._go_on(lambda _: False, ill=False, timeout_s=6.0)
        due = {(alert, alert) for alert in ALERTS}
        self.during = self._go_on(lambda raised: due <= raised, ill=True)
        self.after = self._go_on(lambda raised: not raised, ill=False)

    def _go_on(self, happened: Callable[[Raised], bool], *, ill: bool, timeout_s: float = 60.0) -> Raised:
        """Go on until it happened, or the time is over; returns all that fired then."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            for deployment in self._deployments:
                deployment.beat(ill=ill)
            raised = firing(self._prometheus)
            if happened(raised) or time.monotonic() > deadline_s:
                return raised
            time.sleep(SCRAPE_S / 2)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus: apt-get install prometheus (or Prometheus's own archive) brings it")
    with contextlib.ExitStack() as stack:
        deployments = {name: Deployment(name) for name in (HEALTHY, *ALERTS)}
        for deployment in deployments.values():
            stack.callback(deployment.close)
        targets = {f"engram-{name}": f"127.0.0.1:{one.port}" for name, one in deployments.items()}
        folder = tmp_path_factory.mktemp("prometheus")
        prometheus = stack.enter_context(Prometheus(folder, targets, SCRAPE_S, HURRY))
        yield Drill(prometheus, list(deployments.values()))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_at_its_fault_and_is_silent_without(alert: str, drill: Drill) -> None:
    assert {name for name, _ in drill.before if name == alert} == set()
    assert {where for name, where in drill.during if name == alert} == {alert}
    assert {name for name, _ in drill.after if name == alert} == set()


def test_a_healthy_deployment_raises_nothing_while_all_others_do(drill: Drill) -> None:
    assert {name for name, where in drill.during if where == HEALTHY} == set()
