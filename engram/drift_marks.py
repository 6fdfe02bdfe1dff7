"""Drift as reports show it: marks on the curves, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

COLUMNS: Final = ("model", "event", "before", "after", "detector")
_ROWS: Final = 50


class Mark(NamedTuple):
    """A drift at event `at`; up: the model does better than before."""

    at: int
    model: str
    up: bool


def marks_of(result: Mapping[str, Any]) -> list[Mark]:
    """Return the marks of a result; none for several lanes, whose events have no common order."""
    if len(result["lanes"]) > 1:
        return []
    return [
        Mark(one["at"], one["model"], one["after"] > one["before"])
        for one in result.get("drift", {"events": []})["events"]
    ]


def drift_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of `COLUMNS`, the newest drifts, in order."""
    events = result.get("drift", {"events": []})["events"][-_ROWS:]
    return [
        (one["model"], f"{one['at']:,}", f"{one['before']:.4f}", f"{one['after']:.4f}", one["detector"])
        for one in events
    ]


def drift_caption(result: Mapping[str, Any]) -> str:
    """Say what the rows are, and how many drifts there were of which model."""
    counts = ", ".join(f"{one['model']} {one['drifts']:,}" for one in result["drift"]["counts"])
    return (
        "means before and since the change of the log-rank score 1 - ln(rank) / ln(items), of predicted ratings of "
        f"1 - |error| / scale; noticed at the event that is named; drifts in all: {counts}"
    )
