"""What every log promises: the same tests run over the embedded log and a real Kafka broker."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.errors import LogError, OffsetGoneError, TopicMissingError
from eventlog.log import MAX_RECORD_BYTES, Bounds, LogReader, Record, RecordBatch
from eventlog.open_log import open_log


def poll_until(reader: LogReader, count: int, max_records: int = 1000) -> list[RecordBatch]:
    """Poll until `count` records are there (polls may return fewer than there are)."""
    batches: list[RecordBatch] = []
    while sum(len(batch.values) for batch in batches) < count:
        batches += reader.poll(max_records, 10.0)
    return batches


def test_records_come_back_as_they_were_appended(under_test):
    topic = under_test.topic("t")
    records = [
        Record(b"user", b"value"),
        Record(None, b"no key"),
        Record(b"deleted", None),
        Record(b"", b""),
        Record(b"h", b"v", (("n", b"256"), ("empty", b""), ("n", b"again"))),
        Record("clé".encode(), bytes(range(256))),
    ]
    before_ms = time.time_ns() // 1_000_000
    with under_test.log.writer() as writer:
        writer.append(topic, 0, records)
        assert writer.flush() == {(topic, 0): 5}
    after_ms = time.time_ns() // 1_000_000
    with under_test.log.reader(topic, [0]) as reader:
        batches = poll_until(reader, len(records))
        assert reader.position(0) == 6
    assert [key for b in batches for key in b.keys] == [r.key for r in records]
    assert [value for b in batches for value in b.values] == [r.value for r in records]
    assert [headers for b in batches for headers in b.headers] == [r.headers for r in records]
    assert np.concatenate([b.offsets for b in batches]).tolist() == [0, 1, 2, 3, 4, 5]
    assert {(b.topic, b.partition) for b in batches} == {(topic, 0)}
    assert batches[-1].next_offset == 6
    for batch in batches:
        assert batch
        assert batch.offsets.dtype == batch.append_time_ms.dtype == np.int64
        assert (before_ms <= batch.append_time_ms).all()
        assert (batch.append_time_ms <= after_ms).all()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    appends=st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.binary(max_size=20), max_size=8), st.booleans()),
        max_size=12,
    ),
    max_records=st.integers(1, 9),
)
def test_any_appends_are_read_in_order_for_any_poll_size(under_test, appends, max_records):
    topic = f"{under_test.prefix}.any"
    under_test.log.delete_topic(topic)
    under_test.log.create_topic(topic, 3)
    wanted: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    with under_test.log.writer() as writer:
        for partition, values, flush in appends:
            writer.append(topic, partition, (Record(b"k", value) for value in values))
            wanted[partition] += values
            if flush:
                writer.flush()
    found: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}
    with under_test.log.reader(topic, [0, 1, 2]) as reader:
        while sum(map(len, found.values())) < sum(map(len, wanted.values())):
            batches = reader.poll(max_records, 10.0)
            assert sum(len(batch.values) for batch in batches) <= max_records
            for batch in batches:
                start = len(found[batch.partition])
                assert batch.offsets.tolist() == list(range(start, start + len(batch.values)))
                found[batch.partition] += batch.values
        assert reader.poll(max_records, 0.0) == []
    assert found == wanted


def test_flush_names_the_last_offset_of_each_partition_since_the_last_flush(under_test):
    one, two = under_test.topic("one", 2), under_test.topic("two")
    with under_test.log.writer() as writer:
        writer.append(one, 0, [Record(b"k", b"v")] * 3)
        writer.append(one, 1, [Record(b"k", b"v")] * 2)
        writer.append(two, 0, [Record(b"k", b"v")])
        assert writer.flush() == {(one, 0): 2, (one, 1): 1, (two, 0): 0}
        writer.append(one, 1, [Record(b"k", b"v")])
        writer.append(two, 0, [])
        assert writer.flush() == {(one, 1): 2}
        assert writer.flush() == {}


def test_what_is_flushed_is_in_bounds_and_closing_flushes(under_test):
    topic = under_test.topic("t", 2)
    assert under_test.log.bounds(topic) == {0: Bounds(0, 0), 1: Bounds(0, 0)}
    writer = under_test.log.writer()
    writer.append(topic, 1, [Record(b"k", b"1"), Record(b"k", b"2")])
    writer.flush()
    assert under_test.log.bounds(topic) == {0: Bounds(0, 0), 1: Bounds(0, 2)}
    writer.append(topic, 1, [Record(b"k", b"3")])
    writer.close()
    assert under_test.log.bounds(topic)[1] == Bounds(0, 3)


def test_more_than_any_buffer_holds(under_test):
    topic = under_test.topic("t")
    count = 40_000
    with under_test.log.writer() as writer:
        writer.append(topic, 0, (Record(None, b"%d" % i) for i in range(count)))
        assert writer.flush() == {(topic, 0): count - 1}
    assert under_test.values(topic) == [b"%d" % i for i in range(count)]


def test_large_records_and_the_limit(under_test):
    topic = under_test.topic("t")
    largest = bytes(MAX_RECORD_BYTES - 1)
    under_test.append(topic, 0, b"small", largest, b"small too")
    assert under_test.values(topic) == [b"small", largest, b"small too"]
    with (
        pytest.raises(LogError),
        under_test.log.writer() as writer,
    ):
        writer.append(topic, 0, [Record(b"k", bytes(MAX_RECORD_BYTES + (64 << 10)))])


def test_seek_backwards_forwards_and_to_the_end(under_test):
    topic = under_test.topic("t")
    under_test.append(topic, 0, *(b"%d" % i for i in range(2000)))
    with under_test.log.reader(topic, [0]) as reader:
        poll_until(reader, 10, 10)
        assert reader.position(0) == 10
        reader.seek(0, 1500)
        assert reader.position(0) == 1500
        [batch] = reader.poll(1, 10.0)
        assert (batch.values, batch.offsets.tolist(), batch.next_offset) == ([b"1500"], [1500], 1501)
        reader.seek(0, 3)
        assert poll_until(reader, 2, 2)[0].values[0] == b"3"
        reader.seek(0, 2000)
        assert reader.poll(10, 0.0) == []
        under_test.append(topic, 0, b"new")
        assert poll_until(reader, 1)[0].values == [b"new"]


def test_a_reader_waits_for_what_another_writer_appends_later(under_test):
    topic = under_test.topic("t")
    with under_test.log.reader(topic, [0]) as reader, under_test.log.writer() as writer:
        for i in range(20):
            assert reader.poll(10, 0.0) == []
            writer.append(topic, 0, [Record(b"k", b"%d" % i)])
            writer.flush()
            [batch] = reader.poll(10, 10.0)
            assert batch.values == [b"%d" % i]


@pytest.mark.parametrize("offset", [-1, 6, 1 << 40])
def test_an_offset_outside_the_log_is_named(under_test, offset):
    topic = under_test.topic("t")
    under_test.append(topic, 0, *[b"v"] * 5)
    with under_test.log.reader(topic, [0]) as reader:
        with pytest.raises(OffsetGoneError, match=rf"partition 0: offset {offset} .*\[0, 5\)"):
            reader.seek(0, offset)
            reader.poll(10, 10.0)
        reader.seek(0, 4)
        assert len(poll_until(reader, 1)) == 1


def test_an_offset_that_is_no_longer_retained_is_named_and_the_rest_is_read(under_test):
    topic = under_test.topic("t", retention_ms=3_600_000)
    under_test.append(topic, 0, *[b"old"] * 5)
    with under_test.log.reader(topic, [0]) as reader:
        under_test.forget(topic)
        assert under_test.log.bounds(topic)[0] == Bounds(5, 5)
        under_test.append(topic, 0, b"new")
        assert under_test.log.bounds(topic)[0] == Bounds(5, 6)
        with pytest.raises(OffsetGoneError, match=r"offset 0 .*\[5, 6\)"):
            reader.poll(10, 10.0)
        reader.seek(0, 5)
        assert poll_until(reader, 1)[0].offsets.tolist() == [5]
    with under_test.log.reader(topic, [0]) as reader:
        assert reader.position(0) == 5


def test_one_partition_without_its_offset_does_not_lose_records_of_another(under_test):
    topic = under_test.topic("t", 2)
    under_test.append(topic, 0, *(b"%d" % i for i in range(50)))
    found: list[bytes | None] = []
    with under_test.log.reader(topic, [0, 1]) as reader:
        reader.seek(1, 99)
        errors = 0
        while len(found) < 50:
            try:
                found += [value for batch in reader.poll(7, 10.0) for value in batch.values]
            except OffsetGoneError as error:
                assert "partition 1: offset 99" in str(error)
                errors += 1
        while not errors:
            with pytest.raises(OffsetGoneError):
                reader.poll(7, 10.0)
            errors += 1
    assert found == [b"%d" % i for i in range(50)]


def test_a_reader_of_some_partitions_sees_no_others(under_test):
    topic = under_test.topic("t", 3)
    for partition in range(3):
        under_test.append(topic, partition, b"%d" % partition)
    with under_test.log.reader(topic, [2, 0]) as reader:
        found = [value for batch in poll_until(reader, 2) for value in batch.values]
        assert sorted(found) == [b"0", b"2"]
        assert reader.poll(10, 0.05) == []
        with pytest.raises(LogError, match="partition is 1"):
            reader.seek(1, 0)


def test_topics_are_listed_created_once_and_deleted(under_test):
    log = under_test.log
    topic = under_test.topic("t", 3)
    assert log.topics()[topic] == 3
    assert log.partition_count(topic) == 3
    under_test.append(topic, 0, b"kept")
    log.create_topic(topic, 3)
    assert under_test.values(topic) == [b"kept"]
    with pytest.raises(LogError, match="exists with 3 partitions, expected 4"):
        log.create_topic(topic, 4)
    log.delete_topic(topic)
    assert topic not in log.topics()
    log.delete_topic(topic)
    log.create_topic(topic, 1)
    assert log.bounds(topic) == {0: Bounds(0, 0)}


def test_a_topic_that_does_not_exist_is_named(under_test):
    topic = f"{under_test.prefix}.missing"
    log = under_test.log
    for ask in (
        lambda: log.partition_count(topic),
        lambda: log.bounds(topic),
        lambda: log.reader(topic, [0]),
        lambda: log.commit("g", topic, {0: 1}),
    ):
        with pytest.raises(TopicMissingError, match=topic):
            ask()
    assert log.committed("g", topic) == {}
    with pytest.raises(TopicMissingError, match=topic), log.writer() as writer:
        writer.append(topic, 0, [Record(b"k", b"v")])
        writer.flush()


def test_bad_arguments_are_refused(under_test):
    log = under_test.log
    topic = under_test.topic("t", 2)
    with pytest.raises(LogError, match=r"no/slash|InvalidTopic"):
        log.create_topic("no/slash", 1)
    with pytest.raises(LogError):
        log.create_topic(f"{under_test.prefix}.none", 0)
    with pytest.raises(LogError, match="partition is 2"):
        log.reader(topic, [0, 2])
    with pytest.raises(LogError, match="partition is 2"):
        log.commit("g", topic, {2: 1})
    with log.reader(topic, [0]) as reader, pytest.raises(LogError, match="max_records is 0"):
        reader.poll(0, 0.0)
    with pytest.raises(LogError, match="partition is 2"), log.writer() as writer:
        writer.append(topic, 2, [Record(b"k", b"v")])
        writer.flush()
    for bad in (Record(None, None), Record("text", b"v"), Record(b"k", b"v", (("n", "1"),))):  # type: ignore[arg-type]
        with pytest.raises(LogError), log.writer() as writer:
            writer.append(topic, 0, [bad])
            writer.flush()
    assert log.bounds(topic) == {0: Bounds(0, 0), 1: Bounds(0, 0)}


def test_committed_offsets_belong_to_a_group_and_a_topic(under_test):
    log = under_test.log
    topic, other = under_test.topic("t", 3), under_test.topic("other")
    group = f"{under_test.prefix}.g"
    assert log.committed(group, topic) == {}
    log.commit(group, topic, {0: 5, 2: 7})
    log.commit(group, topic, {2: 8})
    log.commit(group, topic, {})
    log.commit(group, other, {0: 1})
    assert log.committed(group, topic) == {0: 5, 2: 8}
    assert log.committed(group, other) == {0: 1}
    assert log.committed(f"{group}2", topic) == {}


def test_committed_offsets_go_with_their_topic(under_test):
    topic = under_test.topic("t")
    group = f"{under_test.prefix}.g"
    under_test.log.commit(group, topic, {0: 5})
    under_test.log.delete_topic(topic)
    deadline = time.monotonic() + 30
    while under_test.log.committed(group, topic) and time.monotonic() < deadline:
        time.sleep(0.05)  # a broker forgets them a moment after the topic
    assert under_test.log.committed(group, topic) == {}


def test_a_compacted_topic_keeps_the_latest_of_each_key(under_test):
    topic = under_test.topic("t", compacted=True)
    with under_test.log.writer() as writer:
        for i in range(100):
            writer.append(topic, 0, [Record(b"k%d" % (i % 7), b"%d" % i)])
            if i % 10 == 0:
                writer.flush()
        writer.append(topic, 0, [Record(b"k0", None)])
        assert writer.flush() == {(topic, 0): 100}
    records = under_test.records(topic)
    offsets = [offset for offset, _, _ in records]
    assert offsets == sorted(set(offsets))
    latest = {key: value for _, key, value in records}
    # 93..99 are the last seven, of keys 93 % 7 = 2, 3, 4, 5, 6, 0, 1; k0 is then deleted.
    assert latest == {
        b"k2": b"93",
        b"k3": b"94",
        b"k4": b"95",
        b"k5": b"96",
        b"k6": b"97",
        b"k0": None,
        b"k1": b"99",
    }
    assert under_test.log.bounds(topic)[0].end == 101


def test_a_compacted_topic_refuses_a_record_without_a_key(under_test):
    topic = under_test.topic("t", compacted=True)
    with pytest.raises(LogError), under_test.log.writer() as writer:
        writer.append(topic, 0, [Record(None, b"v")])
        writer.flush()
    assert under_test.values(topic) == []


def test_a_topic_grows_and_keeps_its_records(under_test):
    topic = under_test.topic("t", 2)
    under_test.append(topic, 1, b"before")
    with under_test.log.reader(topic, [1]) as reader:
        under_test.log.grow_topic(topic, 4)
        assert under_test.log.partition_count(topic) == under_test.log.topics()[topic] == 4
        assert under_test.log.bounds(topic) == {p: Bounds(0, int(p == 1)) for p in range(4)}
        under_test.append(topic, 1, b"after")
        under_test.append(topic, 3, b"new")
        found = [value for batch in poll_until(reader, 2) for value in batch.values]
    assert found == under_test.values(topic, 1) == [b"before", b"after"]
    assert under_test.values(topic, 3) == [b"new"]
    under_test.log.grow_topic(topic, 4)
    with pytest.raises(LogError, match="has 4 partitions"):
        under_test.log.grow_topic(topic, 3)
    with pytest.raises(TopicMissingError):
        under_test.log.grow_topic(f"{topic}.none", 3)
    assert under_test.log.partition_count(topic) == 4


def test_a_deleted_topic_ends_its_readers(under_test):
    topic = under_test.topic("t")
    with under_test.log.reader(topic, [0]) as reader:
        under_test.log.delete_topic(topic)
        deadline = time.monotonic() + 60
        with pytest.raises(TopicMissingError):
            while time.monotonic() < deadline:
                reader.poll(10, 0.1)


def test_everything_is_there_when_the_log_is_opened_again(under_test):
    topic = under_test.topic("t", 2, compacted=True)
    group = f"{under_test.prefix}.g"
    under_test.append(topic, 1, b"1", b"2")
    under_test.log.commit(group, topic, {1: 1})
    with open_log(under_test.spec) as again:
        assert again.topics()[topic] == 2
        assert again.bounds(topic)[1].end == 2
        assert again.committed(group, topic) == {1: 1}
        with again.reader(topic, [0, 1]) as reader:
            assert poll_until(reader, 1)[-1].values[-1] == b"2"
