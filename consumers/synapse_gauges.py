"""Gauges of the models' synapses for Prometheus, cheap enough for every checkpoint.

At most `ROWS` rows of each model are looked at, equally spaced; counts are then scaled up. Communities are found among
the most active neurons alone; `engram graph` has time for more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from online_models.model import Model
from online_models.synapse_figures import THRESHOLD, weight_quantiles
from online_models.synapse_graph import communities, modularity
from online_models.synapse_view import most_active
from online_models.wisard import Wisard

ROWS: Final = 128
NEURONS: Final = 100  # and their strongest synapses to each other: some 10 ms for Louvain's method
_SYNAPSES_EACH: Final = 5

Gauges = dict[str, dict[tuple[str, ...], float]]


def synapse_gauges(lanes: Sequence[Lane], rows: int = ROWS) -> Gauges:
    """Return {metric: {label values: value}} over all lanes; a model without synapses has none.

    rows: how many of each model's rows are looked at, at most.
    """
    gauges: Gauges = {
        "engram_synapses": {},
        "engram_synapse_density_ratio": {},
        "engram_synapse_weight_quantile": {},
    }
    for name in lanes[0].models:
        count = possible = 0.0
        weights = []
        for lane in lanes:
            found = _sampled(lane.models[name], lane.now, rows)
            if found is None:
                continue
            weight, seen, neurons = found
            count += len(weight) * neurons / seen
            possible += neurons * (neurons - 1)
            weights.append(weight)
        if not weights:
            continue
        gauges["engram_synapses"][(name,)] = float(round(count))
        gauges["engram_synapse_density_ratio"][(name,)] = count / possible if possible else 0.0
        for q, value in weight_quantiles(np.concatenate(weights)).items():
            gauges["engram_synapse_weight_quantile"][(name, f"{q:g}")] = value
    return gauges


def community_gauges(lanes: Sequence[Lane]) -> Gauges:
    """Return how many communities the most active neurons of each model fall into, and how modular they are.

    Of several lanes, the first one's.
    """
    gauges: Gauges = {"engram_synapse_communities": {}, "engram_synapse_modularity_ratio": {}}
    lane = lanes[0]
    for name, model in lane.models.items():
        nothing = model.synapse_view(lane.now, np.zeros(0, np.int32))
        if nothing is None:
            continue
        chosen = most_active(nothing.activity, NEURONS)
        view = model.synapse_view(lane.now, chosen)
        assert view is not None
        drawn = view.among(chosen).above(THRESHOLD).strongest(_SYNAPSES_EACH)
        if not len(drawn.weight):
            continue
        found = communities(drawn, lane.config.seed)
        gauges["engram_synapse_communities"][(name,)] = float(found.max() + 1)
        gauges["engram_synapse_modularity_ratio"][(name,)] = modularity(drawn, found)
    return gauges


def saturation_gauges(lanes: Sequence[Lane], users: int = ROWS) -> Gauges:
    """Return the share of written places in users' RAM nodes; users: how many of a lane are looked at, at most."""
    gauges: Gauges = {"engram_wisard_saturation_ratio": {}}
    for name, model in lanes[0].models.items():
        if not isinstance(model, Wisard):
            continue
        written = places = 0
        for lane in lanes:
            own = lane.models[name].arrays()["own"]
            chosen = np.unique(np.linspace(0, len(own) - 1, min(users, len(own))).astype(np.int64))
            written += int(np.count_nonzero(own[chosen]))
            places += own[chosen].size
        if places:
            gauges["engram_wisard_saturation_ratio"][(name,)] = written / places
    return gauges


def _sampled(model: Model, now: int, most: int) -> tuple[NDArray[np.float64], int, int] | None:
    """Active weights of some rows, how many rows were looked at, and how many there are; None without neurons."""
    nothing = model.synapse_view(now, np.zeros(0, np.int32))
    if nothing is None or not len(nothing.activity):
        return None
    neurons = len(nothing.activity)
    rows = np.unique(np.linspace(0, neurons - 1, min(most, neurons)).astype(np.int32))
    view = model.synapse_view(now, rows)
    assert view is not None
    return view.above(THRESHOLD).weight, len(rows), neurons
