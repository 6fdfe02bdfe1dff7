"""Appending to Kafka: an idempotent producer, with every acknowledgement checked."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn, Self

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from eventlog.errors import LogError
from eventlog.kafka_errors import as_log_error, broker_errors
from eventlog.log import MAX_RECORD_BYTES, Record

MAX_REQUEST_BYTES = MAX_RECORD_BYTES + (64 << 10)
IN_FLIGHT_RECORDS = 32_768
IN_FLIGHT_BYTES = 32 << 20
_DELIVERY_TIMEOUT_MS = 120_000  # the client's default
_GRACE_S = 5.0


class KafkaWriter:
    """Appends through one idempotent producer (see `eventlog.log.LogWriter`).

    The client retries by itself; the broker stores a retried batch once. Appending waits when
    `IN_FLIGHT_RECORDS` or `IN_FLIGHT_BYTES` are not yet acknowledged.
    """

    def __init__(self, bootstrap: str, client: dict[str, Any], partition_count: Callable[[str], int]) -> None:
        self._bootstrap = bootstrap
        self._client = client
        self._partition_count = partition_count
        self._producer: Any = None
        self._open_producer()
        self._partitions: dict[str, int] = {}
        self._futures: deque[Any] = deque()
        self._bytes = 0
        self._acknowledged: dict[tuple[str, int], int] = {}
        self._failure: LogError | None = None
        # The client gives up after its delivery timeout, and can forget to say so.
        self._answer_s = client.get("delivery_timeout_ms", _DELIVERY_TIMEOUT_MS) / 1000 + _GRACE_S

    def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Hand records to the producer. Raises `TopicMissingError`, `LogError` for an unknown partition."""
        partitions = self._partitions.get(topic)
        if partitions is None:
            partitions = self._partitions[topic] = self._partition_count(topic)
        if not 0 <= partition < partitions:
            raise LogError(f"topic {topic}: partition is {partition}, expected 0 to {partitions - 1}")
        taken = list(records)
        self._open_producer()
        send, futures = self._producer.send, self._futures
        with broker_errors(self._bootstrap, f"appending to {topic}"):
            for key, value, headers in taken:
                futures.append(send(topic, value, key, list(headers) if headers else None, partition))
                self._bytes += len(value or b"")
                if len(futures) >= IN_FLIGHT_RECORDS or self._bytes >= IN_FLIGHT_BYTES:
                    self._settle(len(futures) // 2 + 1)
                    if self._failure:
                        # What is sent behind a hole could be stored, and would hide it.
                        self._fail()

    def flush(self) -> dict[tuple[str, int], int]:
        """Wait for every acknowledgement; raises the first failure."""
        if self._producer is not None:
            with broker_errors(self._bootstrap, "flushing"):
                self._send_at_once()
                self._settle(len(self._futures))
        if self._failure:
            self._fail()
        acknowledged, self._acknowledged = self._acknowledged, {}
        return acknowledged

    def _send_at_once(self) -> None:
        """End the client's lingering; what it does not send in time is found out by `_settle`."""
        with contextlib.suppress(KafkaTimeoutError):
            self._producer.flush(timeout=self._answer_s)

    def _fail(self) -> NoReturn:
        """Give up what is not acknowledged, and the producer with it; raise the first failure."""
        failure, self._failure = self._failure, None
        self._futures.clear()
        self._bytes = 0
        self._acknowledged = {}
        self._close_producer(0.0)
        raise failure or LogError("appending failed")

    def close(self) -> None:
        """Flush and release."""
        try:
            self.flush()
        finally:
            self._close_producer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_producer(self) -> None:
        """Open a producer where there is none: after a failure the client's own refuses everything."""
        if self._producer is not None:
            return
        with broker_errors(self._bootstrap, "opening a writer"):
            self._producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                enable_idempotence=True,
                acks="all",
                linger_ms=50,
                batch_size=256 << 10,
                max_request_size=MAX_REQUEST_BYTES,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **self._client,
            )

    def _close_producer(self, timeout_s: float = 5.0) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with broker_errors(self._bootstrap, "closing a writer"):
                producer.close(timeout=timeout_s)

    def _settle(self, count: int) -> None:
        """Wait for the oldest `count` records and note their offsets, or the first failure."""
        futures, acknowledged = self._futures, self._acknowledged
        deadline_s = time.monotonic() + self._answer_s
        self._bytes -= self._bytes * count // max(len(futures), 1)
        for _ in range(count):
            future = futures.popleft()
            try:
                stored = future.get(timeout=max(deadline_s - time.monotonic(), 0.0))
            except Exception as error:
                self._failure = as_log_error(error, self._bootstrap, "appending")
                return
            place = (stored.topic, stored.partition)
            if stored.offset > acknowledged.get(place, -1):
                acknowledged[place] = stored.offset
