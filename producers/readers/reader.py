"""What every reader of a data set gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns


class Reader(Protocol):
    """Reads the files of one format from a folder; a malformed line raises `DataFormatError`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings in file order, in chunks that bound the memory."""

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield what the files say of each item."""

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield what the files say of each user; nothing where they say nothing."""
