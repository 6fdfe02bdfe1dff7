"""What a process answers over HTTP: /metrics for Prometheus, /healthz and /readyz for whoever starts and restarts it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from eventlog.errors import SettingsError

STALLED_AFTER_S: Final = 60.0


class Health:
    """Whether a process's loop goes round, and whether it has begun to do its work.

    stalled_after_s: a loop that has not gone round for longer is stalled. clock: seconds, monotonic.
    """

    def __init__(
        self, stalled_after_s: float = STALLED_AFTER_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stalled_after_s = stalled_after_s
        self._clock = clock
        self._beat_at_s = clock()
        self.ready = False

    def beat(self) -> None:
        """Take note that the loop has gone round; from the first time on, the process is ready."""
        self._beat_at_s = self._clock()
        self.ready = True

    @property
    def silent_s(self) -> float:
        """Seconds since the loop went round."""
        return self._clock() - self._beat_at_s

    @property
    def alive(self) -> bool:
        """Whether the loop is not stalled."""
        return self.silent_s <= self._stalled_after_s


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: scrapes come every few seconds."""


class MetricsServer:
    """Answers of a process at http://ADDRESS:PORT, in a thread, until closed.

    /metrics: `registry`. /healthz: 200 while the loop goes round, else 503. /readyz: 200 once it has begun. Without
    `health`, both are 200 as long as anybody answers.

    port: 0 takes a free one, which `port` then says. address: where to listen; 0.0.0.0 inside a container.
    Raises `SettingsError` when the port cannot be taken.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        port: int,
        address: str = "127.0.0.1",
        health: Health | None = None,
    ) -> None:
        self._health = health
        self._metrics = make_wsgi_app(registry)
        self._scraped = threading.Event()
        try:
            self._server = make_server(address, port, self._answer, _Server, _Quiet)
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"metrics port is {port} on {address}, expected a free port: {error}"
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return self._scrape(environ, start_response)
        health = self._health
        if path == "/healthz":
            fine = health is None or health.alive
            said: dict[str, Any] = {"status": "ok" if fine else "stalled"}
            if health is not None:
                said["silent_seconds"] = round(health.silent_s, 3)
        elif path == "/readyz":
            fine = health is None or health.ready
            said = {"status": "ready" if fine else "starting"}
        else:
            start_response("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"status": "not found: /metrics, /healthz and /readyz are here"}\n']
        start_response(
            "200 OK" if fine else "503 Service Unavailable", [("Content-Type", "application/json")]
        )
        return [json.dumps(said).encode() + b"\n"]

    def _scrape(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        yield from self._metrics(environ, start_response)
        self._scraped.set()  # by now it is sent

    def linger(self, seconds: float) -> bool:
        """Wait until /metrics was asked for once more, `seconds` at most; whether it was.

        For a process that ends sooner than it is scraped: its last figures would never be seen.
        """
        self._scraped.clear()
        return self._scraped.wait(seconds)

    def close(self) -> None:
        """Stop answering and release the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
