"""Rate, errors and duration of requests, from the one table of metrics."""

from __future__ import annotations

import functools
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from consumers.metric import Process
from consumers.metrics_table import metrics_of

_REQUESTS: Final = "engram_http_requests_total"
_SECONDS: Final = "engram_http_request_seconds"


class RequestMetrics:
    """Counts requests in `registry`. Routes, never paths, are labels: ids do not become series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        table = {metric.name: metric for metric in metrics_of(Process.API)}
        requests, seconds = table[_REQUESTS], table[_SECONDS]
        self._requests = Counter(
            requests.name.removesuffix("_total"), requests.help, requests.labels, registry=registry
        )
        self._seconds = Histogram(
            seconds.name, seconds.help, seconds.labels, registry=registry, buckets=seconds.buckets
        )

        # A series is found by the hashes of its labels, each time: of what is counted at each request, once is enough.
        self._count = functools.cache(self._requests.labels)
        self._time = functools.cache(self._seconds.labels)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request that was answered."""
        self._count(method, route, f"{status // 100}xx").inc()
        self._time(route).observe(seconds)
