"""Boards drawn from a real Prometheus's answers, as near to Grafana as can be without Grafana: for docs, and to look at.

Layout, titles, units, legends, thresholds and floors are those of the boards; colours and fonts are not Grafana's.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dashboards.boards import BOARDS
from dashboards.grafana_json import COLUMNS, placed
from dashboards.panels import Board, Panel, Query
from dashboards.prometheus_process import Prometheus
from dashboards.promql import filled

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8F6B00")
_NAMED: Final = {"red": "#C4162A", "green": "#37872D", "yellow": "#B38600"}
_FLOOR: Final = "#8A8A8A"
_UNIT_INCHES: Final = 0.42  # height of a grid unit
_WIDTH_INCHES: Final = 16.0
_POINTS: Final = 200
_CHARACTERS_A_COLUMN: Final = 9  # of a legend, in a column of the grid


def draw_boards(
    prometheus: Prometheus, folder: Path, start_s: float, end_s: float, variables: Mapping[str, str]
) -> None:
    """Write FOLDER/<uid>.png for every board. start_s, end_s: what is shown, seconds since 1970."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        draw_board(board, prometheus, start_s, end_s, variables).savefig(folder / f"{board.uid}.png")


def draw_board(
    board: Board, prometheus: Prometheus, start_s: float, end_s: float, variables: Mapping[str, str]
) -> Figure:
    """Draw one board."""
    heights = [1 + max(y + panel.height for panel, _, y in placed(row)) for row in board.rows]
    total = sum(heights) + 2
    figure = Figure(figsize=(_WIDTH_INCHES, total * _UNIT_INCHES), dpi=90, facecolor="#F4F5F5")
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.8 / total, board.title, fontsize=17, fontweight="bold", va="center")
    figure.text(0.012, 1 - 1.6 / total, board.question, fontsize=10, color="#555555", va="center")
    top = 2.0
    step_s = max(1.0, (end_s - start_s) / _POINTS)
    for row, height in zip(board.rows, heights, strict=True):
        figure.text(0.012, 1 - (top + 0.6) / total, row.title, fontsize=11, color="#333333", va="center")
        for panel, x, y in placed(row):
            left, bottom = x / COLUMNS, 1 - (top + 1 + y + panel.height) / total
            wide, high = panel.width / COLUMNS, panel.height / total
            figure.patches.append(_card(figure, left, bottom, wide, high, total))
            figure.text(
                left + 0.012,
                bottom + high - 0.75 / total,
                panel.title,
                fontsize=10.5,
                fontweight="bold",
                va="center",
            )
            beneath = 2.0 if panel.kind == "timeseries" else 0.5  # room for the legend
            axes = figure.add_axes(
                (left + 0.045, bottom + beneath / total, wide - 0.065, high - (beneath + 1.4) / total)
            )
            if panel.kind == "timeseries":
                _draw_lines(axes, panel, _ranges(panel, prometheus, start_s, end_s, step_s, variables), end_s)
            else:
                _draw_values(axes, panel, _instants(panel, prometheus, end_s, variables))
        top += height
    return figure


def _card(figure: Figure, left: float, bottom: float, wide: float, high: float, total: float) -> Any:
    from matplotlib.patches import Rectangle

    gap = 0.0025
    return Rectangle(
        (left + gap, bottom + 0.08 / total),
        wide - 2 * gap,
        high - 0.16 / total,
        transform=figure.transFigure,
        facecolor="white",
        edgecolor="#D8D9DA",
        linewidth=0.8,
        zorder=-1,
    )


def _legend(query: Query, metric: Mapping[str, str]) -> str:
    return re.sub(r"\{\{([a-z_]+)\}\}", lambda match: metric.get(match.group(1), ""), query.legend)


