"""Pictures of a data set: ratings, long tail, genres, ratings per user, activity over time, best rated."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from eventlog.metadata import ItemMetadata

if TYPE_CHECKING:
    import pandas as pd

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREY: Final = "#444444"
_PERIODS: Final = ((4, "h", "hour"), (120, "D", "day"), (730, "W-MON", "week"), (3_650, "MS", "month"))
_MOST_GENRES: Final = 25


def draw_pictures(
    folder: Path,
    frame: pd.DataFrame,
    items: Mapping[str, ItemMetadata],
    best: pd.DataFrame,
    *,
    title: str,
    min_count: int,
) -> list[Path]:
    """Write the pictures as PNG files to `folder` and return them; no picture of genres where none are known.

    frame: as `engram.data_cli.rating_frame` gives it, of at least one rating. best: columns item, mean, count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _save(folder / "ratings.png", _ratings(frame), title),
        _save(folder / "long-tail.png", _long_tail(frame), title),
        _save(folder / "ratings-per-user.png", _per_user(frame), title),
        _save(folder / "activity.png", _activity(frame), title),
    ]
    if any(item.genres for item in items.values()):
        written.append(_save(folder / "genres.png", _genres(frame, items), title))
    if len(best):
        written.append(_save(folder / "best-rated.png", _best(best, items, min_count), title))
    return written


def _figure(heading: str, height: float = 5.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(heading, loc="left", fontsize=11, color=GREY)
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _save(path: Path, figure: Figure, title: str) -> Path:
    figure.axes[0].annotate(
        title,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 25),
        textcoords="offset points",
        fontsize=14,
        fontweight="bold",
    )
    figure.savefig(path, format="png")
    return path


def _thousands(value: float, _: object = None) -> str:
    return f"{value:,.0f}"


def _count_axis(axes: Axes, side: str) -> None:
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(_thousands))
    axes.grid(axis="x" if side == "x" else "y", color="#E6E6E6", linewidth=0.8)


def _log_axis(axes: Axes, side: str) -> None:
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(10))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_thousands))
    axes.grid(axis="x" if side == "x" else "y", color="#E6E6E6", linewidth=0.8)


