"""What the blend's kernels work on: parameters, state and scratch; the formulas are at the top of `blend.py`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.blend_member import Member
from online_models.blend_potentials import KINDS, Leaks, Neurons, Potentials
from online_models.blend_trends import Trends
from online_models.blend_weights import Weights

PARTS = ("short", "long", "lift", "trend", "recency", "age")


class Trace(NamedTuple):
    """How synapses of one kind learn along the user's last items; see the module."""

    length: int
    step_decay: float
    gap_exponent: float
    reverse: float


class Rule(NamedTuple):
    """`BlendConfig` for the kernels; half_life, trend_half_lives (float64[H]) in ticks."""

    half_life: float
    trend_half_lives: NDArray[np.float64]
    leaks: Leaks
    short: Trace
    long: Trace
    short_prior: float
    long_prior: float
    weight_rate: float
    share_rate: float
    correction_rate: float
    correction_length: int
    correction_least: float
    bias_share: float


class State(NamedTuple):
    """What is learned, but for the synapses' layout.

    bias: float32[AGES + GAPS, items]. taken: float32[AGES, items], how often by users of that age; taken_log: its
    read-side cache ln(1 + taken). last: float64[items], number of the event that took it; learned: int64[1], events.
    due: int64[1], drifts after which what errors taught has still to fade.
    """

    neurons: Neurons
    potentials: Potentials
    trends: Trends
    weights: Weights
    bias: NDArray[np.float32]
    taken: NDArray[np.float32]
    taken_log: NDArray[np.float32]
    last: NDArray[np.float64]
    learned: NDArray[np.int64]
    due: NDArray[np.int64]
    member: Member


class Scratch(NamedTuple):
    """float32[items] each: short, long, trend, recency, parts of the score that are worked out; rarity: see `rarities`.

    scores: float32[items], later odds; everyone: float32[items], chances of rivals, 0 between events. value:
    float32[KINDS, items], potentials of who has no slot. rivals: int32[items + 8], chances: float32[items], of them;
    above: uint8[items + 8], see `rivals_of`.
    """

    short: NDArray[np.float32]
    long: NDArray[np.float32]
    trend: NDArray[np.float32]
    recency: NDArray[np.float32]
    rarity: NDArray[np.float32]
    scores: NDArray[np.float32]
    everyone: NDArray[np.float32]
    value: NDArray[np.float32]
    rivals: NDArray[np.int32]
    chances: NDArray[np.float32]
    above: NDArray[np.uint8]


@numba.njit(cache=True)
def unit_at(neurons: Neurons, tick: int, rule: Rule) -> float:
    """What an event at `tick` weighs on the forward scale."""
    return float(np.exp2((tick - neurons.base[0]) / rule.half_life))


def scratch_for(items: int) -> Scratch:
    """Room for `items` items."""
    short, long, trend, recency, rarity, scores, everyone, chances = (
        np.zeros(items, np.float32) for _ in range(8)
    )
    return Scratch(
        short=short,
        long=long,
        trend=trend,
        recency=recency,
        rarity=rarity,
        scores=scores,
        everyone=everyone,
        value=np.zeros((KINDS, items), np.float32),
        rivals=np.zeros(items + 8, np.int32),
        chances=chances,
        above=np.zeros(items + 8, np.uint8),
    )
