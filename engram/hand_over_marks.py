"""The hand-over of batch models as reports show it: marks at the top of the curves, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

COLUMNS: Final = ("online model", "step", "before event", "batch model", "version")
SIGNS: Final = {"adopted": "▼", "promoted": "★", "rolled_back": "↩", "refused": "✕"}
# The same as markers of matplotlib, whose fonts need not have the signs.
MARKERS: Final = {"adopted": "v", "promoted": "*", "rolled_back": "<", "refused": "x"}
_ROWS: Final = 50


class StepMark(NamedTuple):
    """Before event `at`, online model `model` made this step with a version of batch model `name`."""

    at: int
    model: str
    step: str
    name: str
    version: int

    @property
    def said(self) -> str:
        """The step in words."""
        step = self.step.replace("_", " ")
        return f"{self.model}: {self.name} {self.version} {step} before event {self.at:,}"


def step_marks_of(result: Mapping[str, Any]) -> list[StepMark]:
    """Return the marks of a result; none for several lanes, whose events have no common order."""
    if len(result["lanes"]) > 1:
        return []
    return [
        StepMark(one["at"], one["model"], one["step"], one["name"], one["version"])
        for one in result.get("hand_over", [])
    ]


def step_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of `COLUMNS`, the newest steps, in order."""
    return [
        (one["model"], one["step"].replace("_", " "), f"{one['at']:,}", one["name"], str(one["version"]))
        for one in result.get("hand_over", [])[-_ROWS:]
    ]


def step_caption(result: Mapping[str, Any]) -> str:
    """Say how many steps of each kind there were."""
    steps = [one["step"] for one in result.get("hand_over", [])]
    counts = ", ".join(
        f"{step.replace('_', ' ')} {steps.count(step):,}" for step in SIGNS if step in set(steps)
    )
    return f"what became of versions of batch models, and from which event on; in all: {counts}"


def step_key(result: Mapping[str, Any]) -> str:
    """The legend of the marks that there are; "" without any."""
    there = {mark.step for mark in step_marks_of(result)}
    return ", ".join(f"{SIGNS[step]} {step.replace('_', ' ')}" for step in SIGNS if step in there)
