"""Synapses as a NetworkX graph, its communities, and their modularity.

Communities are found by Louvain's method (Blondel, Guillaume, Lambiotte & Lefebvre 2008; for directed graphs Dugué &
Perez 2015), which seeks a large modularity (Newman 2006; directed: Leicht & Newman 2008):

    Q = sum over pairs in the same community of  w(i, j) / W - out(i) in(j) / W^2

with out and in the sums of a neuron's weights and W of all: how much more weight lies within communities than chance
would put there; at most 1, 0 for a single community. networkx is imported here when it is needed: nothing of a stream
needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.synapse_view import SynapseView

Attributes = Mapping[str, str | int | float]


def synapse_graph(view: SynapseView, ids: Sequence[str | int], attributes: Sequence[Attributes]) -> Any:
    """Return a `networkx.DiGraph` with an edge pre -> post and its `weight` for each synapse of the view.

    ids, attributes: of each neuron; the id is the node, and activity is among its attributes, too.
    """
    import networkx

    graph = networkx.DiGraph()
    for name, of, activity in zip(ids, attributes, view.activity.tolist(), strict=True):
        graph.add_node(name, **of, activity=activity)
    pairs = zip(view.pre.tolist(), view.post.tolist(), view.weight.tolist(), strict=True)
    graph.add_weighted_edges_from((ids[pre], ids[post], weight) for pre, post, weight in pairs)
    return graph


def communities(view: SynapseView, seed: int) -> NDArray[np.int32]:
    """Return the community of each neuron by Louvain's method, int32[n], the largest being 0; equal for equal seeds.

    Of communities of the same size, the one with the first neuron goes first. Neurons without synapses are in
    communities of their own.
    """
    import networkx

    n = len(view.activity)
    # Numbers as nodes: texts have another order in the method's sets at each start of Python.
    graph = synapse_graph(view, range(n), [{}] * n)
    found = networkx.community.louvain_communities(graph, weight="weight", seed=seed) if n else []
    groups = sorted((sorted(group) for group in found), key=lambda one: (-len(one), one[0]))
    community = np.zeros(n, np.int32)
    for number, group in enumerate(groups):
        community[group] = number
    return community


def modularity(view: SynapseView, community: NDArray[np.int32]) -> float:
    """Directed, weighted modularity of a division (int32[n], from 0); 0 without synapses."""
    total = float(view.weight.sum())
    if total <= 0:
        return 0.0
    within = float(view.weight[community[view.pre] == community[view.post]].sum())
    groups = int(community.max()) + 1
    out = np.bincount(community[view.pre], view.weight, groups)
    into = np.bincount(community[view.post], view.weight, groups)
    return within / total - float(out @ into) / total**2
