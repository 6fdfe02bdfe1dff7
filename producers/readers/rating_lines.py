"""Strict, compiled parsing of rating lines: user, item, rating, seconds since 1970, and nothing else.

A kernel reads whole chunks and stops at the first line that departs from the grammar; only that line is then
read again, in Python, to say what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.errors import DataFormatError
from eventlog.events import MAX_EVENT_TIME_MS
from producers.columns import RatingColumns

MAX_ID_DIGITS = 10
CHUNK_BYTES = 8 << 20
_MAX_SECONDS = MAX_EVENT_TIME_MS // 1000
_MAX_SECONDS_DIGITS = len(str(_MAX_SECONDS))
_ZERO, _NINE, _DOT, _LF, _CR = (np.uint8(code) for code in b"09.\n\r")
_POSITIVE_INTEGER = re.compile(r"[1-9][0-9]{0,9}")
_INTEGER = re.compile(r"[0-9]{1,12}")
_PADDED_INTEGER = re.compile(r"[0-9]{1,10}")
_STARS = re.compile(r"(0|[1-9][0-9]?)(\.[0-9])?")
_WHOLE_STARS = re.compile(r"0|[1-9][0-9]?")


class LineFormat(NamedTuple):
    """The grammar of a ratings file: `separator` of one character repeated, a header or none, and the scale.

    Ratings are multiples of .5 in [rating_min, rating_max] where `half_stars`, else whole numbers. padded_items: item
    ids may begin with zeros, which are part of them.
    """

    separator: str
    header: str | None
    half_stars: bool
    rating_min: float
    rating_max: float
    padded_items: bool = False


@numba.njit(cache=True)
def _digits(text: NDArray[np.uint8], at: int) -> int:
    """How many digits stand at `at`."""
    count = 0
    while at + count < len(text) and _ZERO <= text[at + count] <= _NINE:
        count += 1
    return count


@numba.njit(cache=True)
def _number(text: NDArray[np.uint8], at: int, digits: int) -> int:
    """Value of the `digits` digits at `at`."""
    value = 0
    for i in range(at, at + digits):
        value = value * 10 + int(text[i]) - 48
    return value


@numba.njit(cache=True)
def _after_separator(text: NDArray[np.uint8], at: int, separator: NDArray[np.uint8]) -> int:
    """Where the separator that stands at `at` ends; -1 where none stands there."""
    if at + len(separator) > len(text):
        return -1
    for i in range(len(separator)):
        if text[at + i] != separator[i]:
            return -1
    return at + len(separator)


@numba.njit(cache=True)
def _parse(
    text: NDArray[np.uint8],
    separator: NDArray[np.uint8],
    padded_items: bool,
    scale: NDArray[np.float64],
    users: NDArray[np.uint8],
    items: NDArray[np.uint8],
    ratings: NDArray[np.float64],
    times: NDArray[np.int64],
) -> tuple[int, int]:
    """Parse whole lines of `text` into the columns; users, items: uint8[n, MAX_ID_DIGITS], zeroed.

    scale: least rating, greatest, step (1 or .5).
    Returns (rows parsed, where the first line that was not parsed begins: len(text) when all were).
    """
    row = 0
    begin = 0
    while begin < len(text):
        at = begin
        for ids, padded in ((users, False), (items, padded_items)):
            digits = _digits(text, at)
            if digits == 0 or digits > MAX_ID_DIGITS or (text[at] == _ZERO and not padded):
                return row, begin
            for i in range(digits):
                ids[row, i] = text[at + i]
            at = _after_separator(text, at + digits, separator)
            if at < 0:
                return row, begin
        digits = _digits(text, at)
        if digits == 0 or digits > 2 or (digits == 2 and text[at] == _ZERO):
            return row, begin
        rating = float(_number(text, at, digits))
        at += digits
        if scale[2] < 1.0 and at < len(text) and text[at] == _DOT:
            if _digits(text, at + 1) != 1:
                return row, begin
            rating += _number(text, at + 1, 1) / 10.0
            at += 2
        if rating < scale[0] or rating > scale[1] or rating % scale[2] != 0.0:
            return row, begin
        at = _after_separator(text, at, separator)
        if at < 0:
            return row, begin
        digits = _digits(text, at)
        if digits == 0 or digits > _MAX_SECONDS_DIGITS:
            return row, begin
        seconds = _number(text, at, digits)
        if seconds > _MAX_SECONDS:
            return row, begin
        at += digits
        if at + 1 < len(text) and text[at] == _CR and text[at + 1] == _LF:
            at += 1
        if at < len(text) and text[at] != _LF:
            return row, begin
        ratings[row] = rating
        times[row] = seconds * 1000
        row += 1
        begin = at + 1
    return row, len(text)


def _trim(ids: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Turn uint8[n, MAX_ID_DIGITS] into `S<width>`[n] of the width in use."""
    used = np.flatnonzero(ids.any(axis=0))
    width = int(used[-1]) + 1 if len(used) else 1
    return np.ascontiguousarray(ids[:, :width]).view(f"S{width}").reshape(len(ids))


