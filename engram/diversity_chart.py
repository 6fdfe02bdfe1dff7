"""The chart of `engram evaluate diversity`: what recall is left at which diversity, one curve a model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from engram.curves_chart import COLOURS, FLOOR, FLOOR_COLOUR

PANELS: Final = (
    ("diversity@10", "intra-list diversity@10 (mean Jaccard distance of genres)"),
    ("genres@10", "genres@10 (distinct genres of a list)"),
)
GREY: Final = "#444444"


def draw_diversity(result: Mapping[str, Any], title: str) -> bytes:
    """Return a PNG. result: of `engram.diversity.cost_of_diversity`."""
    figure = Figure(figsize=(13, 5.6), dpi=120)
    FigureCanvasAgg(figure)
    colours = dict(zip([name for name in result["models"] if name != FLOOR], COLOURS, strict=False))
    for number, (axes, (measure, label)) in enumerate(
        zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True)
    ):
        for name, model in result["models"].items():
            _draw_model(axes, measure, model["orders"], name, colours.get(name, FLOOR_COLOUR))
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if number == 0:
            axes.set_ylabel("Recall@10")
    handles = [
        Line2D([], [], color=colours.get(name, FLOOR_COLOUR), marker="o", label=name.replace("_", " "))
        for name in result["models"]
    ]
    handles += [
        Line2D([], [], color=GREY, linestyle="", marker="s", fillstyle="none", label="genre coverage"),
        Line2D([], [], color=GREY, linestyle="", marker="^", fillstyle="none", label="pulled to the session"),
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.04, 0.93),
        ncols=len(handles),
        frameon=False,
        fontsize=9.5,
    )
    figure.suptitle(
        f"The cost of diversity: {title}", x=0.045, y=0.975, ha="left", fontsize=14, fontweight="bold"
    )
    figure.text(
        0.045,
        0.02,
        "numbers: diversity of maximal marginal relevance; lists of ten, made before the event was learned, last 70 % of "
        f"events, every {result['every']}th",
        fontsize=9,
        color=GREY,
    )
    figure.subplots_adjust(left=0.06, right=0.985, top=0.84, bottom=0.16, wspace=0.08)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def _draw_model(
    axes: Axes, measure: str, orders: Sequence[Mapping[str, Any]], name: str, colour: str
) -> None:
    points = [
        (order, order["last_70"][measure], order["last_70"]["recall@10"])
        for order in orders
        if order["last_70"][measure] is not None and order["last_70"]["recall@10"] is not None
    ]
    plain = [point for point in points if not point[0]["genre_coverage"] and not point[0]["session"]]
    axes.plot([x for _, x, _ in plain], [y for _, _, y in plain], color=colour, marker="o", markersize=4.5)
    for order, x, y in plain:
        axes.annotate(
            f"{order['diversity']:g}",
            (x, y),
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8.5,
            color=colour if name != FLOOR else "#555555",
        )
    for order, x, y in points:
        if order["genre_coverage"] or order["session"]:
            marker = "s" if order["genre_coverage"] else "^"
            axes.plot([x], [y], marker=marker, color=colour, markersize=7, fillstyle="none", linestyle="")
