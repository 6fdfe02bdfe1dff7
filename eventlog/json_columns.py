"""Single events in the JSON that programs usually write, to columns by a kernel.

The kernel reads what it is sure of, and leaves every other message to `eventlog.codec`, which knows all of JSON and
says what is wrong: known fields only, each once, `kind` `rating` and `v` 1 where they are there, plain ASCII without
escapes, integers below 10^18, ratings of up to 15 digits without exponent (one division of two exact numbers, hence the
nearest float64, as any correct reader gives), and a source with its seq. Spaces may stand between tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.events import MAX_EVENT_TIME_MS, MAX_ID_BYTES

MAX_SOURCES = 16  # of one call; events of others are left to the codec
_NO = -1  # the kernel's word for: not sure
_POWERS = 10.0 ** np.arange(16)
_NAMES = (b"user", b"item", b"event_time_ms", b"rating", b"source_id", b"source_seq", b"kind", b"v")
_USER, _ITEM, _TIME, _RATING, _SOURCE, _SEQ, _KIND, _V = range(len(_NAMES))
_ALL = (1 << _USER) | (1 << _ITEM) | (1 << _TIME) | (1 << _RATING) | (1 << _SOURCE) | (1 << _SEQ)
_NAME_BYTES = np.frombuffer(b"".join(_NAMES), np.uint8)
_NAME_ENDS = np.cumsum([len(name) for name in _NAMES])
_RATING_BYTES = np.frombuffer(b"rating", np.uint8)


class JsonColumns(NamedTuple):
    """What was read. sure: bool[n], which of the messages the columns have; the columns are those alone, in order."""

    sure: NDArray[np.bool_]
    sources: tuple[str, ...]
    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]
    ratings: NDArray[np.float64]
    event_time_ms: NDArray[np.int64]
    source_index: NDArray[np.int32]
    source_seq: NDArray[np.int64]


@numba.njit(cache=True)
def _same(
    text: NDArray[np.uint8], at: int, end: int, other: NDArray[np.uint8], first: int, last: int
) -> bool:
    if end - at != last - first:
        return False
    for i in range(end - at):  # noqa: SIM110 - numba knows no generators
        if text[at + i] != other[first + i]:
            return False
    return True


@numba.njit(cache=True)
def _past_spaces(text: NDArray[np.uint8], at: int, end: int) -> int:
    while at < end and text[at] == 0x20:
        at += 1
    return at


@numba.njit(cache=True)
def _end_of_string(text: NDArray[np.uint8], at: int, end: int) -> int:
    """Where the string that begins at `at`, behind its quote, ends; `_NO` for one with anything but plain ASCII."""
    while at < end:
        byte = text[at]
        if byte == 0x22:
            return at
        if byte < 0x20 or byte >= 0x7F or byte == 0x5C:
            return _NO
        at += 1
    return _NO


@numba.njit(cache=True)
def _end_of_digits(text: NDArray[np.uint8], at: int, end: int) -> int:
    while at < end and 0x30 <= text[at] <= 0x39:
        at += 1
    return at


@numba.njit(cache=True)
def _number(text: NDArray[np.uint8], at: int, end: int) -> int:
    value = np.int64(0)
    for i in range(at, end):
        if text[i] != 0x2E:
            value = value * 10 + (np.int64(text[i]) - 0x30)
    return value  # type: ignore[return-value]


@numba.njit(cache=True)
def _read_one(
    text: NDArray[np.uint8], at: int, end: int, places: NDArray[np.int64], numbers: NDArray[np.int64]
) -> bool:
    """Read one message; whether it is one that this kernel is sure of.

    Fills, by field, places: int64[8, 2], first and last + 1 byte of a text, and numbers: int64[8]; a rating is
    numbers[_RATING] / 10 ** numbers[_USER], where no number is in the way.
    """
    at = _past_spaces(text, at, end)
    if at >= end or text[at] != 0x7B:
        return False
    seen = 0
    while True:
        at = _past_spaces(text, at + 1, end)
        if at >= end or text[at] != 0x22:
            return False
        last = _end_of_string(text, at + 1, end)
        if last < 0:
            return False
        field, first = _NO, 0
        for i in range(len(_NAME_ENDS)):
            if _same(text, at + 1, last, _NAME_BYTES, first, _NAME_ENDS[i]):
                field = i
            first = _NAME_ENDS[i]
        if field < 0 or seen >> field & 1:
            return False
        seen |= 1 << field
        at = _past_spaces(text, last + 1, end)
        if at >= end or text[at] != 0x3A:
            return False
        at = _past_spaces(text, at + 1, end)
        if at >= end:
            return False
        if field in (_USER, _ITEM, _SOURCE, _KIND):
            if text[at] != 0x22:
                return False
            last = _end_of_string(text, at + 1, end)
            if last < 0 or not 1 <= last - at - 1 <= MAX_ID_BYTES:
                return False
            places[field, 0], places[field, 1] = at + 1, last
            if field == _KIND and not _same(text, at + 1, last, _RATING_BYTES, 0, 6):
                return False
            at = last + 1
        else:
            last = _end_of_digits(text, at, end)
            digits, decimals = last - at, 0
            if digits < 1 or (digits > 1 and text[at] == 0x30):
                return False
            if field == _RATING and last < end and text[last] == 0x2E:
                point = last
                last = _end_of_digits(text, point + 1, end)
                decimals = last - point - 1
                digits += decimals
                if decimals < 1:
                    return False
            if digits > (15 if field == _RATING else 18):
                return False
            numbers[field] = _number(text, at, last)
            if field == _RATING:
                numbers[_USER] = decimals
            if (field == _V and numbers[_V] != 1) or (field == _TIME and numbers[_TIME] > MAX_EVENT_TIME_MS):
                return False
            at = last
        at = _past_spaces(text, at, end)
        if at >= end:
            return False
        if text[at] == 0x7D:
            return seen & _ALL == _ALL and _past_spaces(text, at + 1, end) == end
        if text[at] != 0x2C:
            return False


@numba.njit(cache=True)
def read_events(
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    sure: NDArray[np.bool_],
    ids: NDArray[np.int64],
    ratings: NDArray[np.float64],
    times_ms: NDArray[np.int64],
    seqs: NDArray[np.int64],
    source_index: NDArray[np.int32],
    sources: NDArray[np.int64],
) -> int:
    """Read n messages that lie in `text` one behind the other; ends: int64[n].

    Fills, for each that it is sure of: ids: int64[n, 4], first and last + 1 byte of user and item; ratings, times_ms,
    seqs, source_index; sure says which. sources: int64[MAX_SOURCES, 2], the bytes of each name's first appearance.
    Returns how many sources there are.
    """
    places, numbers = np.zeros((len(_NAME_ENDS), 2), np.int64), np.zeros(len(_NAME_ENDS), np.int64)
    at, known = 0, 0
    for row in range(len(ends)):
        sure[row] = _read_one(text, at, ends[row], places, numbers)
        at = ends[row]
        if not sure[row]:
            continue
        first, last = places[_SOURCE, 0], places[_SOURCE, 1]
        source = known
        for i in range(known):
            if _same(text, first, last, text, sources[i, 0], sources[i, 1]):
                source = i
                break
        if source == len(sources):
            sure[row] = False
            continue
        if source == known:
            sources[known, 0], sources[known, 1] = first, last
            known += 1
        source_index[row] = source
        ids[row, 0], ids[row, 1] = places[_USER, 0], places[_USER, 1]
        ids[row, 2], ids[row, 3] = places[_ITEM, 0], places[_ITEM, 1]
        ratings[row] = numbers[_RATING] / _POWERS[numbers[_USER]]
        times_ms[row], seqs[row] = numbers[_TIME], numbers[_SEQ]
    return known


@numba.njit(cache=True)
def _padded(text: NDArray[np.uint8], places: NDArray[np.int64], column: int, out: NDArray[np.uint8]) -> None:
    for row in range(len(out)):
        first, last = places[row, column], places[row, column + 1]
        out[row, : last - first] = text[first:last]


def read_json(values: Sequence[bytes]) -> JsonColumns:
    """Read messages of one event each."""
    n = len(values)
    text = np.frombuffer(b"".join(values), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, n))
    sure, ids, ratings = np.zeros(n, np.bool_), np.zeros((n, 4), np.int64), np.zeros(n)
    times_ms, seqs, source_index = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int32)
    sources = np.zeros((MAX_SOURCES, 2), np.int64)
    known = read_events(text, ends, sure, ids, ratings, times_ms, seqs, source_index, sources)
    if not sure.all():
        ids, ratings, times_ms = ids[sure], ratings[sure], times_ms[sure]
        seqs, source_index = seqs[sure], source_index[sure]
    names = tuple(text[first:last].tobytes().decode() for first, last in sources[:known].tolist())
    return JsonColumns(
        sure, names, _ids(text, ids, 0), _ids(text, ids, 2), ratings, times_ms, source_index, seqs
    )


def _ids(text: NDArray[np.uint8], places: NDArray[np.int64], column: int) -> NDArray[np.bytes_]:
    """Ids as zero-padded text."""
    n = len(places)
    width = int((places[:, column + 1] - places[:, column]).max()) if n else 1
    out = np.zeros((n, width), np.uint8)
    _padded(text, places, column, out)
    return out.view(f"S{width}").reshape(n)
