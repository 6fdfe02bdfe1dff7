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

from online_models.polynomials import FUSED, SUMMED, exponential
from online_models.synapses import Synapses

AGES = 9  # of a user: 0, 1, 2 to 3, 4 to 7, ... 128 and more items
GAPS = 8  # see `gap_class`
CONTEXTS = 1 + AGES + GAPS
TAKEN = np.float32(-1e30)  # score of what the user has had

Row = NDArray[np.float32]
Features = tuple[Row, Row, Row, Row, Row, Row]  # float32[items] each, in the order of `blend_kernel.PARTS`


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


@numba.njit(cache=True, fastmath=FUSED)
def odds_in_place(scores: NDArray[np.float32], target: int, known: int) -> None:
    """scores[:known] become odds against the target, exp(score - its score), so no maximum is looked for."""
    own = scores[target]
    for item in range(known):
        scores[item] = exponential(scores[item] - own)


@numba.njit(cache=True, fastmath=SUMMED)
def expectations(
    odds: NDArray[np.float32], features: Features, known: int, out: NDArray[np.float64]
) -> float:
    """out[parts] = sum of P(c) f_j(c); returns what odds are to be multiplied by to become P."""
    short, long, lift, trend, recency, age = features
    zero = np.float32(0.0)
    a, b, c, d, e, f, total = zero, zero, zero, zero, zero, zero, zero
    for item in range(known):
        odd = odds[item]
        total += odd
        a += odd * short[item]
        b += odd * long[item]
        c += odd * lift[item]
        d += odd * trend[item]
        e += odd * recency[item]
        f += odd * age[item]
    scale = 1.0 / np.float64(total)
    for part, summed in enumerate((a, b, c, d, e, f)):
        out[part] = summed * scale
    return scale


@numba.njit(cache=True)
def step_weights(
    weights: Weights, contexts: tuple[int, int], gradient: NDArray[np.float64], rate: float
) -> None:
    """One step along `gradient`, float64[parts], of ln P(target)."""
    for context in (0, 1 + contexts[0], 1 + AGES + contexts[1]):
        for part in range(len(gradient)):
            weights.squares[context, part] += gradient[part] * gradient[part]
            step = rate * gradient[part] / (np.sqrt(weights.squares[context, part]) + 1.0)
            weights.value[context, part] += step


@numba.njit(cache=True)
def rivals_of(
    odds: NDArray[np.float32],
    target: int,
    known: int,
    least: float,
    above: NDArray[np.uint8],
    rivals: NDArray[np.int32],
) -> int:
    """Put the items whose odds are above `least`, but for `target`, into rivals; returns how many.

    above: uint8[at least items + 7], room for a flag of each item.
    """
    count, floor = 0, np.float32(least)
    for item in range(known):
        above[item] = odds[item] > floor
    above[target] = 0
    words = (known + 7) // 8
    above[known : 8 * words] = 0
    flags = above[: 8 * words].view(np.uint64)
    for word in range(words):
        if flags[word]:  # few are
            for item in range(8 * word, 8 * word + 8):
                rivals[count] = item
                count += int(above[item])
    return count


@numba.njit(cache=True)
def depress(
    synapses: Synapses,
    pres: NDArray[np.int32],
    amounts: NDArray[np.float32],
    rivals: NDArray[np.int32],
    chances: NDArray[np.float32],
    everyone: NDArray[np.float32],
) -> None:
    """v(pres[k], c) -= amounts[k] * P(c) for the rivals c; chances: float32[rivals].

    everyone: float32[items], P of the rivals, 0 of all others. In a bounded row, only synapses that are there are
    depressed.
    """
    if len(synapses.post) == 0:
        weight = synapses.weight
        for k in range(len(pres)):
            pre, amount = pres[k], amounts[k]
            for place in range(len(rivals)):
                weight[pre, rivals[place]] -= amount * chances[place]
        return
    for k in range(len(pres)):
        pre, amount = pres[k], amounts[k]
        posts, row = synapses.post[pre], synapses.weight[pre]
        for place in range(synapses.used[pre]):
            row[place] -= amount * everyone[posts[place]]
