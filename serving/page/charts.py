"""Figures of the page, in Plotly: from the API's bodies to charts. They fit a light page and a dark one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import networkx
import plotly.graph_objects as go

from serving.bodies import UserOut
from serving.insight_bodies import GrowthOut, ItemProfileOut, NetworkOut, PrequentialOut
from serving.page.words import day, percent

# Okabe & Ito (2008): told apart by all eyes, on light and on dark.
PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#999933")
GREY: Final = "#8a8f98"
_EDGE: Final = "rgba(138,143,152,{alpha:.2f})"
_WIDTHS: Final = 4
_LONGEST: Final = 34


def model_colours(models: Sequence[str], floors: Sequence[str]) -> dict[str, str]:
    """A colour for each model; floors are grey."""
    own = [model for model in models if model not in floors]
    coloured = {model: PALETTE[at % len(PALETTE)] for at, model in enumerate(own)}
    return {model: coloured.get(model, GREY) for model in models}


def race(said: PrequentialOut, floors: Sequence[str]) -> Any:
    """Recall@10 over the events, the floors dashed and always there, drifts and hand-overs as marks."""
    figure = go.Figure()
    colours = model_colours(list(said.curve), floors)
    for model in sorted(said.curve, key=lambda name: name in floors):
        floor = model in floors
        dash = ("dash", "dot", "dashdot")[list(floors).index(model) % 3] if floor else "solid"
        figure.add_scatter(
            x=said.curve_events,
            y=said.curve[model],
            name=f"{model} (floor)" if floor else model,
            mode="lines",
            line={"color": colours[model], "width": 2 if floor else 2.5, "dash": dash},
            hovertemplate="%{y:.4f}<extra>" + model + "</extra>",
        )
    for drift in said.drifts:
        at, model = drift["at"], str(drift["model"])
        figure.add_vline(
            x=at, line={"color": colours.get(model, GREY), "width": 1, "dash": "dot"}, opacity=0.6
        )
    _marks(figure, said, colours)
    figure.update_xaxes(title="events", rangemode="tozero")
    figure.update_yaxes(title="Recall@10", rangemode="tozero")
    return _laid_out(figure, 420, legend=True)


def _marks(figure: Any, said: PrequentialOut, colours: Mapping[str, str]) -> None:
    """Drifts and hand-overs along the lower edge, each with what it was."""
    for name, symbol, ones in (("drift", "triangle-up", said.drifts), ("hand-over", "star", said.hand_overs)):
        if not ones:
            continue
        figure.add_scatter(
            x=[one["at"] for one in ones],
            y=[0.0] * len(ones),
            name=name,
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 10,
                "color": [colours.get(str(one["model"]), GREY) for one in ones],
            },
            text=["<br>".join(f"{key}: {value}" for key, value in one.items()) for one in ones],
            hovertemplate="%{text}<extra></extra>",
        )


def differences(said: PrequentialOut) -> Any:
    """Differences of models in Recall@10 with their intervals; an interval without 0 is a difference."""
    pairs = [
        pair for pair in (said.significance.pairs if said.significance else []) if pair.difference is not None
    ]
    figure = go.Figure()
    names = [f"{pair.model} over {pair.baseline}" for pair in pairs]
    sure = [pair.low is not None and pair.high is not None and pair.low * pair.high > 0 for pair in pairs]
    figure.add_scatter(
        x=[pair.difference for pair in pairs],
        y=names,
        mode="markers",
        marker={"size": 11, "color": [PALETTE[2] if one else GREY for one in sure]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(pair.high or 0.0) - (pair.difference or 0.0) for pair in pairs],
            "arrayminus": [(pair.difference or 0.0) - (pair.low or 0.0) for pair in pairs],
            "color": GREY,
        },
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure.update_xaxes(title="difference in Recall@10")
    return _laid_out(figure, 120 + 42 * len(pairs))


def network(said: NetworkOut) -> Any:
    """Neurons where their synapses pull them; communities in colour, width by weight, size by activity."""
    place = _places(said)
    figure = go.Figure()
    heaviest = max((one.weight for one in said.synapses), default=1.0)
    for level in range(1, _WIDTHS + 1):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for one in said.synapses:
            if max(1, round(_WIDTHS * (one.weight / heaviest) ** 0.5)) == level:
                (ax, ay), (bx, by) = place[one.pre], place[one.post]
                xs += [ax, bx, None]
                ys += [ay, by, None]
        if xs:
            line = {"width": 0.8 * level, "color": _EDGE.format(alpha=0.18 + 0.16 * level)}
            figure.add_scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    most = max((one.activity for one in said.neurons), default=1.0) or 1.0
    labelled = {one.item for one in sorted(said.neurons, key=lambda one: -one.activity)[:10]}
    figure.add_scatter(
        x=[place[one.item][0] for one in said.neurons],
        y=[place[one.item][1] for one in said.neurons],
        mode="markers+text",
        text=[short(one.title, 22) if one.item in labelled or one.centre else "" for one in said.neurons],
        textposition="top center",
        textfont={"size": 11},
        customdata=[one.item for one in said.neurons],
        hovertext=[
            f"{one.title}<br>{', '.join(one.genres)}<br>activity {one.activity:.1f}, {one.popularity:,} users"
            for one in said.neurons
        ],
        hoverinfo="text",
        marker={
            "size": [9 + 22 * (one.activity / most) ** 0.5 for one in said.neurons],
            "color": [PALETTE[one.community % len(PALETTE)] for one in said.neurons],
            "line": {"width": [3 if one.centre else 0 for one in said.neurons], "color": "#d7263d"},
            "opacity": 0.92,
        },
        showlegend=False,
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return _laid_out(figure, 560)


def _places(said: NetworkOut) -> dict[str, tuple[float, float]]:
    graph: Any = networkx.Graph()
    graph.add_nodes_from(one.item for one in said.neurons)
    for one in said.synapses:
        if graph.has_edge(one.pre, one.post):
            graph[one.pre][one.post]["weight"] += one.weight
        else:
            graph.add_edge(one.pre, one.post, weight=one.weight)
    heaviest = max((weight for _, _, weight in graph.edges(data="weight")), default=1.0)
    for _, _, of in graph.edges(data=True):
        of["weight"] = (of["weight"] / heaviest) ** 0.5
    size = max(len(said.neurons), 1)
    found = networkx.spring_layout(graph, k=2.4 / size**0.5, weight="weight", seed=1, iterations=80)
    return {item: (float(x), float(y)) for item, (x, y) in found.items()}


def profile(said: ItemProfileOut) -> Any:
    """The strongest synapses of one neuron, forth and back."""
    bonds = list(reversed(said.bonds))
    names = [short(bond.title, _LONGEST) for bond in bonds]
    figure = go.Figure()
    figure.add_bar(
        y=names, x=[bond.weight for bond in bonds], name="to it", orientation="h", marker_color=PALETTE[0]
    )
    figure.add_bar(
        y=names, x=[bond.back for bond in bonds], name="back", orientation="h", marker_color=PALETTE[1]
    )
    figure.update_xaxes(title="weight, in fresh co-activations")
    return _laid_out(figure, 120 + 26 * len(bonds), legend=True)


def mental_image(said: UserOut, most: int = 24) -> Any:
    """What a user's WiSARD network remembers of likes (right) and dislikes (left): the bits that tell most."""
    told = sorted(said.mental_image.items(), key=lambda of: -abs(of[1][0] - of[1][1]))[:most]
    told.sort(key=lambda of: of[1][0] - of[1][1])
    names = [short(name, _LONGEST) for name, _ in told]
    figure = go.Figure()
    figure.add_bar(
        y=names, x=[like for _, (like, _) in told], name="liked", orientation="h", marker_color=PALETTE[2]
    )
    figure.add_bar(
        y=names,
        x=[-dislike for _, (_, dislike) in told],
        name="disliked",
        orientation="h",
        marker_color=PALETTE[4],
    )
    figure.update_layout(barmode="relative")
    figure.update_xaxes(title="how often the bit was on, share")
    return _laid_out(figure, 120 + 22 * len(told), legend=True)


