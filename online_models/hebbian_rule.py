"""What all of `hebbian` is made of: its parameters as kernels have them, the neurons, and the gains of a trace."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

NOTHING = 1e-30  # activity below this is forgotten: its inverse powers would overflow


class Rule(NamedTuple):
    """`HebbianConfig` for the kernels; half_life in ticks, gap_scale_ms in milliseconds."""

    step_decay: float
    gap_scale_ms: float
    gap_exponent: float
    reverse: float
    synapse_power: float
    source_power: float
    target_power: float
    popularity_weight: float
    half_life: float
    recall_length: int
    recall_every: int


class Neurons(NamedTuple):
    """activity: float64[items], forward scale; total: float64[1], its sum; base: int64[1], tick of the scale.

    Read-side caches, float32[items]: level = activity^r, source_norm = activity^-p, target_norm = activity^-q
    (0 for a neuron without activity).
    """

    activity: NDArray[np.float64]
    total: NDArray[np.float64]
    base: NDArray[np.int64]
    level: NDArray[np.float32]
    source_norm: NDArray[np.float32]
    target_norm: NDArray[np.float32]


@numba.njit(cache=True)
def caches_of(activity: float, rule: Rule) -> tuple[np.float32, np.float32, np.float32]:
    """level, source_norm and target_norm of a neuron with this activity."""
    if activity > NOTHING:
        return (
            np.float32(activity**rule.synapse_power),
            np.float32(activity**-rule.source_power),
            np.float32(activity**-rule.target_power),
        )
    return np.float32(0.0), np.float32(0.0), np.float32(0.0)


@numba.njit(cache=True)
def refresh(neurons: Neurons, items: int, rule: Rule) -> None:
    """Bring the caches of the first `items` neurons up to their activity."""
    for item in range(items):
        level, source_norm, target_norm = caches_of(neurons.activity[item], rule)
        neurons.level[item] = level
        neurons.source_norm[item] = source_norm
        neurons.target_norm[item] = target_norm


@numba.njit(
    cache=True, error_model="numpy"
)  # a check for division by zero would keep loops from being vectorised
def fade(gap_ms: int, rule: Rule) -> float:
    """What a gap leaves: (1 + gap / gap_scale)^(-gap_exponent); 1 for one that is negative."""
    gaps = 1.0 + max(gap_ms, 0) / rule.gap_scale_ms
    # The default exponent; a root costs a tenth of a power.
    return float(1.0 / np.sqrt(gaps) if rule.gap_exponent == 0.5 else gaps**-rule.gap_exponent)


@numba.njit(cache=True, error_model="numpy")
def trace_gains(
    times_ms: NDArray[np.int64], end: int, time_ms: int, rule: Rule, gains: NDArray[np.float64]
) -> None:
    """Gain of each item of the trace, newest first: gains[k] for the item at place end - 1 - k."""
    for k in range(len(gains)):
        gains[k] = fade(time_ms - times_ms[end - 1 - k], rule)
    recency = 1.0
    for k in range(len(gains)):
        gains[k] *= recency
        recency *= rule.step_decay
