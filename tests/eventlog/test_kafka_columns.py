"""Record batches as columns: what kafka-python's own loop reads of the same bytes, and nothing of corrupt ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from eventlog.errors import LogError
from eventlog.kafka_columns import Columns, Fetched, _Batch, columns_of

pytestmark = pytest.mark.oracle

HEADER_BYTES = DefaultRecordBatch.HEADER_STRUCT.size
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 2**45),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=200),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    ),
    min_size=1,
    max_size=30,
)


def batch_of(records: Sequence[tuple[int, bytes | None, bytes | None, list[Any]]], codec: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 24)
    for offset, (time_ms, key, value, headers) in enumerate(records):
        assert builder.append(3 * offset, time_ms, key, value, headers) is not None
    return bytes(builder.build())


def rows(columns: Columns) -> list[tuple[Any, ...]]:
    return list(
        zip(
            columns.offsets.tolist(),
            columns.append_time_ms.tolist(),
            columns.keys,
            columns.values,
            columns.headers,
            strict=True,
        )
    )


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, codec=st.sampled_from([0, 1]))
def test_columns_are_what_the_client_reads(records: list[Any], codec: int) -> None:
    batch = batch_of(records, codec)
    [whole] = _Batch(DefaultRecordBatch(batch))
    assert rows(whole.value) == [
        (
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple((name, value or b"") for name, value in record.headers),
        )
        for record in DefaultRecordBatch(batch)
    ]
    assert whole.offset == 3 * (len(records) - 1)


def test_times_of_the_broker_are_those_of_all_records() -> None:
    batch = batch_of([(5, None, b"a", []), (9, None, b"b", [])])
    columns = columns_of(batch, HEADER_BYTES, 2, 100, 5, 77)
    assert columns.append_time_ms.tolist() == [77, 77]
    assert columns.offsets.tolist() == [100, 103]


@settings(max_examples=200, deadline=None)
@given(
    records=RECORDS,
    at=st.integers(0, 10_000),
    byte=st.integers(0, 255),
    cut=st.integers(0, 40),
    data=st.data(),
)
def test_corrupt_bytes_are_refused_or_read_within_their_bounds(
    records: list[Any], at: int, byte: int, cut: int, data: st.DataObject
) -> None:
    payload = bytearray(batch_of(records)[HEADER_BYTES:])
    payload[at % len(payload)] = byte
    changed = bytes(payload[: len(payload) - cut])
    count = len(records) + data.draw(st.integers(-1, 2))
    try:
        columns = columns_of(changed, 0, count, 0, 0, None)
    except LogError:
        return
    assert len(columns.values) == count
    assert sum(len(value or b"") for value in columns.values) <= len(changed)


@pytest.mark.parametrize("size", [0, 3])
def test_what_is_cut_off_or_left_over_is_corrupt(size: int) -> None:
    payload = batch_of([(0, None, b"value", []), (0, b"k", None, [("n", b"7")])])[HEADER_BYTES:]
    assert len(columns_of(payload, 0, 2, 0, 0, None).values) == 2
    for count in (-1, 2**31 - 1):
        with pytest.raises(LogError, match=f"{count} records do not fill its bytes"):
            columns_of(payload, 0, count, 40, 0, None)
    for wrong, count in (
        (payload[:-1], 2),
        (payload + b"\0", 2),
        (payload, 1),
        (payload, 3),
        (payload[:size], 2),
    ):
        with pytest.raises(LogError, match=r"record batch at offset 40 is corrupt|headers"):
            columns_of(wrong, 0, count, 40, 0, None)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), max_size=6), floor=st.integers(0, 25), takes=st.lists(st.integers(1, 9))
)
def test_what_was_fetched_is_taken_in_order_from_the_floor_on(
    sizes: list[int], floor: int, takes: list[int]
) -> None:
    fetched, offset = Fetched(), 0
    for size in sizes:
        offsets = np.arange(offset, offset + size)
        names: list[bytes | None] = [b"%d" % one for one in offsets]
        fetched.add(Columns(offsets, 10 * offsets, names, names, [()] * size), floor)
        offset += size
    want = list(range(min(floor, offset), offset))
    for most in [*takes, 100]:
        if not want:
            break
        assert fetched
        assert fetched.offset == want[0]
        taken = fetched.take(most)
        got, want = want[:most], want[most:]
        assert taken.offsets.tolist() == got
        assert taken.append_time_ms.tolist() == [10 * one for one in got]
        assert taken.values == [b"%d" % one for one in got]
        assert len(taken.headers) == len(got)
    assert not fetched
