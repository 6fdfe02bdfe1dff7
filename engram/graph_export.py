"""A network as files for other programs: GraphML, node-link JSON, and its figures as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engram.graph_network import Network, Step
from engram.graph_profile import when
from online_models.synapse_figures import Histogram, log_histogram
from online_models.synapse_graph import synapse_graph


def network_graph(network: Network) -> Any:
    """Return the last step as a `networkx.DiGraph`.

    Nodes are ids, with title, genres (separated by |), activity, community, last_activity, x and y; edges have weight.
    """
    attributes = [
        {
            "title": name.title,
            "genres": "|".join(name.genres),
            "community": community,
            "last_activity": when(last_ms),
            "x": x,
            "y": y,
        }
        for name, community, last_ms, (x, y) in zip(
            network.names,
            network.community.tolist(),
            network.last_ms.tolist(),
            network.place.tolist(),
            strict=True,
        )
    ]
    graph = synapse_graph(network.last.synapses, network.ids, attributes)
    graph.graph.update(
        model=network.model,
        neurons=network.neurons,
        events=network.last.events,
        threshold=network.bounds.threshold,
        top=network.bounds.top,
        seed=network.seed,
    )
    return graph


def write_graph(folder: Path, network: Network) -> list[Path]:
    """Write graph.graphml and graph.json (NetworkX's node-link form); return both."""
    import networkx

    graph = network_graph(network)
    graphml, links = folder / "graph.graphml", folder / "graph.json"
    # Not through lxml where that happens to be installed: the same bytes everywhere.
    networkx.write_graphml_xml(graph, graphml)
    content = networkx.node_link_data(graph, edges="edges")
    links.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    return [graphml, links]


def figures(network: Network) -> dict[str, Any]:
    """All figures, JSON-able: of the last step with its distributions and communities, and of each step."""
    of = network.last.figures
    return {
        "model": network.model,
        "neurons_are": f"{network.neurons}s",
        "bounds": network.bounds._asdict(),
        "seed": network.seed,
        **step_figures(network.last),
        "weights": _counted(of.weights),
        "out_degrees": _counted(log_histogram(of.out_degree)),
        "in_degrees": _counted(log_histogram(of.in_degree)),
        "described": network.described(),
        "steps": [step_figures(step) for step in network.steps],
    }


def step_figures(step: Step) -> dict[str, Any]:
    """The figures of one step, by name; those from `drawn_neurons` on are of what is drawn."""
    of = step.figures
    return {
        "events": step.events,
        "neurons": of.neurons,
        "synapses": of.synapses,
        "density": of.density,
        "reciprocity": of.reciprocity,
        "asymmetry": of.asymmetry,
        "mean_weight": of.mean_weight,
        "largest_weight": of.largest_weight,
        "weight_quantiles": {f"{q:g}": value for q, value in of.quantiles.items()},
        "mean_degree": of.synapses / of.neurons if of.neurons else 0.0,
        "largest_out_degree": int(of.out_degree.max(initial=0)),
        "largest_in_degree": int(of.in_degree.max(initial=0)),
        "drawn_neurons": int((step.synapses.activity > 0).sum()),
        "drawn_synapses": len(step.synapses.weight),
        "communities": step.communities,
        "modularity": step.modularity,
        "modularity_unbounded": step.modularity_unbounded,
    }


def _counted(of: Histogram) -> dict[str, Any]:
    return {"edges": of.edges.tolist(), "counts": of.counts.tolist()}
