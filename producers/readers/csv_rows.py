"""Rows of a CSV file of metadata, checked against its header."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from eventlog.errors import DataFormatError
from producers.readers.bounded_lines import bounded_lines


def read_csv_rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a UTF-8 CSV file with exactly the columns `names`; a name in .gz is unpacked.

    Raises `DataFormatError`.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="strict", newline="") as file:
        rows = csv.reader(bounded_lines(file, path), strict=True)
        try:
            header = next(rows, [])
            if header != list(names):
                raise DataFormatError(path, 1, "header", ",".join(header), repr(",".join(names)))
            for row in rows:
                if len(row) != len(names):
                    raise DataFormatError(
                        path, rows.line_num, "line", ",".join(row)[:200], f"{len(names)} fields"
                    )
                yield rows.line_num, row
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataFormatError(path, rows.line_num, "file", str(error), "a whole gzip file") from None
        except csv.Error as error:
            raise DataFormatError(path, rows.line_num, "line", str(error), "valid CSV") from None
        except UnicodeDecodeError as error:
            raise DataFormatError(
                path, rows.line_num + 1, "line", error.object[error.start : error.end], "UTF-8"
            ) from None
