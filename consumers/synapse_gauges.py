"""Gauges of the models' synapses for Prometheus, cheap enough for every checkpoint.

At most `ROWS` rows of each model are looked at, equally spaced; counts are then scaled up. Communities and modularity
take seconds and are left to `engram graph`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from online_models.model import Model
from online_models.synapse_figures import THRESHOLD, weight_quantiles

ROWS: Final = 512

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
