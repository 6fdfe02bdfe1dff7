"""The one order of several partitions: a stable sort by (event time, source sequence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """One event of a partition."""

    time_ms: int
    seq: int


def merged(partitions: Sequence[Sequence[Entry]]) -> list[Entry]:
    """All entries by (time_ms, seq); one that is late in its partition goes with the largest before it."""
    keyed = []
    for number, entries in enumerate(partitions):
        latest = Entry(0, -1)
        for place, entry in enumerate(entries):
            latest = max(latest, entry)
            keyed.append((latest, number, place, entry))
    return [entry for *_, entry in sorted(keyed)]
