"""The rows of a comparison, from what is kept of its cells: tidy, one a cell, best first within a stream."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engram.compare_cells import Cell, ranks

_RANKED: Final = ("recall@10", "ndcg@10", "mrr@10")
_RATED: Final = ("rmse", "mae", "auc", "accuracy")
_SPANS: Final = ("", "_last_70")
FIGURES: Final = (*_RANKED, "coverage@20", *(f"{measure}{span}" for span in _SPANS for measure in _RATED))


def rows_of(cells: Iterable[tuple[Cell, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row a cell, tidy: what it is of, its measures (None where there are none), and how it was measured.

    Ranking measures are of the last 70 % of events; rating measures of all events, and again of the last 70 %. They
    are only of streams with all ratings. Rows are in order of streams, within one best first. `note` says why a row has
    no figures.
    """
    rows = [_row(cell, kept) for cell, kept in cells]
    return best_first(rows, list(dict.fromkeys(stream_of(row) for row in rows)))


def stream_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a row's stream is known by."""
    return row["dataset"], row["min_rating"], row["first"]


def best_first(rows: Iterable[dict[str, Any]], streams: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Sort rows by stream, in this order of streams (see `stream_of`), and within one best first."""
    return sorted(rows, key=lambda row: (streams.index(stream_of(row)), _standing(row)))


def absent_kept(reason: str) -> dict[str, Any]:
    """Return what stands for what is kept of a cell that could not be measured; the reason is its row's `note`."""
    return {"result": None, "reason": reason, "peak_memory_bytes": None, "jobs": 1}


def _row(cell: Cell, kept: Mapping[str, Any]) -> dict[str, Any]:
    result = kept["result"] or {"models": {}, "versions": {}}
    model = result["models"].get(cell.model, {})
    ranked = model.get("last_70") if ranks(cell.model) else None
    rated = cell.stream.min_rating is None
    rating = {"": model.get("rating") if rated else None}
    rating["_last_70"] = model.get("rating_last_70") if rated else None
    protocols = [name for name, figures in (("P", ranked), ("R", rating[""])) if figures]
    versions = result["versions"]
    return {
        "dataset": cell.stream.dataset,
        "min_rating": cell.stream.min_rating or 0.0,
        "first": cell.stream.first or 0,
        "events": result.get("events"),
        "protocol": "+".join(protocols),
        "model": cell.model,
        **{measure: (ranked or {}).get(measure) for measure in _RANKED},
        "coverage@20": ((model.get("beyond") or {}).get("last_70") or {}).get("coverage@20"),
        **{
            f"{measure}{span}": (figures or {}).get(measure)
            for span, figures in rating.items()
            for measure in _RATED
        },
        "events_per_second": model.get("events_per_second"),
        "events_per_second_end_to_end": result.get("events_per_second"),
        "state_bytes": model.get("state_bytes"),
        "seconds": result.get("seconds"),
        "peak_memory_bytes": kept["peak_memory_bytes"],
        "jobs": kept["jobs"],
        "seed": result.get("seed", cell.settings.seed),
        "tie_rule": result.get("tie_rule"),
        "tie_ranking": result.get("tie_ranking"),
        "config": json.dumps(model.get("config", {}), sort_keys=True),
        "data_digest": result.get("data_digest"),
        "digest": result.get("digest"),
        "version": versions.get("engram-stream"),
        "python": versions.get("python"),
        "numpy": versions.get("numpy"),
        "numba": versions.get("numba"),
        "note": kept.get("reason", ""),
    }


def _standing(row: Mapping[str, Any]) -> tuple[bool, float, float, float, str]:
    """Best Recall@10 first, then least RMSE, then best AUC; what was not measured last."""
    recall, rmse, auc = row["recall@10"], row["rmse"], row["auc"]
    return (
        bool(row["note"]),
        math.inf if recall is None else -recall,
        math.inf if rmse is None else rmse,
        math.inf if auc is None else -auc,
        row["model"],
    )