def growth(said: GrowthOut) -> Any:
    """Activation density over the events."""
    figure = go.Figure()
    figure.add_scatter(
        x=[look.learned_events for look in said.looks],
        y=[look.density for look in said.looks],
        mode="lines+markers",
        line={"color": PALETTE[0]},
        text=[f"{look.synapses:,} synapses, {day(look.event_time_ms)}" for look in said.looks],
        hovertemplate="%{x:,} events: %{y:.2%}<br>%{text}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title="events learned", rangemode="tozero")
    figure.update_yaxes(title="activation density", rangemode="tozero", tickformat=".1%")
    return _laid_out(figure, 280)


def bars(values: Mapping[str, float], title: str) -> Any:
    """Counts by name."""
    figure = go.Figure()
    figure.add_bar(x=list(values), y=list(values.values()), marker_color=PALETTE[0], showlegend=False)
    figure.update_yaxes(title=title)
    return _laid_out(figure, 320)


def radar(shares: Mapping[str, Mapping[str, float]], axes: Sequence[str]) -> Any:
    """Shares of genres, one polygon a name."""
    figure = go.Figure()
    for at, (name, of) in enumerate(shares.items()):
        values = [of.get(axis, 0.0) for axis in axes]
        figure.add_scatterpolar(
            r=[*values, values[0]],
            theta=[*axes, axes[0]],
            name=name,
            fill="toself",
            opacity=0.75,
            line={"color": (PALETTE[0], GREY)[at % 2]},
            hovertemplate="%{theta}: %{r:.1%}<extra>" + name + "</extra>",
        )
    figure.update_layout(polar={"radialaxis": {"tickformat": ".0%", "nticks": 4}, "bgcolor": "rgba(0,0,0,0)"})
    figure = _laid_out(figure, 440, legend=True)
    return figure.update_layout(margin={"l": 40, "r": 40, "t": 60, "b": 40})


def short(text: str, most: int) -> str:
    """A text that fits."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def percents(values: Sequence[float]) -> list[str]:
    """Shares as people read them."""
    return [percent(value) for value in values]


def _laid_out(figure: Any, height: int, *, legend: bool = False) -> Any:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 28 if legend else 12, "b": 8},
        hoverlabel={"align": "left"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0.0},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
