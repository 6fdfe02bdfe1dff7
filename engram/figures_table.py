"""The final table of a run: models as rows, best first; the same rows in the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

COLUMNS: Final = (
    "model",
    "Recall@10",
    "NDCG@10",
    "MRR@10",
    "Recall@10 last 70 %",
    "NDCG@10 last 70 %",
    "MRR@10 last 70 %",
    "ev/s",
    "state",
)
# Left out where there is no room.
ONLY_WIDE: Final = ("Recall@10", "NDCG@10", "MRR@10")
MEASURES: Final = ("recall@10", "ndcg@10", "mrr@10")


def ratio(value: float | None) -> str:
    """Write a figure of 0 to 1 with five decimals; a dash for None."""
    return "-" if value is None else f"{value:.5f}"


def rate(value: float | None) -> str:
    """Write events per second; a dash for None."""
    return "-" if value is None else f"{value:,.0f}"


def size(count_bytes: float) -> str:
    """Write a number of bytes in KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB"):
        if count_bytes < 1024:
            return f"{count_bytes:,.0f} {unit}" if unit == "B" else f"{count_bytes:,.1f} {unit}"
        count_bytes /= 1024
    return f"{count_bytes:,.1f} GiB"


def by_recall(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of a result's models, best Recall@10 (last 70 %, else all) first, then by name."""

    def key(name: str) -> tuple[float, str]:
        figures = models[name]["last_70"] or models[name]["all"] or {}
        return -figures.get("recall@10", -1.0), name

    return sorted(models, key=key)


def rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of the final table, in the order of `COLUMNS`, from the content of result.json."""
    models = result["models"]
    table = []
    for name in by_recall(models):
        model = models[name]
        spans = [model[span] or {} for span in ("all", "last_70")]
        table.append(
            (
                name,
                *(ratio(figures.get(measure)) for figures in spans for measure in MEASURES),
                rate(model["events_per_second"]),
                size(model["state_bytes"]),
            )
        )
    return table


RATING_COLUMNS: Final = ("model", "RMSE", "MAE", "AUC", "accuracy", "RMSE last 70 %", "AUC last 70 %")


def rating_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of the table of rating prediction, least RMSE first; empty where no model predicts any."""
    rated = [(name, model) for name, model in result["models"].items() if model["rating"]]
    # Models that only state likes have no errors; they come last, best AUC first.
    rated.sort(
        key=lambda pair: (pair[1]["rating"]["rmse"] or math.inf, -(pair[1]["rating"]["auc"] or 0.0), pair[0])
    )
    return [
        (
            name,
            *(ratio(model["rating"][measure]) for measure in ("rmse", "mae", "auc", "accuracy")),
            *(ratio((model["rating_last_70"] or {}).get(measure)) for measure in ("rmse", "auc")),
        )
        for name, model in rated
    ]


def title(result: Mapping[str, Any]) -> str:
    """Say in a line which events a result is of."""
    rating = "all ratings" if result["min_rating"] is None else f"rating ≥ {result['min_rating']:g}"
    return f"{result['dataset']}, {rating}: {result['events']:,} events"


def floor_warning(result: Mapping[str, Any]) -> str | None:
    """Say that a run's best default model is below a popularity model; None where it is not."""
    floor = result.get("floor")
    if not floor or not floor["below"]:
        return None
    span = "the last 70 %" if floor["span"] == "last_70" else "all events"
    above = " and ".join(f"{name} {ratio(floor['floors'][name])}" for name in floor["below"])
    return f"BELOW THE POPULARITY FLOOR: {floor['model']} has Recall@10 {ratio(floor['value'])} over {span}, {above}"


def protocol_lines(result: Mapping[str, Any]) -> list[str]:
    """Say how a result was measured, and of what, a sentence or two a line."""
    counts, first_counted = result["counts"], result["last_70_from"]
    return [
        f"Protocol {result['protocol']}: each event is ranked among all items seen so far, less the user's own, and "
        f"then learned. Equal times are ordered by {result['tie_rule']}; equal scores count "
        f"{result['tie_ranking']} the model.",
        f"{counts['ranked']:,} events ranked, {counts['new_items']:,} of them of an item never seen before (a miss "
        f"for every model); {counts['repeats']:,} repeats left out; {counts['users']:,} users, "
        f"{counts['items']:,} items."
        + ("" if first_counted is None else f" The last 70 % begin at event {first_counted:,}."),
        f"End to end: {rate(result['events_per_second'])} events/s; ev/s in the table is of each model's kernels "
        "alone.",
    ]
