"""What only Kafka has: transactions in the log, the broker's clock and retention."""

from __future__ import annotations

import time
import uuid

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource

from eventlog.codec import decode_event, encode_event
from eventlog.events import RatingEvent
from eventlog.kafka_log import KafkaLog
from eventlog.log import Bounds, Record

pytestmark = pytest.mark.kafka


@pytest.fixture
def log(kafka_bootstrap):
    with KafkaLog(kafka_bootstrap) as opened:
        yield opened


@pytest.fixture
def topic(log):
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    log.delete_topic(name)


def transact(bootstrap, topic, *values, commit):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=uuid.uuid4().hex, retry_backoff_ms=5
    )
    producer.init_transactions()
    producer.begin_transaction()
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush()
    (producer.commit_transaction if commit else producer.abort_transaction)()
    producer.close()


def test_control_records_and_aborted_transactions_are_passed_over(log, topic, kafka_bootstrap):
    log.create_topic(topic, 1)
    transact(kafka_bootstrap, topic, b"a", b"b", commit=True)  # offsets 0, 1; control record 2
    transact(kafka_bootstrap, topic, b"x", b"y", b"z", commit=False)  # 3, 4, 5; control record 6
    transact(kafka_bootstrap, topic, b"c", commit=True)  # 7; control record 8
    assert log.bounds(topic)[0] == Bounds(0, 9)
    found = []
    with log.reader(topic, [0]) as reader:
        while reader.position(0) < 9:
            for batch in reader.poll(2, 1.0):
                found += zip(batch.offsets.tolist(), batch.values, strict=True)
                assert batch.next_offset > batch.offsets[-1]
        assert found == [(0, b"a"), (1, b"b"), (7, b"c")]
        reader.seek(0, 8)  # only a control record is left
        deadline = time.monotonic() + 30
        while reader.position(0) < 9 and time.monotonic() < deadline:
            assert reader.poll(10, 0.2) == []
        assert reader.position(0) == 9


def test_an_open_transaction_is_not_read_and_not_in_bounds(log, topic, kafka_bootstrap):
    log.create_topic(topic, 1)
    producer = KafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=uuid.uuid4().hex)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"later", partition=0)
    producer.flush()
    with log.reader(topic, [0]) as reader:
        assert reader.poll(10, 0.3) == []
        assert log.bounds(topic)[0] == Bounds(0, 0)
        producer.commit_transaction()
        [batch] = reader.poll(10, 10.0)
        assert batch.values == [b"later"]
    producer.close()


def check_interval_ms(bootstrap):
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        broker = admin.describe_cluster()["brokers"][0]["broker_id"]
        described = admin.describe_configs([ConfigResource("broker", str(broker))], config_filter="all")
    return int(described["broker"][str(broker)]["log.retention.check.interval.ms"]["value"])


def test_an_event_of_1997_outlives_retention_checks(log, topic, kafka_bootstrap):
    interval_ms = check_interval_ms(kafka_bootstrap)
    if interval_ms > 10_000:
        pytest.skip(
            f"the broker checks retention every {interval_ms} ms; "
            "set its log.retention.check.interval.ms to 10000 or less"
        )
    old = RatingEvent(user="196", item="242", rating=3.0, event_time_ms=881_250_949_000, source_id="s")
    log.create_topic(topic, 1)
    short = f"{topic}.short"
    log.create_topic(short, 1, retention_ms=1)
    with log.writer() as writer:
        for each in (topic, short):
            writer.append(each, 0, [encode_event(old)])
    deadline = time.monotonic() + 60
    while log.bounds(short)[0].begin == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert log.bounds(short)[0] == Bounds(1, 1)  # the check has run
    log.delete_topic(short)
    assert log.bounds(topic)[0] == Bounds(0, 1)
    with log.reader(topic, [0]) as reader:
        [batch] = reader.poll(10, 10.0)
    assert decode_event(batch.values[0]) == old
    assert batch.append_time_ms[0] > 1_700_000_000_000


def test_topics_get_the_settings_that_old_events_need(log, topic, kafka_bootstrap):
    log.create_topic(topic, 1, compacted=True)
    with KafkaAdminClient(bootstrap_servers=kafka_bootstrap) as admin:
        described = admin.describe_configs([ConfigResource("topic", topic)])["topic"][topic]
    found = {name: setting["value"] for name, setting in described.items()}
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == "-1"
    assert found["cleanup.policy"] == "compact"


def test_a_writer_after_a_refused_record_goes_on(log, topic):
    log.create_topic(topic, 1, compacted=True)
    with log.writer() as writer:
        writer.append(topic, 0, [Record(None, b"no key")])
        with pytest.raises(Exception, match="InvalidRecord"):
            writer.flush()
        writer.append(topic, 0, [Record(b"k", b"v")])
        assert list(writer.flush()) == [(topic, 0)]
