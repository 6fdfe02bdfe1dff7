"""Pictures of a network of synapses: the last step with names, and small ones of all steps."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from engram.graph_network import Network, Step, radius
from online_models.synapse_view import SynapseView

GREY: Final = "#444444"
# Okabe & Ito's colours, told apart by people with any colour vision; communities beyond them are grey.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1")
OTHER: Final = "#9A9A9A"
DRAWN: Final = 3  # synapses of each neuron in a still picture: more is a hairball
_LABELS: Final = 60
_SHOWN: Final = 6
_WIDEST: Final = 3.2  # points
_IN_THE_WAY: Final = (
    10,
    7,
)  # pixels: names of the first few neurons, and of the others, may cover smaller circles
_FIRST: Final = 25


def colour(community: int) -> str:
    """The colour of a community, the same in all pictures."""
    return COLOURS[community] if community < len(COLOURS) else OTHER


def draw_network(path: Path, network: Network, title: str) -> Path:
    """Write the last step as a PNG: colour = community, size = activity, width = weight."""
    figure = Figure(figsize=(13, 9.6), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.03, 0.70, 0.88))
    last = network.last
    greatest = float(last.synapses.activity.max(initial=0.0))
    _draw_step(axes, network, last, greatest, _heaviest(last))
    _label(figure, axes, network)
    figure.text(0.02, 0.955, title, fontsize=16, fontweight="bold")
    figure.text(0.02, 0.928, _under(network, last), fontsize=10.5, color=GREY)
    _legend(figure, network)
    return save_small(path, figure)


def draw_steps(path: Path, network: Network, title: str) -> Path:
    """Write up to six of the steps as one PNG: places and colours of the last step, sizes and widths of each."""
    steps = network.steps
    shown = [steps[at] for at in np.unique(np.linspace(0, len(steps) - 1, _SHOWN).round().astype(int))]
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.85 * lines + 0.8), dpi=100)
    FigureCanvasAgg(figure)
    greatest = max(float(step.synapses.activity.max(initial=0.0)) for step in steps)
    # Weights of all steps on one scale: the growth is what is to be seen.
    heaviest = max(_heaviest(step) for step in steps)
    for at, step in enumerate(shown):
        axes = figure.add_subplot(lines, columns, at + 1)
        _draw_step(axes, network, step, greatest, heaviest)
        axes.set_title(
            f"{step.events:,} events\ndensity {step.figures.density:.1%}, modularity {step.modularity:.2f}",
            fontsize=10.5,
            color=GREY,
            loc="left",
        )
    figure.suptitle(title, x=0.012, y=0.985, ha="left", fontsize=15, fontweight="bold")
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=0.01, top=0.90 - 0.03 * (lines == 1), hspace=0.14, wspace=0.03
    )
    return save_small(path, figure)


def save_small(path: Path, figure: Figure) -> Path:
    """Write a figure as a PNG of a few colours, a quarter of its size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)
    return path


def _under(network: Network, step: Step) -> str:
    what = f"{step.events:,} events; the {int((step.synapses.activity > 0).sum())} most active {network.neurons}s"
    return (
        f"{what}, the {min(DRAWN, network.bounds.top)} strongest synapses of each; colour: community, size: activity, "
        "width: weight"
    )


def _heaviest(step: Step) -> float:
    """The weight that is drawn at full width; a few heavier ones must not thin out the others."""
    weight = step.synapses.strongest(DRAWN).weight
    return float(np.quantile(weight, 0.99)) if len(weight) else 1.0


def _draw_step(axes: Axes, network: Network, step: Step, greatest: float, heaviest: float) -> None:
    axes.set_xlim(-1.09, 1.09)
    axes.set_ylim(-1.09, 1.09)
    axes.set_aspect("equal")
    axes.axis("off")
    synapses = step.synapses.strongest(DRAWN)
    order = np.argsort(synapses.weight, kind="stable")
    _draw_synapses(axes, network, synapses, order, heaviest)
    size = 2 * radius(step.synapses.activity, greatest)
    there = np.flatnonzero(size)
    axes.add_collection(
        EllipseCollection(
            size[there],
            size[there],
            np.zeros(len(there)),
            units="xy",
            offsets=network.place[there],
            offset_transform=axes.transData,
            facecolors=[colour(one) for one in network.community[there].tolist()],
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
        )
    )


