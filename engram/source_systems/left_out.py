"""Rows of leave-one-out for online and batch models on the same questions."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from engram.leave_one_out import leave_one_out
from engram.settings import Settings
from engram.source_systems.tables import Cell
from engram.train_leave_one_out import train_leave_one_out
from engram.train_runs import Kept
from eventlog.metadata import ItemMetadata
from online_models.catalogue import ItemFacts
from producers.leave_one_out import LeaveOneOut

NO_TORCH = "needs torch (make batch)"


def online_rows(
    settings: Settings, data: LeaveOneOut, facts: list[ItemFacts], models: Sequence[str]
) -> list[dict[str, Cell]]:
    """A row an online model: one pass over training."""
    own = msgspec.structs.replace(settings, models=tuple(models), dataset=None)
    result = leave_one_out(own, data, facts, lambda _what, _done, _total: None)
    return [
        _row(
            f"Engram: {name}" if name not in {"popularity", "random"} else name,
            found["sampled"],
            found["all_items"],
            found["learn_seconds"],
            found["state_bytes"],
        )
        for name, found in result["models"].items()
    ]


def batch_rows(
    settings: Settings,
    data: LeaveOneOut,
    known: Sequence[ItemMetadata],
    models: Sequence[str],
    params: Sequence[str] = (),
) -> list[dict[str, Cell]]:
    """A row a batch model, chosen on each user's last item of training, refitted, and tested once; without torch a note."""
    if importlib.util.find_spec("torch") is None:
        return [_row(f"{name}: {NO_TORCH}", {}, {}, None, None) for name in models]
    from batch_models.content_features import ContentConfig

    with tempfile.TemporaryDirectory() as folder:
        result = train_leave_one_out(
            models,
            params,
            data,
            known,
            ContentConfig(),
            (settings.seed,),
            "cpu",
            1,
            lambda _m, _p, _s, _e: None,
            lambda _: None,
            Kept(Path(folder)),
        )
    return [
        _row(f"Engram: {name} (batch)", run["sampled"], run["all_items"], run["train_seconds"], run["bytes"])
        for name, [run] in result["models"].items()
    ]


def _row(
    model: str,
    sampled: dict[str, float],
    all_items: dict[str, float],
    seconds: float | None,
    state_bytes: int | None,
) -> dict[str, Cell]:
    hit = sampled.get("hr@10")
    return {
        "model": model,
        "HR@10 of 100": hit,
        "Precision@10 of 100": None if hit is None else hit / 10,
        "NDCG@10 of 100": sampled.get("ndcg@10"),
        "HR@10 all items": all_items.get("hr@10"),
        "NDCG@10 all items": all_items.get("ndcg@10"),
        "train s": seconds,
        "KiB": None if state_bytes is None else state_bytes / 1024,
    }


def plain_row(model: str, hit: float | None, gain: float | None) -> dict[str, Cell]:
    """A row of published figures, or of a note."""
    return _row(model, {} if hit is None or gain is None else {"hr@10": hit, "ndcg@10": gain}, {}, None, None)


def best_first(rows: Sequence[dict[str, Cell]], by: str) -> tuple[dict[str, Cell], ...]:
    """Sort rows by a column, those without a figure last."""
    return tuple(sorted(rows, key=lambda row: -float(-1.0 if row[by] is None else row[by] or 0.0)))


def first_asked(data: LeaveOneOut, users: int | None) -> LeaveOneOut:
    """Keep the first users that are asked about, and their training."""
    if users is None or users >= len(data.users):
        return data
    kept = data.users[:users]
    train = data.train.take(np.isin(data.train.users, kept))
    return LeaveOneOut(train, kept, data.items[:users], data.negatives[:users])
