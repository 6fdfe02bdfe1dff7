"""`engram serve` with somebody who asks and sends, so that the API's panels have something to show."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from dashboards.prometheus_process import free_port

JOB: Final = "engram-api"
_ROUTES: Final = (
    "/v1/users/u1/recommendations",
    "/v1/items/i1/similar",
    "/v1/models",
    "/v1/users/nobody/recommendations?k=0",  # refused: a share of errors to see
)
_PAUSE_S: Final = 0.1
_LINES: Final = 20  # sent at a time
_BAD_EVERY: Final = 250  # lines; one in so many has a rating beyond the scale


class Answering:
    """An API over a log of its own in a folder, asked and sent to until the block ends; a few events are bad."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        log = ("--log-path", str(folder / "log.sqlite"))
        self._output = (folder / "serve.log").open("wb")
        self._api = self._engram(
            *("serve", *log, "--port", str(self.port), "--checkpoint-dir", str(folder / "checkpoints")),
            *("--model", "popularity", "--model", "hebbian", "--rating-max", "5"),
        )
        self._senders: list[subprocess.Popen[bytes]] = []
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="caller", daemon=True)
        self._thread.start()

    def _engram(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "engram", *arguments],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def target(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def _live(self) -> None:
        """Ask until the API is ready, then send and ask in turn."""
        while not self._stop.is_set() and not self._ask("/readyz"):
            self._stop.wait(0.5)
        if self._stop.is_set():
            return
        # With a wider scale than the API's learner: so what is beyond it reaches the log.
        sender = self._engram("ingest", *self._log, "--rating-max", "10")
        self._senders.append(sender)
        assert sender.stdin is not None
        number = 0
        while not self._stop.wait(_PAUSE_S):
            for path in _ROUTES:
                self._ask(path)
            lines = [_line(at) for at in range(number, number + _LINES)]
            number += _LINES
            try:
                sender.stdin.write(b"".join(lines))
                sender.stdin.flush()
            except OSError:
                return

    def _ask(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.target}{path}", timeout=10) as answer:
                answer.read()
                return True
        except (OSError, urllib.error.URLError):
            return False

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        for process in (*self._senders, self._api):
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self._output.close()


def _line(number: int) -> bytes:
    """Return one event as `engram ingest` takes it."""
    bad = number % _BAD_EVERY == _BAD_EVERY - 1
    event = {
        "user": f"u{number % 97}",
        "item": f"i{number * 7 % 211}",
        "rating": 9.0 if bad else 1.0 + number % 5,
        "event_time_ms": 880_000_000_000 + number,
    }
    return json.dumps(event).encode() + b"\n"
