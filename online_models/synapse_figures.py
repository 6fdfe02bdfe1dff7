"""Figures of a network of synapses, from columns alone: density, weights, degrees, reciprocity, asymmetry.

A synapse is *active* when it weighs more than a threshold; every figure is of active synapses. With w the weights, 0
where there is no active synapse, n neurons and L active synapses:

    density      L / (n (n - 1)), the activation density: the share of possible synapses that are active
    reciprocity  the share of active synapses whose reverse is active as well (Newman, Forrest & Balthrop 2002)
    asymmetry    sum |w(i, j) - w(j, i)| / sum (w(i, j) + w(j, i)) over pairs: 0 symmetric, 1 all one way, which is
                 what STDP leaves behind
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.synapse_view import SynapseView

THRESHOLD = 0.1  # a tenth of one fresh co-activation at full gain
QUANTILES = (0.5, 0.9, 0.99)
_BINS_A_DECADE = 4


class Histogram(NamedTuple):
    """counts: int64[b], how many values lie in [edges[i], edges[i + 1]); edges: float64[b + 1], ascending."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


class SynapseFigures(NamedTuple):
    """See the module. quantiles: {q: weight}, empty without synapses. weights: how many synapses weigh how much.

    mean_weight, largest_weight: 0 without synapses. out_degree, in_degree: int64[n], active synapses of each neuron.
    """

    neurons: int
    synapses: int
    density: float
    reciprocity: float
    asymmetry: float
    mean_weight: float
    largest_weight: float
    quantiles: dict[float, float]
    weights: Histogram
    out_degree: NDArray[np.int64]
    in_degree: NDArray[np.int64]


def synapse_figures(view: SynapseView, threshold: float = THRESHOLD) -> SynapseFigures:
    """Measure a view of all rows; see the module."""
    n = len(view.activity)
    active = view.above(threshold)
    weight = active.weight
    forth = active.pre.astype(np.int64) * n + active.post
    back = active.post.astype(np.int64) * n + active.pre
    # `forth` is ascending, as the view is ordered.
    place = np.minimum(np.searchsorted(forth, back), max(len(forth) - 1, 0))
    returned = forth[place] == back if len(forth) else np.zeros(0, bool)
    reverse = np.where(returned, weight[place], 0.0) if len(forth) else weight
    total = float(weight.sum())
    # A pair with both synapses is met twice, with one it is met once.
    apart = float((np.abs(weight - reverse) * np.where(returned, 0.5, 1.0)).sum())
    return SynapseFigures(
        neurons=n,
        synapses=len(weight),
        density=density(active),
        reciprocity=float(returned.mean()) if len(weight) else 0.0,
        asymmetry=apart / total if total > 0 else 0.0,
        mean_weight=float(weight.mean()) if len(weight) else 0.0,
        largest_weight=float(weight.max(initial=0.0)),
        quantiles=weight_quantiles(weight),
        weights=log_histogram(weight),
        out_degree=np.bincount(active.pre, minlength=n).astype(np.int64),
        in_degree=np.bincount(active.post, minlength=n).astype(np.int64),
    )


def density(active: SynapseView) -> float:
    """Share of the possible synapses of the view's rows that are in the view; 0 where none is possible."""
    return len(active.weight) / active.possible if active.possible else 0.0


def weight_quantiles(weight: NDArray[np.float64]) -> dict[float, float]:
    """{q: weight} for `QUANTILES`, linear between the two nearest; empty without synapses."""
    if not len(weight):
        return {}
    return {q: float(value) for q, value in zip(QUANTILES, np.quantile(weight, QUANTILES), strict=True)}


def log_histogram(values: NDArray[np.float64] | NDArray[np.int64]) -> Histogram:
    """Count positive values in bins of equal width in the logarithm, a quarter of a decade each; others are left out."""
    positive = values[values > 0].astype(np.float64)
    if not len(positive):
        return Histogram(np.zeros(1), np.zeros(0, np.int64))
    first = int(np.floor(np.log10(positive.min()) * _BINS_A_DECADE))
    last = int(np.floor(np.log10(positive.max()) * _BINS_A_DECADE)) + 1
    edges = 10.0 ** (np.arange(first, last + 1) / _BINS_A_DECADE)
    # Rounding must not lose the extremes.
    edges[0], edges[-1] = min(edges[0], positive.min()), max(edges[-1], np.nextafter(positive.max(), np.inf))
    return Histogram(edges, np.histogram(positive, edges)[0].astype(np.int64))
