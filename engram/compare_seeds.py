"""Repetitions of a comparison: what draws at random is measured with several seeds, and its row is their mean.

What a cell is of changes in nothing but the seed, so the first seed's cells are those of a comparison without repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engram.compare_cells import Cell, StreamChoice
from engram.compare_rows import FIGURES, best_first, stream_of
from engram.settings import Settings
from engram.source import SYNTHETIC
from evaluation.tails import student_half_width
from eventlog.errors import SettingsError
from online_models.registry import MODELS
from peers.catalogue import DRAWS, PEERS

# What else differs from run to run.
_MEANS = (*FIGURES, "events_per_second", "events_per_second_end_to_end", "state_bytes", "seconds")


def draws(model: str) -> bool:
    """Whether what a model, or a peer, says depends on the seed."""
    return model in DRAWS if model in PEERS else MODELS[model].draws


def check_seeds(seeds: int, settings: Settings, datasets: Iterable[str]) -> None:
    """Raise `SettingsError` where the seed would draw the events too: repetitions are on the same ones."""
    if seeds > 1 and settings.num_users is not None:
        raise SettingsError(
            f"seeds is {seeds}, expected 1 with num_users, whose users are drawn with the seed"
        )
    if seeds > 1 and SYNTHETIC in datasets:
        raise SettingsError(
            f"seeds is {seeds}, expected 1 for the synthetic stream, which is made of the seed"
        )


def with_repetitions(cells: Iterable[Cell], seeds: int, streams: Collection[StreamChoice] = ()) -> list[Cell]:
    """Put, behind the cells, those of what draws with the seeds that follow theirs, `seeds` in all.

    streams: only on these, and on their first events; on all where there are none.
    """
    cells = list(cells)
    drawing = [
        cell
        for cell in cells
        if draws(cell.model) and (not streams or cell.stream._replace(first=None) in streams)
    ]
    return cells + [_repetition(cell, more) for more in range(1, seeds) for cell in drawing]


def _repetition(cell: Cell, more: int) -> Cell:
    seed = cell.settings.seed + more
    identity = cell.identity | {"settings": cell.identity["settings"] | {"seed": seed}}
    return cell._replace(
        settings=msgspec.structs.replace(cell.settings, seed=seed),
        identity=identity,
        path=cell.path.with_name(f"{cell.path.stem}-seed{seed}.json"),
        repetition=True,
    )


def merged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a model and stream, best first, from rows of all seeds (see `rows_of`): means, and how sure they are.

    `seeds`: how many runs the means are of. `<figure>_seeds_half`: half of the 95 % interval of the mean over seeds, None
    of a single run. What has no mean, such as `seed` and `digest`, is the first run's.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        groups.setdefault((*stream_of(row), row["model"]), []).append(row)
    found = []
    for group in groups.values():
        runs = [row for row in group if not row["note"]] or group[:1]
        row = dict(runs[0])
        if len(runs) > 1:
            row |= {name: _mean([run[name] for run in runs]) for name in _MEANS}
            row["peak_memory_bytes"] = max(run["peak_memory_bytes"] or 0 for run in runs) or None
            row["jobs"] = max(run["jobs"] for run in runs)
        row["seeds"] = len(runs)
        for name in FIGURES:
            values = [run[name] for run in runs if run[name] is not None]
            row[f"{name}_seeds_half"] = student_half_width(values) if len(values) > 1 else None
        found.append(row)
    return best_first(found, list(dict.fromkeys(stream_of(row) for row in rows)))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
