"""Text lines of metadata files: splitting into fields, ids, numbers, and the year in a title."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from eventlog.errors import DataFormatError

_YEAR = re.compile(r"\((\d{4})(?:[-\u2013\u2014/]\d{0,4})?\)")
MAX_FILE_BYTES = 1 << 30  # it is read whole
_ID = re.compile(r"[1-9][0-9]{0,9}")


def year_of_title(title: str) -> int | None:
    """Return the year in a title's last parentheses that hold one: 1995 of `Toy Story (1995)`, else None.

    A range counts from its first year: 2006 of `Death Note (2006-2007)`.
    """
    years = _YEAR.findall(title)
    return int(years[-1]) if years else None


def read_lines(path: Path, *, utf8: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of a Latin-1 file; empty lines at its end are left out.

    utf8: read it as UTF-8 if all of it is. Raises `DataFormatError` for a file that is too large to be one.
    """
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise DataFormatError(path, 1, "file", f"{size:,} bytes", f"at most {MAX_FILE_BYTES:,}")
    content = path.read_bytes()
    text = content.decode("latin-1")
    if utf8:
        with contextlib.suppress(UnicodeDecodeError):
            text = content.decode("utf-8")
    for number, line in enumerate(text.rstrip("\r\n").split("\n"), 1):
        yield number, line.removesuffix("\r")


def split_lines(
    path: Path, separator: str, names: tuple[str, ...], *, utf8: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of the lines of `read_lines`, which have one field for each of `names`.

    Raises `DataFormatError`.
    """
    for number, line in read_lines(path, utf8=utf8):
        fields = line.split(separator)
        if len(fields) != len(names):
            expected = f"{len(names)} fields ({', '.join(names[:3])}, ...) separated by {separator!r}"
            raise DataFormatError(path, number, "line", line[:200], expected)
        yield number, fields


def split_genres(text: str) -> tuple[str, ...]:
    """Return the genres of `Comedy|Drama`; none of an empty text, or of the publisher's words for none."""
    return () if text in {"", "(no genres listed)"} else tuple(text.split("|"))


def check_id(path: Path, line: int, field: str, value: str) -> str:
    """Return an id as it stands in a ratings file. Raises `DataFormatError`."""
    if not _ID.fullmatch(value):
        raise DataFormatError(path, line, field, value, "a positive integer of up to 10 digits")
    return value


def check_int(path: Path, line: int, field: str, value: str, low: int, high: int) -> int:
    """Return a whole number in [low, high]. Raises `DataFormatError`."""
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise DataFormatError(path, line, field, value, f"a whole number from {low} to {high}")
    return int(value)


def check_choice(path: Path, line: int, field: str, value: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`. Raises `DataFormatError`."""
    if value not in choices:
        raise DataFormatError(path, line, field, value, f"one of {', '.join(choices)}")
    return value
