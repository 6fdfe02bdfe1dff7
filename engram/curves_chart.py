"""The chart of a run: windowed and cumulative Recall@10 and NDCG@10 over events, with popularity as the floor."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from engram.drift_marks import Mark, marks_of
from engram.figures_table import by_recall, title
from engram.hand_over_marks import MARKERS, StepMark, step_marks_of

FLOOR: Final = "popularity"
PANELS: Final = (("recall@10", "Recall@10"), ("ndcg@10", "NDCG@10"))
# Okabe & Ito's colours, told apart by people with any colour vision; the floor is grey.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FLOOR_COLOUR: Final = "#8A8A8A"
LABEL_GAP: Final = 0.045  # of the axis' height


def draw_curves(result: Mapping[str, Any], curves: Mapping[str, Any]) -> bytes:
    """Return a PNG. result and curves: as in `engram.report.write_report`; a run of no events gives empty axes."""
    figure = Figure(figsize=(13, 5.6), dpi=120)
    FigureCanvasAgg(figure)
    window = choose_window(curves)
    # Models that only predict ratings have no curve.
    names = [name for name in by_recall(result["models"]) if name in curves["models"]]
    colours = dict(zip([n for n in names if n != FLOOR], _cycle(len(names)), strict=False))
    colours[FLOOR] = FLOOR_COLOUR
    panels = figure.subplots(1, 2)
    for axes, (measure, label) in zip(panels, PANELS, strict=True):
        _draw_panel(axes, measure, curves, window, names, colours)
        _draw_marks(axes, marks_of(result), colours)
        _draw_steps(axes, step_marks_of(result), colours)
        axes.set_title(label, loc="left", fontsize=12, fontweight="bold")
    figure.suptitle(title(result), x=0.045, y=0.975, ha="left", fontsize=15, fontweight="bold")
    figure.text(
        0.045,
        0.905,
        textwrap.fill(result["data_source"], 150),
        ha="left",
        va="center",
        fontsize=10,
        color="#444444",
    )
    key = "thick: mean of the last {}; thin, dashed: mean of all events so far; dotted line: last 70 % begin"
    if marks_of(result):
        key += "; triangle: drift, up or down"
    if step_marks_of(result):
        key += "\nat the top: versions of batch models, v adopted, * promoted, < rolled back, x refused"
    figure.text(
        0.045,
        0.02,
        key.format("events" if window is None else f"{int(window.split('_')[1]):,} events"),
        fontsize=9,
        color="#444444",
    )
    figure.subplots_adjust(left=0.055, right=0.885, top=0.81, bottom=0.155, wspace=0.42)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def choose_window(curves: Mapping[str, Any]) -> str | None:
    """Return the widest window span of at most a tenth of the events, else the narrowest; None without points."""
    if not curves["events"] or not curves["models"]:
        return None
    spans: Mapping[str, Any] = next(iter(curves["models"].values()), {})
    # Windows of event time have a unit: window_7d.
    sizes = sorted(int(size) for span in spans if (size := span.removeprefix("window_")).isdecimal())
    fitting = [size for size in sizes if size <= curves["events"][-1] / 10]
    return f"window_{fitting[-1] if fitting else sizes[0]}"


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move label heights apart to at least `gap`, keeping their order and staying close to where they were."""
    order = np.argsort(heights, kind="stable")
    placed = np.array(heights, np.float64)[order]
    for _ in range(50):
        for i in range(1, len(placed)):
            short = gap - (placed[i] - placed[i - 1])
            if short > 0:
                placed[i - 1] -= short / 2
                placed[i] += short / 2
    result = np.empty(len(placed))
    result[order] = placed
    return [float(height) for height in result]


def _draw_panel(
    axes: Axes,
    measure: str,
    curves: Mapping[str, Any],
    window: str | None,
    names: Sequence[str],
    colours: Mapping[str, str],
) -> None:
    events = np.array(curves["events"], np.float64)
    ends: list[tuple[str, float]] = []
    top = 0.0
    if window is not None:
        size = int(window.split("_")[1])
        # Before the window is full it is a mean of few events: noise that would set the scale.
        full = events >= min(size, events[-1])
        for name in names:
            spans = curves["models"][name]
            windowed, cumulative = (
                np.array(spans[span][measure], np.float64)[full] for span in (window, "all")
            )
            _draw_model(axes, events[full], windowed, cumulative, name, colours[name])
            if np.isfinite(windowed[-1]):
                ends.append((name, float(windowed[-1])))
            top = max(top, _largest(windowed), _largest(cumulative))
        axes.set_xlim(0, events[-1])
    axes.set_ylim(0, top * 1.08 or 1.0)
    _label_ends(axes, ends, colours)
    if curves["last_70_from"] is not None:
        axes.axvline(curves["last_70_from"], color="#BBBBBB", linestyle=":", linewidth=1.2, zorder=1)
    axes.set_xlabel("events")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_model(
    axes: Axes,
    events: NDArray[np.float64],
    windowed: NDArray[np.float64],
    cumulative: NDArray[np.float64],
    name: str,
    colour: str,
) -> None:
    if name == FLOOR:
        axes.fill_between(events, 0, windowed, color=colour, alpha=0.18, linewidth=0, zorder=1)
    axes.plot(events, windowed, color=colour, linewidth=1.9, zorder=3)
    axes.plot(events, cumulative, color=colour, linewidth=1.0, linestyle="--", alpha=0.85, zorder=2)


def _draw_marks(axes: Axes, marks: Sequence[Mark], colours: Mapping[str, str]) -> None:
    """A triangle at the foot of the axes for each drift, and a faint line above it."""
    for mark in marks:
        # A model that only predicts ratings has no curve, and so no colour.
        colour = colours.get(mark.model, FLOOR_COLOUR)
        axes.axvline(mark.at, color=colour, linewidth=0.8, alpha=0.45, zorder=1)
        axes.plot(
            [mark.at],
            [0.025],
            marker="^" if mark.up else "v",
            color=colour,
            markersize=6,
            transform=axes.get_xaxis_transform(),
            zorder=4,
        )


def _label_ends(axes: Axes, ends: Sequence[tuple[str, float]], colours: Mapping[str, str]) -> None:
    height = axes.get_ylim()[1]
    places = spread([value / height for _, value in ends], LABEL_GAP)
    for (name, value), place in zip(ends, places, strict=True):
        label = name.replace("_", " ") + (" (floor)" if name == FLOOR else "")
        axes.annotate(
            textwrap.fill(label, 22),
            xy=(1.0, value / height),
            xycoords="axes fraction",
            xytext=(1.025, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9.5,
            color=colours[name] if name != FLOOR else "#555555",
            arrowprops={
                "arrowstyle": "-",
                "color": colours[name],
                "linewidth": 0.7,
                "shrinkA": 1,
                "shrinkB": 1,
            },
            annotation_clip=False,
        )


def _largest(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else 0.0


def _cycle(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _draw_steps(axes: Axes, steps: Sequence[StepMark], colours: Mapping[str, str]) -> None:
    """A mark at the top of the axes for each step of the hand-over of batch models, and a faint line below it."""
    for step in steps:
        colour = colours.get(step.model, FLOOR_COLOUR)
        axes.axvline(step.at, color=colour, linewidth=0.6, linestyle="--", alpha=0.5, zorder=1)
        axes.plot(
            [step.at],
            [0.965],
            MARKERS[step.step],
            transform=axes.get_xaxis_transform(),
            color=colour,
            clip_on=False,
        )
