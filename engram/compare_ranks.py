"""Ranks of a cell, event by event, kept beside its file: what intervals and significance of a table are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.predictions import PredictionBlock, decode_prediction
from evaluation.paired_hits import mean_by_user
from evaluation.ranking import NOT_RANKED, clip_ranks
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics

HIT: Final = 10


class Ranks(NamedTuple):
    """Of the last 70 % of a stream's ranked events: rank uint8[n], 1 to 20, 21 beyond; user int32[n], by first appearance."""

    rank: NDArray[np.uint8]
    user: NDArray[np.int32]

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the item was among the first ten."""
        return self.rank <= HIT


class _Shares(NamedTuple):
    """hits: float64[n], of each event the share of seeds whose first ten had the item; user: as in `Ranks`."""

    hits: NDArray[np.float64]
    user: NDArray[np.int32]


def last_70(rank: NDArray[np.int32], user: NDArray[Any]) -> Ranks:
    """Return what counts of all events' ranks (as `evaluation.ranking` has them); user: any numbers or ids, n."""
    numbers, _ = rows_in_order(user)
    rank, user = rank[3 * len(rank) // 10 :], numbers[3 * len(rank) // 10 :]
    counted = rank != NOT_RANKED
    return Ranks(clip_ranks(rank[counted]), user[counted])


def rows_in_order(ids: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """Return dense rows in order of first appearance, int32[n], and how many there are."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    row = np.empty(len(first), np.int32)
    row[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return row[inverse], len(first)


def write_ranks(path: Path, ranks: Ranks) -> None:
    """Write them, whole or not at all."""
    part = path.with_name(path.name + ".part.npz")
    np.savez_compressed(part, rank=ranks.rank, user=ranks.user)
    part.replace(path)


def read_ranks(path: Path) -> Ranks | None:
    """Return what was written, None where nothing was."""
    try:
        with np.load(path) as file:
            return Ranks(file["rank"], file["user"])
    except FileNotFoundError:
        return None


def ranks_of_log(folder: Path, model: str) -> Ranks | None:
    """Read the ranks of one model from the log that `run_inline` left in a folder; None of a model that does not rank."""
    [path] = folder.glob("*.sqlite")
    ranks: list[NDArray[np.int32]] = []
    users: list[NDArray[np.uint32]] = []
    topic = Topics.with_prefix(f"inline-{path.stem}").predictions
    with SqliteLog(path) as log, log.reader(topic, list(range(log.partition_count(topic)))) as reader:
        while batches := reader.poll(10_000, 0.0):
            for batch in batches:
                for value in batch.values:
                    block = decode_prediction(value) if value is not None else None
                    if isinstance(block, PredictionBlock) and model in block.ranks:
                        ranks.append(block.ranks[model])
                        users.append(block.user_hash)
    return last_70(np.concatenate(ranks), np.concatenate(users)) if ranks else None


def mark_rows(rows: Sequence[dict[str, Any]], ranks: Mapping[tuple[Any, ...], Sequence[Ranks]]) -> None:
    """Add to rows, best first, the interval of Recall@10, and p of that the stream's best is no better.

    ranks: {(dataset, min_rating, first, model): its ranks with each seed}; of several an event's share of hits counts.
    `recall@10_low`, `recall@10_high` and `p_best` are None where there are none, or where events differ.
    """
    best: dict[tuple[Any, ...], _Shares] = {}
    for row in rows:
        row.update(dict.fromkeys(("recall@10_low", "recall@10_high", "p_best")))
        stream = (row["dataset"], row["min_rating"], row["first"])
        runs = ranks.get((*stream, row["model"]), ())
        if not runs or len(np.unique(runs[0].user)) < 2:
            continue
        own = _Shares(np.mean([run.hits for run in runs], axis=0), runs[0].user)
        alone = mean_by_user(own.hits, own.user)
        row["recall@10_low"], row["recall@10_high"] = alone.low, alone.high
        first = best.setdefault(stream, own)
        if first is not own and np.array_equal(first.user, own.user):
            row["p_best"] = mean_by_user(first.hits - own.hits, own.user).p
