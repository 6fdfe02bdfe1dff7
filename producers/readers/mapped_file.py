"""A file of ratings of any origin: CSV, TSV or Parquet, with the names of its columns given.

Rows are read in chunks, as text, and checked; nothing is guessed and nothing is passed over.
"""

from __future__ import annotations

import csv
import importlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventlog.errors import DataError, DataFormatError, DataMissingError, SettingsError
from eventlog.events import MAX_EVENT_TIME_MS, MAX_ID_BYTES
from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.bounded_lines import bounded_lines

SUFFIXES: Final = (".csv", ".tsv", ".parquet")
FIELDS: Final = ("user", "item", "rating", "time")
CHUNK_ROWS: Final = 65_536
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TIMES: Final = {
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "iso": "a time such as 2000-01-31T12:00:00Z",
}


class ColumnMap(NamedTuple):
    """Which columns of a file are what: their names in the header.

    time_unit: s, ms (since 1970) or iso (ISO 8601, UTC where it says no zone). delimiter: one character.
    rating_min, rating_max: a rating outside is an error.
    """

    user: str
    item: str
    rating: str
    time: str
    time_unit: str = "s"
    delimiter: str = ","
    rating_min: float = 0.0
    rating_max: float = 10.0


def parse_columns(text: str) -> dict[str, str]:
    """Return the names in `user=U,item=I,rating=R,time=T`, in any order. Raises `SettingsError`."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    names = {field.strip(): name.strip() for field, _, name in pairs}
    if len(pairs) != len(names) or set(names) != set(FIELDS) or not all(names.values()):
        expected = ",".join(f"{field}=NAME" for field in FIELDS)
        raise SettingsError(f"columns is {text!r}, expected {expected}")
    return names


class MappedFileReader:
    """Reads the file `name` of a folder. Line numbers in errors are exact where no field holds a line end."""

    def __init__(self, name: str, columns: ColumnMap) -> None:
        self._name = name
        self._columns = columns

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings. Raises `DataMissingError` for Parquet without pyarrow."""
        path = folder / self._name
        chunks = _parquet(path, self._columns) if path.suffix == ".parquet" else _csv(path, self._columns)
        line = 2
        for fields in chunks:
            columns = _checked(path, line, fields, self._columns)
            line += columns.size
            yield columns
        if line == 2:
            raise DataFormatError(path, line, "line", "", "a rating, the file has none")

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield nothing: the file holds ratings only."""
        del folder
        return iter(())

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: the file holds ratings only."""
        del folder
        return iter(())


_Fields = Sequence[Sequence[str]]  # user, item, rating, time: a column each


def _places(path: Path, header: Sequence[str], columns: ColumnMap) -> list[int]:
    """Where the four columns are."""
    for field in FIELDS:
        name = getattr(columns, field)
        if header.count(name) != 1:
            expected = f"one column {name!r} ({field})"
            raise DataFormatError(path, 1, "header", columns.delimiter.join(header)[:200], expected)
    return [header.index(getattr(columns, field)) for field in FIELDS]


def _csv(path: Path, columns: ColumnMap) -> Iterator[_Fields]:
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(bounded_lines(file, path), delimiter=columns.delimiter, strict=True)
        try:
            header = next(rows, [])
            places = _places(path, header, columns)
            line = 2
            while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                if set(map(len, chunk)) != {len(header)}:
                    wrong = next(at for at, row in enumerate(chunk) if len(row) != len(header))
                    text = columns.delimiter.join(chunk[wrong])[:200]
                    raise DataFormatError(
                        path, line + wrong, "line", text, f"{len(header)} fields, as in the header"
                    )
                line += len(chunk)
                fields = list(zip(*chunk, strict=True))
                yield [fields[place] for place in places]
        except csv.Error as error:
            raise DataFormatError(path, rows.line_num, "line", str(error), "valid CSV") from None
        except UnicodeDecodeError as error:
            raise DataFormatError(
                path, line, "file", error.object[error.start : error.end], "UTF-8"
            ) from None


def _parquet(path: Path, columns: ColumnMap) -> Iterator[_Fields]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise DataMissingError(f"{path}: Parquet needs the package pyarrow: pip install pyarrow") from None
    arrow = importlib.import_module("pyarrow")
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
        _places(path, names, columns)
        for batch in file.iter_batches(CHUNK_ROWS, columns=[getattr(columns, field) for field in FIELDS]):
            frame = batch.to_pandas()
            # What is missing becomes an empty text, which no field may be.
            yield [
                frame[name].astype(str).where(frame[name].notna(), "").tolist()
                for name in (getattr(columns, field) for field in FIELDS)
            ]
    except arrow.ArrowException as error:
        raise DataError(f"{path}: it is no readable Parquet file: {error}") from None


def _checked(path: Path, line: int, fields: _Fields, columns: ColumnMap) -> RatingColumns:
    """Make columns of texts, the first of which is of line `line`."""
    users, items, ratings, times = fields
    return RatingColumns(
        _ids(path, line, "user", users),
        _ids(path, line, "item", items),
        _ratings(path, line, ratings, columns),
        _times_ms(path, line, times, columns.time_unit),
    )


def _refuse(
    path: Path, line: int, field: str, texts: Sequence[str], bad: NDArray[np.bool_], expected: str
) -> None:
    """Raise `DataFormatError` for the first that is bad."""
    if bad.any():
        at = int(np.argmax(bad))
        raise DataFormatError(path, line + at, field, texts[at][:200], expected)


def _ids(path: Path, line: int, field: str, texts: Sequence[str]) -> NDArray[np.bytes_]:
    encoded = [text.encode() for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    control = np.fromiter((_CONTROL.search(text) is not None for text in texts), np.bool_, len(texts))
    bad = (lengths == 0) | (lengths > MAX_ID_BYTES) | control
    _refuse(path, line, field, texts, bad, f"an id of 1 to {MAX_ID_BYTES} bytes without control characters")
    return np.array(encoded, np.bytes_)


def _numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers, NaN for what is none."""
    try:
        return np.array(texts).astype(np.float64)
    except ValueError:
        return np.array([_number(text) for text in texts])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _ratings(path: Path, line: int, texts: Sequence[str], columns: ColumnMap) -> NDArray[np.float64]:
    least, greatest = columns.rating_min, columns.rating_max
    ratings = _numbers(texts)
    expected = f"a number from {least:g} to {greatest:g} (rating_min and rating_max)"
    _refuse(path, line, "rating", texts, ~((ratings >= least) & (ratings <= greatest)), expected)
    return ratings


def _times_ms(path: Path, line: int, texts: Sequence[str], unit: str) -> NDArray[np.int64]:
    if unit == "iso":
        import pandas as pd

        moments = pd.DatetimeIndex(pd.to_datetime(list(texts), format="ISO8601", utc=True, errors="coerce"))
        absent = np.asarray(moments.isna())
        _refuse(path, line, "time", texts, absent, _TIMES[unit])
        times = moments.as_unit("ms").asi8.astype(np.float64)
    else:
        times = _numbers(texts) * (1000.0 if unit == "s" else 1.0)
    _refuse(path, line, "time", texts, ~((times >= 0) & (times <= MAX_EVENT_TIME_MS)), _TIMES[unit])
    return np.rint(times).astype(np.int64)
