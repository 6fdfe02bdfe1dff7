"""Lines of a text file, none of which can fill the memory: a packed file of a megabyte may hold a line of gigabytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from eventlog.errors import DataFormatError

MAX_LINE_CHARACTERS: Final = 1 << 20
MAX_FILE_CHARACTERS: Final = 8 << 30


def bounded_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of `file` (of `path`, for errors) with their ends.

    Raises `DataFormatError` for a line, or a whole, that is longer than any real one.
    """
    number, left = 0, MAX_FILE_CHARACTERS
    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        number += 1
        left -= len(line)
        if len(line) > MAX_LINE_CHARACTERS:
            raise DataFormatError(
                path, number, "line", line[:50], f"at most {MAX_LINE_CHARACTERS:,} characters"
            )
        if left < 0:
            raise DataFormatError(path, number, "file", "...", f"at most {MAX_FILE_CHARACTERS:,} characters")
        yield line