def _draw_synapses(
    axes: Axes, network: Network, synapses: SynapseView, order: NDArray[np.intp], heaviest: float
) -> None:
    pre, post = synapses.pre[order], synapses.post[order]
    share = np.minimum(synapses.weight[order] / heaviest, 1.0)
    same = network.community[pre] == network.community[post]
    colours: list[Any] = [
        to_rgba(colour(community) if inside else OTHER, 0.16 + 0.5 * one if inside else 0.08 + 0.25 * one)
        for community, inside, one in zip(network.community[pre].tolist(), same, share.tolist(), strict=True)
    ]
    lines = np.stack([network.place[pre], network.place[post]], axis=1)
    axes.add_collection(
        LineCollection(
            list(lines), colors=colours, linewidths=0.25 + _WIDEST * share, zorder=2, capstyle="round"
        )
    )


def _label(figure: Figure, axes: Axes, network: Network) -> None:
    """Name the most active neurons, as far as names do not cover each other or larger circles."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    figure.draw(renderer)
    to_pixels = axes.transData
    centres = to_pixels.transform(network.place)
    scale = float(to_pixels.transform((1.0, 0.0))[0] - to_pixels.transform((0.0, 0.0))[0])
    radii = network.radius * scale
    frame = axes.get_window_extent(renderer)
    circles = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(centres, radii, strict=True)]
    taken: list[tuple[float, ...]] = []
    named = 0
    for tried, row in enumerate(np.argsort(-network.last.synapses.activity, kind="stable").tolist()):
        if named == _LABELS or radii[row] <= 0:
            break
        least = _IN_THE_WAY[tried >= _FIRST]
        in_the_way = [*taken, *(one for one, r in zip(circles, radii, strict=True) if r > least)]
        words = textwrap.shorten(network.names[row].title, 34, placeholder=" …")
        text = axes.text(0, 0, words, fontsize=7.6, zorder=5, color="#222222", va="center", transform=None)
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
        box = text.get_window_extent(renderer)
        (x, y), r = centres[row], radii[row] + 2
        own = (centres[row][0] - radii[row], centres[row][1] - radii[row])
        for left, middle in (
            (x + r, y),
            (x - r - box.width, y),
            (x - box.width / 2, y + r + box.height / 2),
            (x - box.width / 2, y - r - box.height / 2),
        ):
            place = (left, middle - box.height / 2, left + box.width, middle + box.height / 2)
            inside = (
                frame.x0 <= place[0]
                and place[2] <= frame.x1
                and frame.y0 <= place[1]
                and place[3] <= frame.y1
            )
            if inside and not any(_cover(place, other) for other in in_the_way if other[:2] != own):
                text.set_position((left, middle))
                taken.append(place)
                named += 1
                break
        else:
            text.remove()


def _cover(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(figure: Figure, network: Network) -> None:
    """Say what each community holds, beside the picture."""
    y = 0.89
    connected = [one for one in network.described() if one["size"] > 1]
    for one in connected[: len(COLOURS)]:
        mark = Line2D([0.722], [y], marker="o", color=colour(one["community"]), markersize=9, linestyle="")
        figure.add_artist(mark)
        head = f"{one['size']} {network.neurons}s, {one['inside']:.0%} of their weight inside"
        figure.text(0.735, y, head, fontsize=9.5, fontweight="bold", va="center", color="#222222")
        lines = [", ".join(one["genres"])] if one["genres"] else []
        lines += [textwrap.shorten(title, 46, placeholder=" …") for title in one["titles"]]
        for line in lines:
            y -= 0.0185
            figure.text(0.735, y, line, fontsize=8.6, va="center", color=GREY)
        y -= 0.031
    rest = len(connected) - len(COLOURS)
    if rest > 0:
        figure.text(
            0.735, y, f"and {rest} smaller communities, in grey", fontsize=8.6, color=GREY, va="center"
        )
