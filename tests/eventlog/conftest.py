"""Both logs behind one fixture, for the contract tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventlog.log import Log, Record
from eventlog.open_log import open_log
from eventlog.sqlite_log import SqliteLog

BEYOND_ANY_RETENTION_MS = 1 << 52


@dataclass(frozen=True)
class LogUnderTest:
    """An open log, the spec that opens it again, and a prefix for topics of this test only."""

    log: Log
    spec: str
    prefix: str

    def topic(self, name: str, partitions: int = 1, **settings: int | bool) -> str:
        """Create a topic named uniquely."""
        full = f"{self.prefix}.{name}"
        self.log.create_topic(full, partitions, **settings)  # type: ignore[arg-type]
        return full

    def append(self, topic: str, partition: int, *values: bytes | None, key: bytes = b"k") -> None:
        """Append records with these values and wait for them."""
        with self.log.writer() as writer:
            writer.append(topic, partition, [Record(key, value) for value in values])

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        """Every value of a partition, as a fresh reader sees it."""
        return [value for _, _, value in self.records(topic, partition)]

    def records(self, topic: str, partition: int = 0) -> list[tuple[int, bytes | None, bytes | None]]:
        """Every (offset, key, value) of a partition, as a fresh reader sees it."""
        end = self.log.bounds(topic)[partition].end
        found = []
        with self.log.reader(topic, [partition]) as reader:
            while reader.position(partition) < end:
                for batch in reader.poll(1000, 10.0):
                    found += zip(batch.offsets.tolist(), batch.keys, batch.values, strict=True)
        return found

    def forget(self, topic: str) -> None:
        """Make everything in `topic` so far (created with a retention) no longer retained."""
        if isinstance(self.log, SqliteLog):
            self.log.enforce_retention(BEYOND_ANY_RETENTION_MS)
            return
        from kafka import KafkaAdminClient, TopicPartition

        ends = {
            TopicPartition(topic, partition): bounds.end
            for partition, bounds in self.log.bounds(topic).items()
        }
        address = self.spec.partition(":")[2]
        with KafkaAdminClient(bootstrap_servers=address) as admin:
            admin.delete_records(ends)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogUnderTest]:
    if request.param == "kafka":
        spec = f"kafka:{request.getfixturevalue('kafka_bootstrap')}"
    else:
        spec = f"embedded:{tmp_path / 'log.db'}"
    with open_log(spec) as log:
        prefix = f"test-{uuid.uuid4().hex[:12]}"
        yield LogUnderTest(log, spec, prefix)
        for topic in log.topics():
            if topic.startswith(prefix):
                log.delete_topic(topic)
