"""Figures and curves of one or several lanes: histograms are summed first, so that lanes add up exactly.

A span names the events that a figure is the mean of: `all`, `last_70`, `window_<events>` and `window_<duration>` (of
event time: `window_7d`), per lane and summed, and `fading_<factor>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from evaluation.prequential import PrequentialRanking
from evaluation.ranking import Histogram, ranking_figures
from evaluation.time_windows import duration_name

ALL: Final = "all"
LAST_70: Final = "last_70"
CURVE_MEASURES: Final = ("recall@10", "ndcg@10", "mrr@10")

Figures = dict[str, float]


def window_span(events: int) -> str:
    """Name the span of a sliding window."""
    return f"window_{events}"


def time_window_span(seconds: int) -> str:
    """Name the span of a sliding window of event time."""
    return f"window_{duration_name(seconds)}"


def fading_span(factor: float) -> str:
    """Name the span of a fading factor."""
    return f"fading_{factor!r}"


def figures_of(lanes: Sequence[PrequentialRanking]) -> dict[str, dict[str, Figures | None]]:
    """Return {model: {span: figures}}, None where nothing was ranked.

    lanes: one or more, of the same models and configuration. `last_70` is None where `last_70_from` is unknown, and
    for several lanes, whose events have no common order.
    """
    first = lanes[0]
    histograms: dict[str, Histogram | None] = {
        ALL: _sum([lane.cumulative for lane in lanes]),
        LAST_70: first.last_70 if len(lanes) == 1 else None,
    }
    windows = _sum([lane.windows for lane in lanes])
    for index, size in enumerate(first.config.windows):
        histograms[window_span(size)] = windows[:, index]
    timed = _sum([lane.time_windows for lane in lanes])
    for index, seconds in enumerate(first.config.time_windows_s):
        histograms[time_window_span(seconds)] = timed[:, index]
    faded = _sum([lane.faded for lane in lanes])
    for index, factor in enumerate(first.config.fading_factors):
        histograms[fading_span(factor)] = faded[:, index]
    return {
        model: {
            span: None if of_models is None else ranking_figures(of_models[row])
            for span, of_models in histograms.items()
        }
        for row, model in enumerate(first.models)
    }


def curves_of(lanes: Sequence[PrequentialRanking]) -> dict[str, Any]:
    """Return the curves of `CURVE_MEASURES` over events, JSON-able.

    {"events": [int], "last_70_from": int or None, "models": {model: {span: {measure: [float or None]}}}}, spans
    being `all` and the windows. Several lanes are summed at the points that all of them have passed; `events` is
    then the sum of theirs.
    """
    first = lanes[0]
    # Intervals are one base times powers of two: the points of the widest are points of every lane.
    interval = max(lane.curve_interval for lane in lanes)
    points = [[p for p in lane.curve if p.events % interval == 0] for lane in lanes]
    events: list[int] = []
    models: dict[str, Any] = {
        model: {
            span: {measure: [] for measure in CURVE_MEASURES}
            for span in (
                ALL,
                *map(window_span, first.config.windows),
                *map(time_window_span, first.config.time_windows_s),
            )
        }
        for model in first.models
    }
    for together in zip(*points, strict=False):
        events.append(sum(point.events for point in together))
        cumulative = _sum([point.cumulative for point in together])
        windows = _sum([point.windows for point in together])
        timed = _sum([point.time_windows for point in together])
        for row, model in enumerate(first.models):
            _append(models[model][ALL], cumulative[row])
            for index, size in enumerate(first.config.windows):
                _append(models[model][window_span(size)], windows[row, index])
            for index, seconds in enumerate(first.config.time_windows_s):
                _append(models[model][time_window_span(seconds)], timed[row, index])
    return {
        "events": events,
        "last_70_from": first.last_70_from if len(lanes) == 1 else None,
        "models": models,
    }


def _append(series: dict[str, list[float | None]], histogram: Histogram) -> None:
    figures = ranking_figures(histogram)
    for measure, values in series.items():
        values.append(None if figures is None else figures[measure])


def _sum(histograms: Sequence[Histogram]) -> Histogram:
    total: Histogram = np.sum(np.stack(histograms), axis=0)
    return total
