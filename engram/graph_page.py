"""The page of a network of synapses: graph.html, self-contained, to zoom, to point at, and to go through its steps."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from engram.graph_export import step_figures
from engram.graph_network import Network, radius
from engram.graph_pictures import COLOURS, DRAWN, OTHER
from engram.graph_profile import when

_DIGITS = 5


def write_graph_page(path: Path, network: Network, title: str) -> Path:
    """Write the page. Raises `OSError`."""
    path.write_text(graph_page(network, title), "utf-8", newline="")
    return path


def graph_page(network: Network, title: str) -> str:
    """Return the page: all steps, and nothing from elsewhere."""
    parts = {"title": escape(title), "data": _data(network)}
    text = files("engram").joinpath("graph_page.html").read_text("utf-8")
    # One pass over the template alone: what is put in is not looked at again.
    pieces = text.split("{{")
    return pieces[0] + "".join(
        parts[piece.split("}}", 1)[0]] + piece.split("}}", 1)[1] for piece in pieces[1:]
    )


def _data(network: Network) -> str:
    """JSON for the page's script, safe inside its element."""
    greatest = max(float(step.synapses.activity.max(initial=0.0)) for step in network.steps)
    content = {
        "model": network.model,
        "neurons": f"{network.neurons}s",
        "top": network.bounds.top,
        "drawn": min(DRAWN, network.bounds.top),
        "threshold": network.bounds.threshold,
        "colours": COLOURS,
        "other": OTHER,
        "nodes": [
            [name, named.title, list(named.genres), community, _short(x), _short(y), when(last_ms)[:10]]
            for name, named, community, (x, y), last_ms in zip(
                network.ids,
                network.names,
                network.community.tolist(),
                network.place.tolist(),
                network.last_ms.tolist(),
                strict=True,
            )
        ],
        "communities": network.described(),
        "steps": [
            {
                "figures": step_figures(step),
                "activity": [_short(one) for one in step.synapses.activity.tolist()],
                "radius": [_short(one) for one in radius(step.synapses.activity, greatest).tolist()],
                "pre": step.synapses.pre.tolist(),
                "post": step.synapses.post.tolist(),
                "weight": [_short(one) for one in step.synapses.weight.tolist()],
            }
            for step in network.steps
        ],
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _short(value: Any) -> float:
    return float(f"{value:.{_DIGITS}g}")
