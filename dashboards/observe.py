"""Watch a replay as Grafana would: every query of every panel, against a real Prometheus that scrapes it.

Run: python -m dashboards.observe [--data-dir DIR] [--dataset NAME] [--pictures DIR]

Without a data folder the synthetic stream is replayed; a batch model is trained beside, and an API answers. Prints
dashboards x panels x queries with data, and the alerts; exits with 1 where a query without data has no excuse.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from dashboards.answering import JOB, Answering
from dashboards.boards import BOARDS
from dashboards.panels import Board, Panel, Query
from dashboards.prometheus_process import Prometheus, PrometheusError, free_port
from dashboards.promql import GRAFANA, filled

# The defaults, one that predicts ratings, one that ranks new items, and one that is trained beside: so that every panel has something to show.
MODELS: Final = ("popularity", "decayed_popularity", "hebbian", "content", "wisard", "batch")
JOBS: Final = ("engram-learner", "engram-evaluator", "engram-trainer")
CHOSEN: Final = {"model": ".*", "span": "window_1000"}
SCRAPE_S: Final = 1.0
_RETRAIN_EVERY_S: Final = 15
_START_TIMEOUT_S: Final = 600.0


class Asked(NamedTuple):
    """One query of one panel, and how many series it had. error: what Prometheus said against it, or None."""

    board: Board
    panel: Panel
    query: Query
    series: int
    error: str | None

    @property
    def fine(self) -> bool:
        """Whether it has data, or an excuse."""
        return self.error is None and (self.series > 0 or self.query.may_be_empty is not None)


def ask_all(prometheus: Prometheus, variables: Mapping[str, str]) -> Iterator[Asked]:
    """Ask every query of every board, with Grafana's variables as given."""
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                error, series = None, 0
                try:
                    series = len(prometheus.instant(filled(query.expr, variables)))
                except PrometheusError as refused:
                    error = str(refused)
                yield Asked(board, panel, query, series, error)


def table(asked: list[Asked]) -> str:
    """One line a board, then one for each query without data."""
    lines = [f"{'board':<28}{'panels':>8}{'queries':>9}{'with data':>11}"]
    for board in BOARDS:
        of = [one for one in asked if one.board is board]
        panels = len({one.panel.title for one in of})
        lines.append(f"{board.uid:<28}{panels:>8}{len(of):>9}{sum(one.series > 0 for one in of):>11}")
    lines.append(
        f"{'all':<28}{len({(a.board.uid, a.panel.title) for a in asked}):>8}{len(asked):>9}"
        f"{sum(one.series > 0 for one in asked):>11}"
    )
    for one in asked:
        if one.series == 0:
            why = one.error or one.query.may_be_empty or "NO DATA"
            lines.append(f"  {one.board.uid} / {one.panel.title} / {one.query.legend}: {why}")
    return "\n".join(lines)


class Replaying:
    """`engram replay` of a data set at a steady rate, with metrics, in a folder; ended with the block."""

    def __init__(self, folder: Path, dataset: str, data_dir: str | None, rate: int, seconds: int) -> None:
        self.port = _free_ports(len(JOBS))
        command = [
            *(sys.executable, "-m", "engram", "replay", dataset, "--quiet", "--out", str(folder / "run")),
            *("--rate", str(rate), "--limit", str(rate * seconds), "--metrics-port", str(self.port)),
            *("--retrain-every", str(rate * _RETRAIN_EVERY_S)),
            *("--partitions", "2", "--batch-size", "256", "--pack", "32", "--checkpoint-every-s", "5"),
            *(part for model in MODELS for part in ("--model", model)),
            *(() if data_dir is None else ("--data-dir", data_dir)),
        ]
        self._output = (folder / "replay.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT)

    @property
    def targets(self) -> dict[str, str]:
        """{job: HOST:PORT}."""
        ports = range(self.port, self.port + len(JOBS))
        return {job: f"127.0.0.1:{port}" for job, port in zip(JOBS, ports, strict=True)}

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def __enter__(self) -> Replaying:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def _free_ports(count: int) -> int:
    """A port such that it and those after it, `count` in all, are free."""
    import socket

    while True:
        port = free_port()
        if port + count > 65_536:
            continue
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            try:
                for at, one in enumerate(sockets):
                    one.bind(("127.0.0.1", port + at))
            except OSError:
                continue
            return port


def watched(prometheus: Prometheus, replaying: Replaying, events: int) -> bool:
    """Wait until `events` are evaluated; False when the replay ended before."""
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while replaying.running and time.monotonic() < deadline_s:
        found = prometheus.instant("sum(engram_prequential_events_total)")
        if found and float(found[0]["value"][1]) >= events:
            return True
        time.sleep(0.5)
    return False


def main() -> None:
    """Replay, scrape, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir")
    parser.add_argument("--dataset", help="ml-100k where there is a data folder, else synthetic")
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument("--seconds", type=int, default=90, help="how long the replay lasts")
    parser.add_argument("--pictures", type=Path, help="draw every board into this folder")
    arguments = parser.parse_args()
    dataset = arguments.dataset or ("ml-100k" if arguments.data_dir else "synthetic")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with (
            Replaying(folder, dataset, arguments.data_dir, arguments.rate, arguments.seconds) as replaying,
            Answering(folder / "api") as answering,
            Prometheus(
                folder / "prometheus", {**replaying.targets, JOB: answering.target}, SCRAPE_S
            ) as prometheus,
        ):
            began_s = time.time()
            # Not the very end, for what has ended is not scraped any more.
            enough = int(arguments.rate * arguments.seconds * 0.9)
            if not watched(prometheus, replaying, enough):
                print((folder / "replay.log").read_text("utf-8", "replace"))
                sys.exit("the replay ended before it could be watched")
            asked_s = time.time()
            asked = list(ask_all(prometheus, {**GRAFANA, **CHOSEN}))
            alerts, series = prometheus.alerts(), _series(prometheus)
            if arguments.pictures is not None:
                from dashboards.pictures import draw_boards

                draw_boards(prometheus, arguments.pictures, began_s, asked_s, {**GRAFANA, **CHOSEN})
    print(table(asked))
    print(f"alerts: {', '.join(f'{name} {state}' for name, state in sorted(alerts.items())) or 'none'}")
    print(f"series: {', '.join(f'{job} {count}' for job, count in series.items())}")
    if not all(one.fine for one in asked):
        sys.exit("some queries have no data")


def _series(prometheus: Prometheus) -> dict[str, int]:
    """How many series each job exposes."""
    found: list[dict[str, Any]] = prometheus.instant('sum by (job) (scrape_samples_scraped{job=~"engram.*"})')
    return {one["metric"]["job"]: int(float(one["value"][1])) for one in found}


if __name__ == "__main__":
    main()
