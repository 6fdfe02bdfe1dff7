"""What Kafka's client fetches, taken apart as columns: a kernel a record batch instead of Python objects a record.

The client (kafka-python) stays in charge of fetching, of compression, of checksums and of aborted transactions. What
is replaced is its loop over the records of a batch, the largest part of reading small messages: each record batch
goes through it as one record whose value is `Columns`. Where a client has another inside, its own records are made
columns of, which is as right and slower.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.errors import LogError
from eventlog.log import Headers

_log = logging.getLogger(__name__)

_CORRUPT = -1
_NULL = -1


class Columns(NamedTuple):
    """Records of one record batch, in offset order.

    offsets, append_time_ms: int64[n]. keys, values, headers: lists of length n.
    """

    offsets: NDArray[np.int64]
    append_time_ms: NDArray[np.int64]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]

    def part(self, first: int, last: int) -> Columns:
        """Records `first` to `last` - 1."""
        some = slice(first, last)
        return Columns(
            self.offsets[some],
            self.append_time_ms[some],
            self.keys[some],
            self.values[some],
            self.headers[some],
        )


class Fetched:
    """Records of a partition that the client has given and that nobody has taken yet."""

    def __init__(self) -> None:
        self._blocks: deque[Columns] = deque()
        self._at = 0  # records of the first block that have been taken

    def __bool__(self) -> bool:
        """Whether there is any record."""
        return bool(self._blocks)

    def add(self, columns: Columns, floor: int) -> None:
        """Add records, but those before offset `floor`: a seek can lead into the middle of a batch."""
        first = int(np.searchsorted(columns.offsets, floor)) if columns.offsets[0] < floor else 0
        if first < len(columns.values):
            self._blocks.append(columns.part(first, len(columns.values)) if first else columns)

    @property
    def offset(self) -> int:
        """The offset of the first record that has not been taken, of those that there are."""
        return int(self._blocks[0].offsets[self._at])

    def take(self, most: int) -> Columns:
        """Take up to `most` of the records; there must be one."""
        parts = []
        while most > 0 and self._blocks:
            block, first = self._blocks[0], self._at
            last = min(first + most, len(block.values))
            if last == len(block.values):
                self._blocks.popleft()
                self._at = 0
            else:
                self._at = last
            most -= last - first
            whole = last - first == len(block.values)
            parts.append(block if whole else block.part(first, last))
        if len(parts) == 1:
            return parts[0]
        offsets, times_ms, *lists = zip(*parts, strict=True)
        keys, values, headers = ([one for part in column for one in part] for column in lists)
        return Columns(np.concatenate(offsets), np.concatenate(times_ms), keys, values, headers)


@numba.njit(cache=True, inline="always")
def _varint(buffer: NDArray[np.uint8], at: int) -> tuple[Any, int]:
    """A zigzag varint at `at`: (value, where the next field begins), the latter `_CORRUPT` for none."""
    result, shift = np.uint64(0), np.uint64(0)
    while at < len(buffer) and shift < np.uint64(64):
        byte = np.uint64(buffer[at])
        at += 1
        result |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            half, sign = np.int64(result >> np.uint64(1)), np.int64(result & np.uint64(1))
            return half ^ -sign, at
        shift += np.uint64(7)
    return 0, _CORRUPT


@numba.njit(cache=True)
def take_apart(
    buffer: NDArray[np.uint8],
    at: int,
    offset_deltas: NDArray[np.int64],
    time_deltas_ms: NDArray[np.int64],
    places: NDArray[np.int64],
) -> int:
    """Find the fields of a batch's records (Kafka's message format v2, uncompressed) from byte `at` of `buffer` on.

    Fills, for each of n records: offset_deltas, time_deltas_ms: int64[n]. places: int64[6, n]: first and last + 1
    byte of the key, of the value (-1, -1 for null), and of the headers, whose number comes before them.
    Returns 0, or `_CORRUPT` where the bytes are not exactly n records.
    """
    for row in range(len(offset_deltas)):
        length, at = _varint(buffer, at)
        if at < 0 or length < 1 or length > len(buffer) - at:
            return _CORRUPT
        end = at + length
        time_delta_ms, at = _varint(buffer, at + 1)  # behind the attributes, one byte that nothing uses
        if at < 0:
            return _CORRUPT
        offset_delta, at = _varint(buffer, at)
        if at < 0:
            return _CORRUPT
        offset_deltas[row], time_deltas_ms[row] = offset_delta, time_delta_ms
        for field in (0, 2):
            size, at = _varint(buffer, at)
            if at < 0 or size > end - at:
                return _CORRUPT
            if size < 0:
                places[field, row] = places[field + 1, row] = _NULL
            else:
                places[field, row], places[field + 1, row] = at, at + size
                at += size
        if at >= end:
            return _CORRUPT
        places[4, row], places[5, row] = at, end
        at = end
    return 0 if at == len(buffer) else _CORRUPT


def columns_of(
    buffer: bytes, at: int, count: int, base_offset: int, first_time_ms: int, log_append_time_ms: int | None
) -> Columns:
    """The columns of an uncompressed batch of `count` records that begin at byte `at` of `buffer`.

    log_append_time_ms: the time of all of them, where the broker stamps them. Raises `LogError` for bytes that are no
    records of message format v2.
    """
    n = count if 0 <= count <= len(buffer) else 0  # a record has several bytes
    places = np.empty((6, n), np.int64)
    offsets, times_ms = np.empty(n, np.int64), np.empty(n, np.int64)
    if n != count or take_apart(np.frombuffer(buffer, np.uint8), at, offsets, times_ms, places) != 0:
        raise LogError(
            f"the record batch at offset {base_offset} is corrupt: {count} records do not fill its bytes"
        )
    starts, ends = places[4], places[5]
    with_headers = np.flatnonzero((ends - starts != 1) | (np.frombuffer(buffer, np.uint8)[starts] != 0))
    headers: list[Headers] = [()] * count
    for row in with_headers.tolist():
        headers[row] = _headers_of(buffer, int(starts[row]), int(ends[row]))
    offsets += base_offset
    if log_append_time_ms is None:
        times_ms += first_time_ms
    else:
        times_ms[:] = log_append_time_ms
    return Columns(offsets, times_ms, _slices(buffer, places[0:2]), _slices(buffer, places[2:4]), headers)


def _slices(buffer: bytes, places: NDArray[np.int64]) -> list[bytes | None]:
    starts, ends = places
    if len(starts) and (ends < 0).all():
        return [None] * len(starts)
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return [None if start < 0 else buffer[start:end] for start, end in pairs]


def _headers_of(buffer: bytes, at: int, end: int) -> Headers:
    """Read (name, value) pairs; a null value, which other clients may send, is empty."""
    count, at = _python_varint(buffer, at, end)
    found = []
    for _ in range(count):
        name, at = _bytes_at(buffer, at, end)
        value, at = _bytes_at(buffer, at, end)
        found.append(((name or b"").decode("utf-8", "replace"), value or b""))
    if at != end or count < 0:
        raise LogError(f"a record's {count} headers do not end at its end")
    return tuple(found)


def _bytes_at(buffer: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = _python_varint(buffer, at, end)
    if size < 0:
        return None, at
    if size > end - at:
        raise LogError("a record's headers are cut off")
    return buffer[at : at + size], at + size


def _python_varint(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while at < end and shift < 64:
        byte = buffer[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (result >> 1) ^ -(result & 1), at
        shift += 7
    raise LogError("a record's headers are cut off")


def columns_of_plain(records: Sequence[Any]) -> Columns:
    """Columns of a client's own records (`kafka.consumer.fetcher.ConsumerRecord`)."""
    _, _, _, offsets, times_ms, _, keys, values, headers, *_ = zip(*records, strict=True)
    return Columns(
        np.array(offsets, np.int64),
        np.array(times_ms, np.int64),
        list(keys),
        list(values),
        [tuple((name, value or b"") for name, value in one) if one else () for one in headers],
    )


