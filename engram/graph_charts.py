"""Charts of a network of synapses: distributions, figures over time, and one neuron's profile."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from engram.curves_chart import spread
from engram.graph_names import Name
from engram.graph_network import Network
from engram.graph_pictures import COLOURS, GREY, save_small
from engram.graph_profile import Bond, Profile, when
from online_models.synapse_figures import Histogram, log_histogram

_BLUE, _ORANGE, _GREEN = COLOURS[:3]
_MOST_BARS: Final = 20


def draw_distributions(path: Path, network: Network, title: str) -> Path:
    """Write the distributions of weights and degrees of all active synapses, log-log, as a PNG."""
    of = network.last.figures
    figure, panels = _figure(1, 2, (11, 4.6), title)
    under = (
        f"{of.synapses:,} active synapses (> {network.bounds.threshold:g}) of {of.neurons:,} {network.neurons}s; "
        f"density {of.density:.1%}, reciprocity {of.reciprocity:.1%}, asymmetry {of.asymmetry:.2f}"
    )
    figure.text(0.012, 0.865, under, fontsize=10.5, color=GREY)
    _points(panels[0], of.weights, _BLUE, "synapses")
    panels[0].set_xlabel("weight")
    panels[0].set_ylabel("synapses per unit of weight")
    for degree, colour, name in ((of.out_degree, _BLUE, "out"), (of.in_degree, _ORANGE, "in")):
        _points(panels[1], log_histogram(degree), colour, name)
    panels[1].set_xlabel("degree: active synapses of a neuron")
    panels[1].set_ylabel("neurons per unit of degree")
    if of.synapses:
        panels[1].legend(frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.86))
    return save_small(path, figure)


def _points(axes: Axes, of: Histogram, colour: str, label: str) -> None:
    """A density on logarithmic axes: counts of bins by their width, empty bins left out."""
    if len(of.counts):
        filled = of.counts > 0
        middle = np.sqrt(of.edges[:-1] * of.edges[1:])
        height = of.counts / np.diff(of.edges)
        axes.loglog(
            middle[filled], height[filled], "o-", color=colour, markersize=4, linewidth=1.4, label=label
        )


def draw_growth(path: Path, network: Network, title: str) -> Path:
    """Write density, modularity, and synapses and neurons over the steps as a PNG."""
    figure, panels = _figure(1, 3, (13, 4.4), title)
    events = [step.events for step in network.steps]
    of = [step.figures for step in network.steps]
    panels[0].plot(events, [one.density for one in of], "o-", color=_BLUE, markersize=4)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    _name(panels[0], "Activation density", "share of possible synapses that are active")
    panels[1].plot(events, [step.modularity for step in network.steps], "o-", color=_BLUE, markersize=4)
    unbounded = [step.modularity_unbounded for step in network.steps]
    panels[1].plot(events, unbounded, "o--", color=_ORANGE, markersize=3, linewidth=1)
    _end(
        panels[1],
        events,
        [step.modularity for step in network.steps],
        f"{network.bounds.top} strongest",
        _BLUE,
    )
    _end(panels[1], events, unbounded, "all synapses", _ORANGE)
    _name(panels[1], "Modularity", f"Louvain's communities of the {len(network.ids)} drawn")
    panels[2].plot(events, [one.synapses for one in of], "o-", color=_BLUE, markersize=4)
    panels[2].yaxis.set_major_formatter(FuncFormatter(_thousands))
    _name(panels[2], "Active synapses", f"of all {of[-1].neurons:,} {network.neurons}s at the end")
    for axes in panels:
        axes.set_xlim(0, events[-1] * 1.02)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]), top=axes.get_ylim()[1] * 1.08)
        axes.set_xlabel("events")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    figure.tight_layout(rect=(0, 0, 1, 0.91))
    return save_small(path, figure)


def _end(axes: Axes, events: Sequence[int], values: Sequence[float], label: str, colour: str) -> None:
    axes.annotate(
        label,
        (events[-1], values[-1]),
        xytext=(-4, 6),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=colour,
    )


def draw_profile(path: Path, of: Profile, names: Mapping[str, Name], title: str) -> Path:
    """Write a neuron's strongest synapses, out of it and into it, as bars with weight and last activity."""
    sides: list[tuple[str, list[Bond], int, str]] = [
        ("out: what it predicts", [one for one in of.bonds if one.direction == "out"], of.out, _BLUE),
        ("in: what predicts it", [one for one in of.bonds if one.direction == "in"], of.into, _ORANGE),
    ]
    longest = min(_MOST_BARS, max((len(bonds) for _, bonds, _, _ in sides), default=1))
    figure, panels = _figure(1, 2, (14, 1.9 + 0.31 * max(longest, 2)), title)
    top = 1 - 0.62 / figure.get_figheight()
    under = f"activity {of.activity:,.1f}, last {when(of.last_ms)[:10] or 'never'}; beside each bar: the weight, and the other's last event"
    figure.text(0.012, top, under, fontsize=10.5, color=GREY)
    widest = max((bond.weight for bond in of.bonds), default=1.0)
    for axes, (name, bonds, active, colour) in zip(panels, sides, strict=True):
        shown = bonds[:_MOST_BARS]
        places = np.arange(len(shown))[::-1]
        axes.barh(places, [bond.weight for bond in shown], color=colour, height=0.62)
        for place, bond in zip(places.tolist(), shown, strict=True):
            axes.annotate(
                f"{bond.weight:,.2f}  {when(bond.last_ms)[:10]}",
                (bond.weight, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=GREY,
            )
        titles = [textwrap.shorten(names[bond.id].title, 40, placeholder=" …") for bond in shown]
        axes.set_yticks(places, titles, fontsize=9)
        axes.set_xlim(0, widest * 1.32)
        axes.set_ylim(-0.8, max(longest, 1) - 0.2)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
        _name(axes, name, f"{len(shown)} of {active:,} active synapses")
        axes.set_xlabel("weight")
    figure.tight_layout(rect=(0, 0, 1, top - 0.01))
    return save_small(path, figure)


def draw_profile_growth(
    path: Path,
    events: Sequence[int],
    weights: Sequence[NDArray[np.float64]],
    titles: Sequence[str],
    title: str,
) -> Path:
    """Write how the weights out of one neuron grew as a PNG; weights: float64[len(titles)] of each step."""
    figure, [axes] = _figure(1, 1, (11, 5.4), title)
    figure.text(
        0.015,
        0.895,
        "weights out of it, of those that are the strongest at the end",
        fontsize=10.5,
        color=GREY,
    )
    series = np.array(weights).reshape(len(events), len(titles))
    for at in range(len(titles)):
        colour = COLOURS[at % len(COLOURS)]
        axes.plot(events, series[:, at], "o-", color=colour, markersize=3.5, linewidth=1.6)
    height = float(series.max(initial=0.0)) * 1.06 or 1.0
    axes.set_ylim(0, height)
    for at, place in enumerate(spread([value / height for value in series[-1]], 0.05) if len(titles) else []):
        axes.annotate(
            textwrap.shorten(titles[at], 40, placeholder=" …"),
            xy=(1.0, series[-1, at] / height),
            xycoords="axes fraction",
            xytext=(1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=COLOURS[at % len(COLOURS)],
            arrowprops={"arrowstyle": "-", "color": COLOURS[at % len(COLOURS)], "linewidth": 0.7},
            annotation_clip=False,
        )
    axes.set_xlim(0, events[-1])
    axes.set_xlabel("events")
    axes.set_ylabel("weight")
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    figure.subplots_adjust(left=0.07, right=0.70, top=0.86, bottom=0.11)
    return save_small(path, figure)


def _figure(rows: int, columns: int, size: tuple[float, float], title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, dpi=110)
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(rows, columns, at + 1) for at in range(rows * columns)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    figure.text(0.012, 1 - 0.3 / size[1], title, fontsize=14, fontweight="bold", va="center")
    return figure, panels


def _name(axes: Axes, title: str, under: str) -> None:
    axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", pad=20)
    axes.annotate(
        under,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )


def _thousands(value: float, _: object = None) -> str:
    return f"{value:,.0f}"