def _ranges(
    panel: Panel,
    prometheus: Prometheus,
    start_s: float,
    end_s: float,
    step_s: float,
    variables: Mapping[str, str],
) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Return [(legend, float64[2, n] of seconds and values)]."""
    return [
        (_legend(query, series["metric"]), np.array(series["values"], np.float64).T)
        for query in panel.queries
        for series in prometheus.range(filled(query.expr, variables), start_s, end_s, step_s)
    ]


def _instants(
    panel: Panel, prometheus: Prometheus, at_s: float, variables: Mapping[str, str]
) -> list[tuple[str, float]]:
    return [
        (_legend(query, series["metric"]), float(series["value"][1]))
        for query in panel.queries
        for series in prometheus.instant(filled(query.expr, variables), at_s)
    ]


def _draw_lines(
    axes: Axes, panel: Panel, lines: list[tuple[str, np.ndarray[Any, Any]]], end_s: float
) -> None:
    colours = iter(_COLOURS * (1 + len(lines) // len(_COLOURS)))
    beneath: dict[float, float] = {}  # {second: what is stacked so far}; series may begin and end anywhere
    # The highest first, as Grafana's legend is sorted.
    for legend, (when_s, values) in sorted(lines, key=lambda line: -line[1][1][-1]):
        ago_s = when_s - end_s
        is_floor = panel.floor and re.fullmatch("popularity|decayed_popularity", legend) is not None
        colour = _FLOOR if is_floor else next(colours)
        label = f"{legend}  {as_text(values[-1], panel)}"
        if panel.stacked:
            base = np.array([beneath.get(when, 0.0) for when in when_s])
            axes.fill_between(ago_s, base, base + values, color=colour, alpha=0.35, linewidth=0)
            axes.plot(ago_s, base + values, color=colour, linewidth=1.2, label=label)
            beneath |= zip(when_s, np.nan_to_num(base + values), strict=True)
        else:
            axes.plot(
                ago_s, values, color=colour, linewidth=1.6, linestyle="--" if is_floor else "-", label=label
            )
    if not lines:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", va="center", color="#888888")
    if panel.least is not None:
        axes.set_ylim(bottom=panel.least)
    if panel.greatest is not None:
        axes.set_ylim(top=panel.greatest)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: as_text(value, panel)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axes.tick_params(labelsize=8, colors="#555555", length=0)
    axes.grid(color="#EEEEEE", linewidth=0.8)
    for side in axes.spines.values():
        side.set_visible(False)
    if lines:
        longest = max(len(str(text.get_label())) for text in axes.get_lines())
        axes.legend(
            fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(0.0, -0.11), borderaxespad=0,
            ncols=max(1, panel.width * _CHARACTERS_A_COLUMN // (longest + 6)), columnspacing=1.2, handlelength=1.4,
        )  # fmt: skip


def _draw_values(axes: Axes, panel: Panel, values: list[tuple[str, float]]) -> None:
    axes.set_axis_off()
    if not values:
        axes.text(0.5, 0.5, "No data", ha="center", va="center", color="#888888")
    elif panel.kind == "stat":
        _, value = values[0]
        axes.text(
            0.5, 0.5, as_text(value, panel), ha="center", va="center", fontsize=24, fontweight="bold",
            color=_colour_of(value, panel),
        )  # fmt: skip
    else:
        most = max((value for _, value in values), default=1.0) or 1.0
        axes.set_xlim(0, most * 1.15)
        axes.set_ylim(len(values) - 0.4, -0.6)
        for place, (legend, value) in enumerate(values):
            axes.barh(place, value, height=0.62, color=_COLOURS[0], alpha=0.8)
            axes.text(0, place - 0.42, textwrap.shorten(legend, 40), fontsize=8, va="center", color="#333333")
            axes.text(value, place, f" {as_text(value, panel)}", fontsize=9, va="center")


def _colour_of(value: float, panel: Panel) -> str:
    """The colour of the last step that a value has reached."""
    colour = "green"
    for step, name in panel.steps.items():
        if step is None or value >= step:
            colour = name
    return _NAMED[colour] if panel.steps else "#1F60C4"


def as_text(value: float, panel: Panel) -> str:
    """A value in the panel's unit, as Grafana writes it."""
    if math.isnan(value):
        return "NaN"
    decimals = panel.decimals
    if panel.unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f} %"
    if panel.unit == "bytes":
        for name, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if abs(value) >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.0f} B"
    if panel.unit == "s":
        if 0 < abs(value) < 1e-3:
            return f"{1e6 * value:.1f} µs"
        return (
            f"{1e3 * value:.1f} ms"
            if 0 < abs(value) < 1
            else f"{value:.{1 if decimals is None else decimals}f} s"
        )
    if panel.unit == "dateTimeAsIso":
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{text}/s" if panel.unit == "ops" else text