class _Whole(NamedTuple):
    """What stands for all records of a batch in the client's loop, with the attributes that it reads of a record."""

    value: Columns
    offset: int
    timestamp: int
    size_in_bytes: int
    timestamp_type: int = 0
    key: None = None
    headers: tuple[()] = ()
    checksum: None = None

    def validate_crc(self) -> bool:
        """The batch's has been checked."""
        return True


class _Batch:
    """A record batch of the client whose only record is all of them."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[_Whole]:
        batch = self._batch
        batch._maybe_uncompress()
        stamped = batch.max_timestamp if batch.timestamp_type else None
        columns = columns_of(
            bytes(batch._buffer),
            batch._pos,
            batch.records_count,
            batch.base_offset,
            batch.first_timestamp,
            stamped,
        )
        if columns.values:  # compaction can leave an empty batch
            last = int(columns.offsets[-1])
            yield _Whole(columns, last, batch.max_timestamp, batch.size_in_bytes)


class _Batches:
    """The client's fetched records, whose batches of events in message format v2 give `_Whole` records."""

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        """The next batch, or None."""
        batch = self._records.next_batch()
        plain = batch is None or batch.magic != 2 or batch.is_control_batch
        return batch if plain else _Batch(batch)


def read_columns(consumer: Any) -> bool:
    """Have a `KafkaConsumer` give `Columns` as the values of its records; returns whether it can."""
    try:
        fetcher = consumer._fetcher
        its_own: Any = fetcher.PartitionRecords
        its_own._unpack_records  # noqa: B018
    except AttributeError:
        _log.warning("this kafka-python has another inside than 3.0: its records are read one by one, slowly")
        return False

    class Partition(its_own):  # type: ignore[misc]
        def _unpack_records(self, tp: Any, records: Any, *more: Any) -> Any:
            return super()._unpack_records(tp, _Batches(records), *more)

    fetcher.PartitionRecords = Partition
    return True
