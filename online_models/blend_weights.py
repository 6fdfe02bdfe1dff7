"""Weights of the blend's parts, learned by online softmax regression over the candidates.

    P(c) = exp(score(c)) / sum over the user's candidates,     d ln P(x) / d w_j = f_j(x) - sum_c P(c) f_j(c)

A weight is w_j + w_j[age of the user] + w_j[gap], each stepped by AdaGrad (Duchi, Hazan & Singer 2011). The same
errors teach the error-corrective synapses (delta rule; Widrow & Hoff 1960, Rescorla & Wagner 1972): what fired though
it was not expected is potentiated by its surprise 1 - P(x), what was expected and did not fire is depressed by P(c).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.polynomials import dot, exp_in_place
from online_models.synapses import Synapses, potentiate

AGES = 9  # of a user: 0, 1, 2 to 3, 4 to 7, ... 128 and more items
GAPS = 8  # see `gap_class`
CONTEXTS = 1 + AGES + GAPS
TAKEN = np.float32(-1e30)  # score of what the user has had


class Weights(NamedTuple):
    """value: float64[CONTEXTS, parts], the first row for all contexts; squares: of gradients, summed (AdaGrad)."""

    value: NDArray[np.float64]
    squares: NDArray[np.float64]


@numba.njit(cache=True)
def age_class(seen: int) -> int:
    """Class of a user who has had `seen` items: 0 to AGES - 1."""
    found = 0
    while seen > 0 and found < AGES - 1:
        seen >>= 1
        found += 1
    return found


@numba.njit(cache=True)
def gap_class(seen: int, gap_ms: int) -> int:
    """Class of the time since the user's last event: none before, none, < 15 s, 1 min, 5 min, 1 h, 1 day, more."""
    if seen == 0:
        return 0
    found = 1
    for limit_ms in (1, 15_000, 60_000, 300_000, 3_600_000, 86_400_000):
        found += gap_ms >= limit_ms
    return found


@numba.njit(cache=True)
def softmax(
    scores: NDArray[np.float32],
    target: int,
    known: int,
    ones: NDArray[np.float32],
    scratch: NDArray[np.float32],
) -> None:
    """scores[:known] become probabilities; ones: float32[items] of 1.

    Odds are taken against the target, so no maximum is looked for; they are cut at e^87 to either side.
    """
    own = scores[target]
    for item in range(known):
        scores[item] -= own
    exp_in_place(scores, known, scratch)
    scale = np.float32(1.0 / dot(scores, ones, known, scratch))
    for item in range(known):
        scores[item] *= scale


@numba.njit(cache=True)
def step_weights(
    weights: Weights,
    contexts: tuple[int, int],
    features: NDArray[np.float32],
    chances: NDArray[np.float32],
    target: int,
    known: int,
    rate: float,
    scratch: NDArray[np.float32],
) -> None:
    """One step towards what makes `target` likelier; features: float32[parts, items]; chances: P, float32[items]."""
    for part in range(len(features)):
        gradient = features[part, target] - dot(chances, features[part], known, scratch)
        for context in (0, 1 + contexts[0], 1 + AGES + contexts[1]):
            weights.squares[context, part] += gradient * gradient
            step = rate * gradient / (np.sqrt(weights.squares[context, part]) + 1.0)
            weights.value[context, part] += step


@numba.njit(cache=True)
def rivals_of(
    chances: NDArray[np.float32], target: int, known: int, least: float, out: NDArray[np.int32]
) -> int:
    """Put the items that were expected with more than `least`, but for `target`, into out; returns how many."""
    count = 0
    floor = np.float32(least)
    for item in range(known):
        out[count] = item
        count += (chances[item] > floor) & (item != target)
    return count


@numba.njit(cache=True)
def correct(
    synapses: Synapses,
    pre: int,
    target: int,
    amount: float,
    chances: NDArray[np.float32],
    rivals: NDArray[np.int32],
    least: float,
) -> None:
    """Delta rule on one row: +amount * (1 - P) for the target, -amount * P for its rivals.

    In a bounded row, only synapses that are there are depressed.
    """
    small = np.float32(amount)
    row = synapses.weight[pre]
    if len(synapses.post) == 0:
        for item in rivals:
            row[item] -= small * chances[item]
    else:
        posts, floor = synapses.post[pre], np.float32(least)
        for place in range(synapses.used[pre]):
            item = posts[place]
            if chances[item] > floor and item != target:
                row[place] -= small * chances[item]
    potentiate(synapses, pre, target, np.float32(amount * (1.0 - chances[target])))
