"""What every request passes first: keys, rates, sizes; and the metrics of requests."""

from __future__ import annotations

import math
import time
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import MAX_BODY_BYTES
from serving.parts import Serving
from serving.problems import ProblemError, problem
from serving.red_metrics import RequestMetrics

_OPEN: Final = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
_SERVER_ERROR: Final = 500


class Guard:
    """ASGI middleware: it adds no task and no copy to a request that it lets pass."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving
        self._measured = RequestMetrics(serving.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._serving.attach()
        started_s, status = time.perf_counter(), _SERVER_ERROR

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = None if scope["path"] in _OPEN else self._refused(scope)
            if refused is None:
                await self._app(scope, receive, noting)
            else:
                await problem(Request(scope), refused)(scope, receive, noting)
        finally:
            name = getattr(scope.get("route"), "path", "other")
            self._measured.observe(scope["method"], name, status, time.perf_counter() - started_s)

    def _refused(self, scope: Scope) -> ProblemError | None:
        """Why a request may not pass, None when it may."""
        given = dict(reversed(scope["headers"]))  # of one that comes twice, the first counts
        key = (given.get(b"x-api-key") or given.get(b"authorization", b"").removeprefix(b"Bearer ")).decode(
            "latin-1"
        )
        if not self._serving.keys.allow(key):
            wanted = {"WWW-Authenticate": "Bearer"}
            return ProblemError(401, "expected a key, as X-API-Key or Authorization: Bearer", headers=wanted)
        client = scope.get("client")
        if (wait_s := self._serving.limit.wait_s(key or (client[0] if client else ""))) > 0:
            retry = {"Retry-After": str(math.ceil(wait_s))}
            return ProblemError(429, f"expected the next request in {wait_s:.2f} s", headers=retry)
        length = given.get(b"content-length", b"")
        if scope["method"] in {"POST", "PUT"} and not length.isdigit():
            return ProblemError(411, "expected a Content-Length")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            return ProblemError(413, f"the body has {int(length)} bytes, expected at most {MAX_BODY_BYTES:,}")
        return None
