"""The API keeps what its OpenAPI document says: schemathesis, all checks, with requests that fit it and that do not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from engram.serving_parts import serving_of
from serving.api import build_app
from serving.parts import Serving
from tests.serving.live_api import settings_in

pytest.importorskip("schemathesis")

# 504 is the answer to a position that is not reached in time. What JSON Schema cannot say is refused with 422, too:
# lengths in bytes, times to come, genres that nobody has.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "504"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "404", "422", "429", "504"]
"""


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A learner of what is replayed beside, and of what comes in."""
    settings = settings_in(tmp_path, dataset="synthetic", limit=2_000, rate=2_000.0)
    with serving_of(settings, replay=True) as running:
        yield running


@pytest.fixture
def address(serving: Serving) -> Iterator[str]:
    """A real server, which waits for positions no longer than a test should."""
    app = build_app(dataclasses.replace(serving, after_timeout_s=0.05, longest_wait_s=0.05))
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_every_answer_is_one_that_the_document_promises(address: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG, "utf-8")
    arguments = ["--checks", "all", "--max-examples", "4", "--seed", "1", "--generation-deterministic"]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{address}/openapi.json",
            "--no-color",
            *arguments,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6_000:] + run.stderr[-2_000:]
    assert "No issues found" in run.stdout
