"""The log on Apache Kafka 2.5 or newer.

Topics take the broker's append time as record time (event times live in the payload: with 1997 as record time the
default retention would delete the data), keep everything unless told otherwise, and take records of up to
`eventlog.log.MAX_RECORD_BYTES`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from kafka import IsolationLevel, KafkaAdminClient, OffsetSpec, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from eventlog.errors import BrokerError, LogError, TopicMissingError
from eventlog.kafka_errors import broker_errors
from eventlog.kafka_reader import KafkaReader
from eventlog.kafka_refusal import why_refused
from eventlog.kafka_writer import MAX_REQUEST_BYTES, KafkaWriter
from eventlog.log import Bounds, check_growth

BROKER_DEFAULT = -1
SETTLE_TIMEOUT_S = 30.0


class KafkaLog:
    """The log on the brokers `bootstrap` (HOST:PORT[,HOST:PORT...]).

    replication_factor: of topics created here, the broker's default without one. bootstrap_timeout_ms: how long
    to try for a first answer. client: settings given to every Kafka client as they are (`security_protocol`,
    `ssl_*`, `sasl_*`, `client_id`). Raises `BrokerError` when no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        replication_factor: int = BROKER_DEFAULT,
        bootstrap_timeout_ms: int = 10_000,
        **client: Any,
    ) -> None:
        self._bootstrap = bootstrap
        self._replication_factor = replication_factor
        self._client = {"bootstrap_timeout_ms": bootstrap_timeout_ms, **client}
        if "proxy_url" not in client:
            _wait_for_port(bootstrap, bootstrap_timeout_ms / 1000)
        try:
            with broker_errors(bootstrap, "connecting"):
                self._admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **self._client)
        except BrokerError as error:
            if why := why_refused(bootstrap.split(",", maxsplit=1)[0], client):
                raise BrokerError(f"{error}; {why}") from error
            raise

    def create_topic(
        self, topic: str, partitions: int, *, retention_ms: int = -1, compacted: bool = False
    ) -> None:
        """Create a topic and wait until every broker asked knows it (see `eventlog.log.Log`)."""
        policy = "compact" if compacted else "delete"
        if compacted and retention_ms >= 0:
            policy = "compact,delete"
        wanted = {
            "num_partitions": partitions,
            "replication_factor": self._replication_factor,
            "configs": {
                "message.timestamp.type": "LogAppendTime",
                "retention.ms": str(retention_ms),
                "retention.bytes": "-1",
                "cleanup.policy": policy,
                "max.message.bytes": str(MAX_REQUEST_BYTES),
            },
        }
        with broker_errors(self._bootstrap, f"creating topic {topic}"):
            try:
                self._admin.create_topics({topic: wanted}, wait_for_metadata=True)
            except kafka_errors.TopicAlreadyExistsError:
                self._admin.wait_for_topics([topic])
                found = self.partition_count(topic)
                if found != partitions:
                    raise LogError(
                        f"topic {topic} exists with {found} partitions, expected {partitions}"
                    ) from None

    def grow_topic(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions, and wait until they are there (see `eventlog.log.Log`)."""
        have = self.partition_count(topic)
        check_growth(topic, have, partitions)
        if partitions == have:
            return
        with broker_errors(self._bootstrap, f"adding partitions to {topic}"):
            self._admin.create_partitions({topic: partitions})
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while self.partition_count(topic) < partitions:
            if time.monotonic() > deadline:
                raise BrokerError(f"topic {topic} has no new partitions {SETTLE_TIMEOUT_S:.0f} s later")
            time.sleep(0.05)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic and wait until it is gone; the broker drops its committed offsets a moment later."""
        with broker_errors(self._bootstrap, f"deleting topic {topic}"):
            try:
                self._admin.delete_topics([topic])
            except kafka_errors.UnknownTopicOrPartitionError:
                return
            deadline = time.monotonic() + SETTLE_TIMEOUT_S
            while topic in self._admin.list_topics():
                if time.monotonic() > deadline:
                    raise BrokerError(f"topic {topic} is still there {SETTLE_TIMEOUT_S:.0f} s later")
                time.sleep(0.05)

    def topics(self) -> dict[str, int]:
        """{topic: number of partitions}, internal topics left out."""
        with broker_errors(self._bootstrap, "listing topics"):
            described = self._admin.describe_topics()
        return {
            topic["name"]: len(topic["partitions"])
            for topic in sorted(described, key=lambda topic: str(topic["name"]))
            if not topic["is_internal"] and not topic["name"].startswith("__")
        }

    def partition_count(self, topic: str) -> int:
        """Return the number of partitions. Raises `TopicMissingError`."""
        with broker_errors(self._bootstrap, f"asking for topic {topic}"):
            [found] = self._admin.describe_topics([topic])
        if found["error_code"] == kafka_errors.UnknownTopicOrPartitionError.errno:
            raise TopicMissingError(f"topic {topic} does not exist on {self._bootstrap}")
        return len(found["partitions"])

    def bounds(self, topic: str) -> dict[int, Bounds]:
        """What each partition retains; the end is that of committed transactions."""
        places = [TopicPartition(topic, each) for each in range(self.partition_count(topic))]
        with broker_errors(self._bootstrap, f"asking for the bounds of {topic}"):
            begins, ends = (
                self._admin.list_partition_offsets(dict.fromkeys(places, spec), IsolationLevel.READ_COMMITTED)
                for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
            )
        return {place.partition: Bounds(begins[place].offset, ends[place].offset) for place in places}

    def writer(self) -> KafkaWriter:
        """Open a writer with an idempotent producer of its own."""
        return KafkaWriter(self._bootstrap, self._client, self.partition_count)

    def reader(self, topic: str, partitions: Sequence[int]) -> KafkaReader:
        """Open a reader with a consumer of its own, at the first retained offsets."""
        return KafkaReader(self._bootstrap, self._client, topic, partitions, self.bounds)

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Record next offsets for `group`, which must have no live members of its own."""
        partitions = self.partition_count(topic)
        for partition in offsets:
            if not 0 <= partition < partitions:
                raise LogError(f"topic {topic}: partition is {partition}, expected 0 to {partitions - 1}")
        if not offsets:
            return
        wanted = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }
        with broker_errors(self._bootstrap, f"committing offsets of {group}"):
            _retried(lambda: _raise_any(self._admin.alter_group_offsets(group, wanted)))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offsets committed by `group`; empty for a topic that does not exist."""
        with broker_errors(self._bootstrap, f"asking for the offsets of {group}"):
            found = _retried(lambda: self._admin.list_group_offsets({group: None}))[group]
        return {
            place.partition: stored.offset
            for place, stored in sorted(found.items())
            if place.topic == topic and stored.offset >= 0
        }

    def close(self) -> None:
        """Release the administration client; writers and readers have clients of their own."""
        self._admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _wait_for_port(bootstrap: str, timeout_s: float) -> None:
    """Wait until one address takes connections: the client itself would not say why none does."""
    deadline = time.monotonic() + timeout_s
    while True:
        refused = []
        for address in bootstrap.split(","):
            host, _, port = address.rpartition(":")
            left_s = max(deadline - time.monotonic(), 0.1)
            try:
                socket.create_connection((host.strip("[]"), int(port)), left_s).close()
                return
            except (OSError, ValueError) as error:
                refused.append(f"{address}: {error}")
        if time.monotonic() > deadline:
            raise BrokerError(f"no Kafka broker answers: {'; '.join(refused)}")
        time.sleep(0.1)


def _retried(request: Callable[[], Any]) -> Any:
    """Repeat a request to a group's coordinator, which a young broker has yet to elect."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        try:
            return request()
        except kafka_errors.RetriableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _raise_any(results: Mapping[TopicPartition, type[kafka_errors.KafkaError]]) -> None:
    for error in results.values():
        if error is not kafka_errors.NoError:
            raise error()
