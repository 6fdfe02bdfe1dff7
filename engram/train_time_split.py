"""Batch models under a split by time: the data as arrays, the runs, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batch_models.content_features import ContentConfig
from consumers.versions import versions
from engram.figures_table import size
from engram.train_runs import Kept, Rows, interval, train_runs
from eventlog.metadata import ItemMetadata
from producers.columns import RatingColumns
from producers.time_split import split_by_time

if TYPE_CHECKING:
    from batch_models.leave_one_out import Told
    from batch_models.time_split import Part, Split

SCHEMA_VERSION: Final = 1
_SHOWN: Final = ("hr@10", "precision@10", "recall@10", "ndcg@10", "mrr@10", "ndcg@5", "ndcg@20")
COLUMNS: Final = ("model", *(name.replace("hr", "HR").replace("ndcg", "NDCG").replace("mrr", "MRR") for name in _SHOWN),
                  "parameters", "train s")  # fmt: skip


def split_of(
    columns: RatingColumns, known: Sequence[ItemMetadata], content: ContentConfig, relevant_rating: float
) -> Split:
    """Make arrays of the test and, of its training, of the part that epochs are chosen on, with the same rows."""
    from batch_models.time_split import Part, Split

    rows = Rows(np.unique(columns.users), np.unique(columns.items))

    def part(of: RatingColumns) -> Part:
        split = split_by_time(of, relevant_rating)
        return Part(rows.interactions(split.train), rows.of_users(split.users), rows.of_items(split.items))

    train = split_by_time(columns, relevant_rating).train
    return Split(part(train), part(columns), rows.content(known, content, int(train.event_time_ms.max())))


def train_time_split(
    names: Sequence[str],
    params: Sequence[str],
    columns: RatingColumns,
    known: Sequence[ItemMetadata],
    content: ContentConfig,
    relevant_rating: float,
    seeds: Sequence[int],
    device_name: str,
    threads: int | None,
    told: Told,
    done: Callable[[dict[str, Any]], None],
    kept: Kept,
) -> dict[str, Any]:
    """Choose, refit and test each model with each seed; see `train_runs`. columns: in replay order."""
    from batch_models.time_split import run

    split = split_of(columns, known, content, relevant_rating)

    def run_one(name: str, of: Any, seed: int, device: Any, folder: Path) -> dict[str, Any]:
        return run(name, of, split, seed, device, told, folder)[0]

    train = split.test.train
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "protocol": "split by time, chosen on the newest fifth of training, all items",
        "train_events": train.size,
        "users": len(np.unique(split.test.user)),
        "users_without_training": int((~np.isin(np.unique(split.test.user), train.user)).sum()),
        "relevant_pairs": len(split.test.user),
        "relevant_rating": relevant_rating,
        "items": train.items,
        "items_with_metadata": len(known),
        "content": [content.encoder, content.genre_weight],
        "data_digest": train.digest(),
        "versions": versions(),
    }
    return train_runs(names, params, seeds, device_name, threads, run_one, result, done, kept)


def table_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of texts a model, best NDCG first."""
    runs = {name: found for name, found in result["models"].items() if found}
    order = sorted(runs, key=lambda name: -np.mean([one["figures"]["ndcg@10"] for one in runs[name]]))
    return [
        (
            name,
            *(interval([one["figures"][shown] for one in runs[name]]) for shown in _SHOWN),
            size(runs[name][0]["bytes"]),
            f"{np.mean([one['train_seconds'] for one in runs[name]]):.0f}",
        )
        for name in order
    ]


def band_rows(result: Mapping[str, Any], bands: str, measure: str) -> list[tuple[str, ...]]:
    """Cells by band, after a row of the bands' names: the models' means over seeds.

    bands: by_user_band or by_item_band; measure: of it.
    """
    runs = {name: found for name, found in result["models"].items() if found}
    names = list(next(iter(runs.values()))[0][bands]) if runs else []
    return [
        ("model", *names),
        *(
            (name, *(interval([one[bands][band][measure] for one in runs[name]]) for band in names))
            for name in runs
        ),
    ]
