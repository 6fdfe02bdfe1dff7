"""Ratings in replay order, also of a file that is larger than the memory.

Runs of a bounded number of ratings are sorted and written to a temporary folder as .npy files, then merged in blocks
into files of the same kind. Every file is unlinked as soon as it is mapped, so that nothing stays behind, however
the process ends. The folder is that of `tempfile` (TMPDIR moves it); it needs about twice the size of the columns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.columns import RatingColumns
from producers.event_order import TieOrder, crc32_of_pairs, replay_order


class _Run(NamedTuple):
    """Sorted ratings, and the second key of their order: uint32[n], zeros for the file's own order."""

    columns: RatingColumns
    tie: NDArray[np.uint32]


def sort_ratings(chunks: Iterable[RatingColumns], tie_order: TieOrder, memory_events: int) -> RatingColumns:
    """Put the ratings of a file in replay order; columns lie in memory, or in mapped files where they are too many.

    memory_events: how many ratings may be in memory, of `chunks` and while they are sorted and merged.
    """
    with tempfile.TemporaryDirectory(prefix="engram-sort-") as name:
        runs: list[_Run] = []
        held: list[RatingColumns] = []
        for chunk in _pieces(chunks, memory_events):
            if held and sum(part.size for part in held) + chunk.size > memory_events:
                runs.append(_spill(_sorted(held, tie_order), Path(name)))
                held = []
            held.append(chunk)
        last = _sorted(held, tie_order)
        if not runs:
            return last.columns
        del held
        runs.append(_spill(last, Path(name)))
        del last
        return _merged(runs, Path(name), max(1, memory_events // len(runs)))


def _pieces(chunks: Iterable[RatingColumns], size: int) -> Iterator[RatingColumns]:
    for chunk in chunks:
        for at in range(0, chunk.size, size):
            yield chunk.take(slice(at, at + size))


def _sorted(parts: Sequence[RatingColumns], tie_order: TieOrder) -> _Run:
    columns = RatingColumns.concat(parts)
    columns = columns.take(replay_order(columns.users, columns.items, columns.event_time_ms, tie_order))
    if tie_order is TieOrder.FILE:
        return _Run(columns, np.zeros(columns.size, np.uint32))
    return _Run(columns, crc32_of_pairs(columns.users, columns.items))


def _spill(run: _Run, folder: Path) -> _Run:
    """Write a run to files and map them."""
    mapped = []
    for column in (*run.columns, run.tie):
        path = folder / "run.npy"
        np.save(path, column)
        mapped.append(np.load(path, mmap_mode="r"))
        path.unlink()
    return _Run(RatingColumns(*mapped[:4]), mapped[4])


def _merged(runs: Sequence[_Run], folder: Path, block: int) -> RatingColumns:
    """Merge runs, in the order of the file they are of, `block` ratings of each at a time, into mapped files."""
    total = sum(run.columns.size for run in runs)
    merged: list[NDArray[np.generic]] = []
    for parts in zip(*(run.columns for run in runs), strict=True):
        path = folder / "merged.npy"
        kind = max((part.dtype for part in parts), key=lambda kind: kind.itemsize)
        merged.append(np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(total,)))
        path.unlink()
    at = [0] * len(runs)
    done = 0
    while done < total:
        heads = [
            _Run(run.columns.take(slice(start, start + block)), run.tie[start : start + block])
            for run, start in zip(runs, at, strict=True)
        ]
        takes = _due(heads, [start + block < run.columns.size for run, start in zip(runs, at, strict=True)])
        rows = RatingColumns.concat(
            [head.columns.take(slice(0, n)) for head, n in zip(heads, takes, strict=True)]
        )
        tie = np.concatenate([head.tie[:n] for head, n in zip(heads, takes, strict=True)])
        # Stable, so that what is equal stays in the order of the runs: that of the file.
        rows = rows.take(np.lexsort((tie, rows.event_time_ms)))
        for target, column in zip(merged, rows, strict=True):
            target[done : done + rows.size] = column
        at = [start + n for start, n in zip(at, takes, strict=True)]
        done += rows.size
    return RatingColumns(*merged)  # type: ignore[arg-type]


def _due(heads: Sequence[_Run], more: Sequence[bool]) -> list[int]:
    """How many ratings of each head come before everything that is not in the heads.

    more: whether a run goes on after its head. What follows the head that ends first (`first`, by time, tie, run)
    comes after that end; of equal keys, those of earlier runs come before it, and those of later runs after it.
    """
    ends = [
        (int(head.columns.event_time_ms[-1]), int(head.tie[-1]), number)
        for number, head in enumerate(heads)
        if more[number]
    ]
    if not ends:
        return [head.columns.size for head in heads]
    time_ms, tie, first = min(ends)
    takes = []
    for number, head in enumerate(heads):
        times = head.columns.event_time_ms
        start, stop = np.searchsorted(times, time_ms, "left"), np.searchsorted(times, time_ms, "right")
        side = "right" if number <= first else "left"
        takes.append(int(start + np.searchsorted(head.tie[start:stop], tie, side)))  # type: ignore[call-overload]
    return takes
