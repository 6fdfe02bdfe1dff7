"""A real Prometheus on this machine, for as long as something is observed: started, asked, ended."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

RULES: Final = Path(__file__).parent / "prometheus"
_READY_TIMEOUT_S: Final = 30.0
_DURATION: Final = re.compile(r"(^\s*for: |\[)(\d+)m(?=\]|$)", re.MULTILINE)


class PrometheusError(Exception):
    """There is no Prometheus, it does not start, or it refuses a query."""


def binary(name: str) -> str:
    """Path of `prometheus` or `promtool`. Raises `PrometheusError` that says how to have it."""
    found = shutil.which(name)
    if found is None:
        raise PrometheusError(
            f"{name} is not on the PATH, expected Prometheus 2.40 or newer (on Debian: apt-get install prometheus)"
        )
    return found


class Prometheus:
    """Scrapes `targets` ({job: HOST:PORT, ...}) every `scrape_s` seconds into `folder`, with the project's rules.

    hurry: how many times faster rules run than they are meant to ("for: 5m" and "[5m]" become 300 s / hurry), for drills.
    options: further flags of Prometheus. announced: folder in which processes say their addresses (--metrics-targets).
    Raises `PrometheusError` when it is not there, or not ready in half a minute.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, str],
        scrape_s: float = 1.0,
        hurry: float = 1.0,
        options: Sequence[str] = (),
        announced: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("rules.yml", "alerts.yml"):
            text = (
                (RULES / name).read_text("utf-8").replace("interval: 5s", f"interval: {_duration(scrape_s)}")
            )
            (folder / name).write_text(in_a_hurry(text, hurry), "utf-8")
        jobs: list[dict[str, Any]] = [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ]
        if announced is not None:
            files = [{"files": [str(announced / "engram-*.json")]}]
            jobs.append({"job_name": "engram", "file_sd_configs": files})
        config = {
            "global": {"scrape_interval": _duration(scrape_s), "evaluation_interval": _duration(scrape_s)},
            "rule_files": ["rules.yml", "alerts.yml"],
            "scrape_configs": jobs,
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config, indent=2), "utf-8")
        self.port = free_port()
        self._output = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                binary("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *options,
            ],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.close()
                tail = (folder / "prometheus.log").read_text("utf-8", "replace").splitlines()[-5:]
                raise PrometheusError("Prometheus did not start:\n" + "\n".join(tail))
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def instant(self, expr: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an expression, of now by default: [{"metric": labels, "value": [seconds, text]}]."""
        asked = {} if at_s is None else {"time": f"{at_s:.3f}"}
        return self._ask("query", query=expr, **asked)["result"]  # type: ignore[no-any-return]

    def range(self, expr: str, start_s: float, end_s: float, step_s: float) -> list[dict[str, Any]]:
        """Return its series over a time: [{"metric": labels, "values": [[seconds, text], ...]}]."""
        asked = {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:g}"}
        return self._ask("query_range", query=expr, **asked)["result"]  # type: ignore[no-any-return]

    def alerts(self) -> dict[str, str]:
        """Return {alert: "pending" or "firing"}; of several of one name, firing where any is."""
        found: dict[str, str] = {}
        for alert in self._ask("alerts")["alerts"]:
            name = alert["labels"]["alertname"]
            found[name] = "firing" if "firing" in (alert["state"], found.get(name)) else "pending"
        return found

    def _ask(self, what: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/{what}{query}", timeout=30
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{parameters.get('query', what)}: {error.read().decode()}") from None

    def close(self) -> None:
        """End it, and wait."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def in_a_hurry(rules: str, hurry: float) -> str:
    """Make every "for" and every range of a rules file `hurry` times shorter, to a second at least."""
    if hurry == 1.0:
        return rules
    return _DURATION.sub(lambda m: f"{m[1]}{max(1, round(int(m[2]) * 60 / hurry))}s", rules)


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
