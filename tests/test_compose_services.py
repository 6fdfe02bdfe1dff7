"""The services of docker-compose.yml as compose would run them: same commands, same environment, a real broker.

Containers have ports, folders and names of their own; here these are replaced, and nothing else. Health checks are run
as they stand, and every service must end by itself within its grace period when it is asked to.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.compose_file import environment_of, is_ours, read_compose, services_of

pytestmark = [pytest.mark.full, pytest.mark.kafka, pytest.mark.timeout(1200)]
START_TIMEOUT_S = 600.0
DEFAULT_GRACE_S = 10.0
PORTS = ("8000", "8501", "9101", "9102", "9103")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Stack:
    """The services of a profile that are ours, as processes; started in order, stopped in reverse."""

    def __init__(self, folder: Path, bootstrap: str, *profiles: str, **variables: str) -> None:
        compose = read_compose(variables)
        self.services = {
            name: service for name, service in services_of(compose, *profiles).items() if is_ours(service)
        }
        self.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self._folder = folder
        self._here = {
            "kafka:9092": bootstrap,
            "http://api:": "http://127.0.0.1:",
            "/data": str(folder / "data"),
            "/var/lib/registry": str(folder / "registry"),
            **self.ports,
        }
        self._prefix = f"compose-{uuid.uuid4().hex[:8]}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _put_here(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text

    def start(self, name: str) -> None:
        """Start a service."""
        folder = self._folder / name
        folder.mkdir()
        environment = {
            key: self._put_here(value) for key, value in environment_of(self.services[name]).items()
        }
        environment["ENGRAM_TOPIC_PREFIX"] = self._prefix
        inherited = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
        with (folder / "said").open("wb") as said:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "engram", *map(self._put_here, self.services[name]["command"])],
                env={**inherited, "HOME": str(folder), **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def said(self, name: str) -> list[str]:
        """What it has said so far, by lines."""
        return (self._folder / name / "said").read_text("utf-8").splitlines()

    def healthy(self, name: str) -> bool:
        """Run its health check."""
        kind, program, *arguments = self.services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        command = [sys.executable, *map(self._put_here, arguments)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until it happened; fail when a service ends before, or it takes too long."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not happened():
            for name, process in self._processes.items():
                # The producer may have written all.
                assert process.poll() is None or (name, process.returncode) == ("producer", 0), self.said(
                    name
                )
            assert time.monotonic() < deadline_s, {name: self.said(name)[-5:] for name in self._processes}
            time.sleep(0.5)

    def stop(self) -> dict[str, int]:
        """Ask each to end, the last started first; exit codes. Fails where one would be killed by compose."""
        codes = {}
        for name, process in reversed(self._processes.items()):
            process.terminate()
            grace = str(self.services[name].get("stop_grace_period", f"{DEFAULT_GRACE_S:g}s"))
            codes[name] = process.wait(float(grace.removesuffix("s")))
        return codes

    def kill(self) -> None:
        """End what is still there."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def get(self, port: str, path: str) -> bytes:
        """What a service answers at a port of its container."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10) as answer:
            return answer.read()  # type: ignore[no-any-return]

    def metric(self, port: str, name: str) -> float:
        """The sum of a metric's series; 0 before there is one."""
        with contextlib.suppress(urllib.error.URLError, OSError):
            lines = self.get(port, "/metrics").decode().splitlines()
            return sum(
                float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name
            )
        return 0.0


@pytest.fixture
def stacks(tmp_path: Path, kafka_bootstrap: str) -> Iterator[Callable[..., Stack]]:
    """Make a stack of these profiles and variables."""
    made: list[Stack] = []

    def make(*profiles: str, **variables: str) -> Stack:
        (tmp_path / "data").mkdir()
        made.append(Stack(tmp_path, kafka_bootstrap, *profiles, **variables))
        return made[-1]

    yield make
    for stack in made:
        stack.kill()


def assert_ended_well(stack: Stack, codes: Mapping[str, int]) -> None:
    assert codes == dict.fromkeys(codes, 0), {name: stack.said(name)[-5:] for name in codes if codes[name]}
    for name in codes.keys() - {"page"}:  # Streamlit says what it likes
        lines: list[dict[str, Any]] = [json.loads(line) for line in stack.said(name)]
        assert any("settings:" in str(line.get("message")) for line in lines), name
        assert not {"error", "critical"} & {line.get("level") for line in lines}, lines


def test_the_demo_with_a_trainer_learns_answers_evaluates_and_adopts(stacks: Callable[..., Stack]) -> None:
    stack = stacks(
        *("demo", "gpu"), ENGRAM_MODELS="popularity,decayed_popularity,hebbian,batch", TRAIN_EVERY="4000"
    )
    assert set(stack.services) == {"producer", "api", "evaluator", "trainer", "page"}
    for name in ("api", "evaluator", "trainer", "producer"):
        stack.start(name)
    for name in ("api", "evaluator", "trainer"):
        stack.until(lambda name=name: stack.healthy(name))
    stack.until(lambda: stack.metric("8000", "engram_events_learned_total") >= 8_000)
    stack.until(lambda: stack.metric("9102", "engram_prequential_events_total") >= 8_000)
    stack.until(lambda: stack.metric("9103", "engram_trainings_total") >= 1)
    stack.until(lambda: stack.metric("8000", "engram_batch_version") >= 1)
    assert json.loads(stack.get("8000", "/v1/models"))
    assert stack.metric("8000", "engram_events_unaccounted") == 0
    if find_spec("streamlit") is not None:
        stack.start("page")
        stack.until(lambda: stack.healthy("page"))
    assert_ended_well(stack, stack.stop())


def test_a_learner_of_the_scaled_profile_learns_every_partition(stacks: Callable[..., Stack]) -> None:
    stack = stacks("scale", ENGRAM_PARTITIONS="2", ENGRAM_MODELS="popularity,hebbian")
    assert set(stack.services) == {"producer", "learner", "evaluator"}
    for name in ("learner", "evaluator", "producer"):
        stack.start(name)
    for name in ("learner", "evaluator"):
        stack.until(lambda name=name: stack.healthy(name))
    stack.until(lambda: stack.metric("9101", "engram_events_learned_total") >= 4_000)
    stack.until(lambda: stack.metric("9102", "engram_prequential_events_total") >= 4_000)
    assert stack.metric("9101", "engram_partitions_owned") == 2
    assert_ended_well(stack, stack.stop())
