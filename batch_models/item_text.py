"""What is known of items before anybody had one, as records and as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ItemRecord(NamedTuple):
    """What is known of the item of a row. year: of release, 0 where unknown. tags: those of the time before the cut."""

    row: int
    title: str
    year: int
    genres: Sequence[str]
    tags: Sequence[str] = ()


def sentence(record: ItemRecord) -> str:
    """Write title, year, genres and tags, each tag once, as a person would; what is unknown is left out."""
    year = f" ({record.year})" if record.year else ""
    parts = [f"{record.title}{year}" if record.title else "", ", ".join(record.genres)]
    parts.append(", ".join(dict.fromkeys(record.tags)))
    return ". ".join(part for part in parts if part)