def _parse_chunk(path: Path, form: LineFormat, text: bytes, first_line: int) -> RatingColumns:
    """Parse whole lines, the first of which is line `first_line` of the file."""
    rows = text.count(b"\n") + (not text.endswith(b"\n"))
    users = np.zeros((rows, MAX_ID_DIGITS), np.uint8)
    items = np.zeros((rows, MAX_ID_DIGITS), np.uint8)
    ratings = np.empty(rows, np.float64)
    times = np.empty(rows, np.int64)
    separator = np.frombuffer(form.separator.encode(), np.uint8)
    scale = np.array([form.rating_min, form.rating_max, 0.5 if form.half_stars else 1.0])
    buffer = np.frombuffer(text, np.uint8)
    done, stop = _parse(buffer, separator, form.padded_items, scale, users, items, ratings, times)
    if stop < len(text):
        line = text[stop:].split(b"\n", 1)[0]
        _explain(path, first_line + done, line.removesuffix(b"\r"), form)
    return RatingColumns(_trim(users), _trim(items), ratings, times)


def _explain(path: Path, number: int, line: bytes, form: LineFormat) -> NoReturn:
    """Raise `DataFormatError` for a line that the kernel refused."""
    text = line[:200].decode("latin-1")
    fields = text.split(form.separator)
    if len(fields) != 4:
        raise DataFormatError(
            path, number, "line", text, f"4 fields separated by {form.separator!r}, it has {len(fields)}"
        )
    for name, value in zip(("user", "item"), fields, strict=False):
        padded = form.padded_items and name == "item"
        if not (_PADDED_INTEGER if padded else _POSITIVE_INTEGER).fullmatch(value):
            expected = f"{'up' if padded else 'a positive integer of up'} to {MAX_ID_DIGITS} digits"
            raise DataFormatError(path, number, name, value, expected)
    rating = fields[2]
    step = "half" if form.half_stars else "whole"
    stars = _STARS if form.half_stars else _WHOLE_STARS
    if (
        not stars.fullmatch(rating)
        or not form.rating_min <= float(rating) <= form.rating_max
        or float(rating) * 2 % 1
    ):
        scale = f"a {step} number of stars from {form.rating_min:g} to {form.rating_max:g}"
        raise DataFormatError(path, number, "rating", rating, scale)
    if not _INTEGER.fullmatch(fields[3]) or int(fields[3]) > _MAX_SECONDS:
        raise DataFormatError(
            path, number, "timestamp", fields[3], f"seconds since 1970, 0 to {_MAX_SECONDS}"
        )
    raise DataFormatError(path, number, "line", text, "a rating")


def read_rating_lines(
    path: Path, form: LineFormat, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[RatingColumns]:
    """Yield the ratings of `path` in file order, in chunks of about `chunk_bytes`.

    Raises `DataFormatError` at the first malformed line, or for a file without ratings.
    """
    with path.open("rb") as file:
        line = _skip_header(file, path, form)
        rest = b""
        while True:
            block = file.read(chunk_bytes)
            text = rest + block
            # A chunk without a line end cannot be a line of this grammar: it is parsed, and refused.
            end = (text.rfind(b"\n") + 1 or len(text)) if block else len(text)
            if end:
                columns = _parse_chunk(path, form, text[:end], line)
                line += columns.size
                yield columns
            elif not block and line == 1 + (form.header is not None):
                raise DataFormatError(path, line, "line", "", "a rating, the file has none")
            if not block:
                return
            rest = text[end:]


def _skip_header(file: BinaryIO, path: Path, form: LineFormat) -> int:
    """Check the header, if there is to be one; return the number of the line after it."""
    if form.header is None:
        return 1
    header = file.readline(1000).decode("latin-1").rstrip("\r\n")
    if header != form.header:
        raise DataFormatError(path, 1, "header", header, repr(form.header))
    return 2