def _ratings(frame: pd.DataFrame) -> Figure:
    counts = frame["rating"].value_counts().sort_index()
    figure, axes = _figure(f"{len(frame):,} ratings; the mean is {frame['rating'].mean():.2f}")
    values = counts.index.to_numpy(np.float64)
    if len(values) > 30:
        axes.hist(frame["rating"], bins=30, color=BLUE)
    else:
        step = float(np.diff(values).min()) if len(values) > 1 else 1.0
        bars = axes.bar(values, counts.to_numpy(), width=0.8 * step, color=BLUE)
        axes.bar_label(
            bars, [f"{count / len(frame):.1%}" for count in counts], padding=3, fontsize=9, color=GREY
        )
        axes.xaxis.set_major_locator(FixedLocator(list(values)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("rating")
    axes.set_ylabel("ratings")
    _count_axis(axes, "y")
    return figure


def _long_tail(frame: pd.DataFrame) -> Figure:
    counts = np.sort(frame["item"].value_counts().to_numpy())[::-1]
    rank = np.arange(1, len(counts) + 1)
    fifth = max(1, len(counts) // 5)
    share = counts[:fifth].sum() / counts.sum()
    figure, axes = _figure(f"Long tail: a fifth of the {len(counts):,} items have {share:.0%} of the ratings")
    axes.loglog(rank, counts, color=BLUE, linewidth=2)
    axes.axvline(fifth, color=ORANGE, linestyle="--", linewidth=1.2)
    axes.annotate(
        "a fifth of the items",
        xy=(fifth, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
        color=ORANGE,
    )
    axes.set_xlabel("rank of the item, by its ratings")
    axes.set_ylabel("ratings of the item")
    axes.set_ylim(bottom=0.8)
    for side in ("x", "y"):
        _log_axis(axes, side)
    return figure


def _per_user(frame: pd.DataFrame) -> Figure:
    counts = frame["user"].value_counts().to_numpy()
    median = float(np.median(counts))
    figure, axes = _figure(f"Ratings per user: {len(counts):,} users, the median user has {median:,.0f}")
    axes.hist(counts, bins=_log_bins(counts), color=BLUE, edgecolor="white", linewidth=0.4)
    axes.set_xscale("log")
    axes.axvline(median, color=ORANGE, linestyle="--", linewidth=1.2)
    axes.annotate(
        "median",
        xy=(median, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=ORANGE,
    )
    axes.set_xlabel("ratings of the user (log scale)")
    axes.set_ylabel("users")
    _count_axis(axes, "y")
    axes.set_xlim(left=max(0.8, 0.9 * float(counts.min())))
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    return figure


def _log_bins(counts: NDArray[np.integer[Any]]) -> list[float]:
    """Edges of equal width in the logarithm, between whole numbers, so that no bin is empty by rounding."""
    edges = np.geomspace(max(1, counts.min()), counts.max() + 1, 41)
    return [float(edge) - 0.5 for edge in np.unique(np.floor(edges))]


def _activity(frame: pd.DataFrame) -> Figure:
    days = (frame["time"].max() - frame["time"].min()).total_seconds() / 86_400
    rule, word = next(((rule, word) for most, rule, word in _PERIODS if days <= most), ("QS", "quarter"))
    by_period = frame.set_index("time")["user"].resample(rule)
    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, series, what, colour in (
        (panels[0], by_period.count(), "ratings", BLUE),
        (panels[1], by_period.nunique(), "active users", ORANGE),
    ):
        moments, heights = series.index.to_numpy(), series.to_numpy()
        axes.fill_between(moments, heights, color=colour, alpha=0.25, linewidth=0, step="post")
        axes.step(moments, heights, where="post", color=colour, linewidth=1.3)
        axes.set_ylabel(f"{what} a {word}")
        axes.set_ylim(bottom=0)
        _plain(axes)
        _count_axis(axes, "y")
    panels[0].set_title(
        f"Activity: ratings and active users a {word} (UTC)", loc="left", fontsize=11, color=GREY
    )
    return figure


def _genres(frame: pd.DataFrame, items: Mapping[str, ItemMetadata]) -> Figure:
    by_item = frame.groupby("item", observed=True)["rating"].agg(["sum", "count"])
    sums: dict[str, list[float]] = {}
    for item, total, count in by_item.itertuples():
        for genre in items[item].genres if item in items else ():
            seen = sums.setdefault(genre, [0.0, 0.0])
            seen[0] += total
            seen[1] += count
    most = sorted(sums.items(), key=lambda pair: (pair[1][1], pair[0]))[-_MOST_GENRES:]
    heading = "Ratings of items of each genre (an item may have several), and their mean"
    figure, axes = _figure(heading, 1.6 + 0.27 * len(most))
    bars = axes.barh([genre for genre, _ in most], [count for _, (_, count) in most], color=BLUE)
    labels = [f"{total / count:.2f}" for _, (total, count) in most]
    axes.bar_label(bars, labels, padding=4, fontsize=9, color=GREY)
    axes.set_xlabel("ratings; at the end of each bar: their mean")
    axes.margins(x=0.08, y=0.01)
    _count_axis(axes, "x")
    return figure


def _best(best: pd.DataFrame, items: Mapping[str, ItemMetadata], min_count: int) -> Figure:
    rows: list[Any] = list(best[::-1].itertuples(index=False))
    titles = [
        textwrap.shorten(
            items[row.item].title if row.item in items else f"(item {row.item})", 48, placeholder=" …"
        )
        for row in rows
    ]
    figure, axes = _figure(f"Best rated, of items with {min_count:,} ratings or more", 1.7 + 0.3 * len(rows))
    means = np.array([row.mean for row in rows])
    places = np.arange(len(rows))
    least = float(means.min()) - max(0.05, 0.6 * float(np.ptp(means)))
    axes.hlines(places, least, means, color="#B7D3E6", linewidth=2)
    axes.scatter(means, places, color=BLUE, s=45, zorder=3)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f"{row.mean:.2f} ({row.count:,} ratings)",
            (row.mean, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=GREY,
        )
    axes.set_yticks(places, titles)
    axes.set_xlim(least, float(means.max()) + max(0.05, 0.75 * float(np.ptp(means))))
    axes.set_xlabel("mean rating (the axis does not begin at 0)")
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    return figure
