"""Producers that go on where they were stopped, on a real broker: its offsets and acknowledgements are its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from eventlog.kafka_log import KafkaLog
from eventlog.topics import Topics
from producers.ingest import Ingest
from producers.replay import Pace, Replay
from producers.tail import Tail, last_dead_line, read_tails
from tests.producers.made_stream import SOURCE, FakeClock, ListStream, made_events

pytestmark = pytest.mark.kafka


@pytest.fixture
def log(kafka_bootstrap: str) -> Iterator[KafkaLog]:
    with KafkaLog(kafka_bootstrap) as log:
        yield log


@pytest.fixture
def topics(log: KafkaLog) -> Iterator[Topics]:
    topics = Topics.with_prefix(f"test-{uuid.uuid4().hex[:12]}")
    log.create_topic(topics.ratings, 2)
    log.create_topic(topics.dead_letters, 1)
    yield topics
    for topic in (topics.ratings, topics.dead_letters):
        log.delete_topic(topic)


def test_ingestion_goes_on(log, topics):
    lines = [
        b'{"user":"u%d","item":"i","rating":4,"event_time_ms":%d}' % (n % 9, n) if n % 10 else b"bad"
        for n in range(2_000)
    ]
    assert Ingest(log, topics, "app").run(lines[:1_500])[:4] == (1_500, 1_350, 150, 0)
    assert Ingest(log, topics, "another").run(lines[:700])[:4] == (700, 630, 70, 0)
    assert last_dead_line(log, topics.dead_letters, "ingest:app") == 1_490
    report = Ingest(log, topics, "app").run(lines)
    assert report[:4] == (2_000, 450, 50, 1_500)
    ends = {partition: bounds.end for partition, bounds in log.bounds(topics.ratings).items()}
    assert sum(ends.values()) == 1_800 + 630
    assert report.positions == {partition: end - 1 for partition, end in ends.items()}
    assert Ingest(log, topics, "app").run(lines)[:4] == (2_000, 0, 0, 2_000)


def test_a_replay_goes_on(log, topics):
    stream = ListStream(made_events(3_000))
    first = Replay(log, topics, stream, Pace(pack=16, rate=1_024), FakeClock())
    while first.step().written < 1_000:
        pass
    at = first.progress.written
    assert max(tail.last_seq for tail in read_tails(log, topics.ratings, range(2), SOURCE)) == at - 1
    first.close()
    second = Replay(log, topics, stream, Pace(pack=16))
    assert second.progress.written == at
    second.run()
    second.close()
    ended = Tail(2_999, started=True, ended=True)
    assert read_tails(log, topics.ratings, range(2), SOURCE) == [ended, ended]
