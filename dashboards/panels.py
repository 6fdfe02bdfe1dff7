"""What a dashboard is made of: boards of rows of panels of queries, as plain data.

`dashboards.grafana_json` turns it into Grafana's JSON, `dashboards.lint` judges it, `dashboards.observe` runs its
queries. Sizes are in Grafana's grid: 24 columns, rows of about 38 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["timeseries", "stat", "bargauge"]
AT = 'job=~"$job", instance=~"$instance"'


def at(metric: str, **labels: str) -> str:
    """Select a metric of the chosen jobs and instances; `label="value"`, or `label="~pattern"` to match."""
    matchers = [
        f'{name}=~"{value[1:]}"' if value.startswith("~") else f'{name}="{value}"'
        for name, value in labels.items()
    ]
    return f"{metric}{{{', '.join([AT, *matchers])}}}"


def per_second(metric: str, **labels: str) -> str:
    """A counter's rate, over a range that Grafana fits to the scrapes."""
    return f"rate({at(metric, **labels)}[$__rate_interval])"


def increase(metric: str, span: str = "$__rate_interval", **labels: str) -> str:
    """By how much a counter grew: between two points of a chart, or over the whole of what is shown (`$__range`)."""
    return f"increase({at(metric, **labels)}[{span}])"


@dataclass(frozen=True, kw_only=True)
class Query:
    """One PromQL expression. legend: Grafana's template, {{label}} for a label's value.

    may_be_empty: why a healthy deployment may have no data for it, or None: then no data is an error.
    """

    expr: str
    legend: str
    may_be_empty: str | None = None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture. question: what a reader looks for in it, and what to think of the answer; the panel's description.

    unit: Grafana's name of a unit. steps: {value: colour}, thresholds; the colour of None is that below all.
    least, greatest: of the axis, None for automatic. stacked: areas on top of each other.
    floor: whether series of the popularity models are drawn as the floor, grey and dashed.
    """

    title: str
    question: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 12
    height: int = 8
    decimals: int | None = None
    least: float | None = None
    greatest: float | None = None
    stacked: bool = False
    floor: bool = False
    steps: Mapping[float | None, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Panels under one heading, from left to right, broken at 24 columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A choice at the top of a board. metric, label: its values are the label's values of this metric.

    several: whether more than one can be chosen, and all are at first. first: the value chosen at first, else.
    """

    name: str
    label_shown: str
    metric: str
    label: str
    several: bool = True
    first: str | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard. uid: its address, and its file's name."""

    uid: str
    title: str
    question: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()

    def panels(self) -> Iterator[Panel]:
        """All panels, in reading order."""
        for row in self.rows:
            yield from row.panels


MODEL = Variable(name="model", label_shown="Model", metric="engram_prequential_recall_ratio", label="model")
SPAN = Variable(
    name="span",
    label_shown="Span",
    metric="engram_prequential_recall_ratio",
    label="span",
    several=False,
    first="window_10000",
)
