"""What is trending: a mixture of popularities at several half-lives, whose shares follow the stream.

    P(c) = sum_h m_h n_h(c) / N_h + m_all a(c) / A + m_any / items

n_h(c) is the count of item c that halves each h, N_h its sum over items; a(c), A the same at the synapses' half-life;
the last part is uniform. The shares m are learned online by expectation-maximisation (Neal & Hinton 1998; Cappe &
Moulines 2009): each event moves them towards the parts' responsibilities for it. A part keeps a small share for ever
(as in Herbster & Warmuth 1998), so it can come back when the stream changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.polynomials import FUSED, natural_log

_REBASE_AFTER = 40.0  # half-lives; float32 overflows at 128
_NOTHING = 1e-30
_FIRST_EVENTS = 20.0  # how many events the shares at the start are worth
_KEPT = 0.01  # part of each step that goes to all parts alike


class Trends(NamedTuple):
    """level: float32[H, items], forward scale of each half-life; total: float64[H], its sums; base: int64[H], ticks.

    share: float64[H + 2]: of the half-lives, of activity, of the uniform part; they sum to 1.
    """

    level: NDArray[np.float32]
    total: NDArray[np.float64]
    base: NDArray[np.int64]
    share: NDArray[np.float64]


def no_trends(half_lives: int) -> Trends:
    """Nothing seen yet; all parts have the same share."""
    return Trends(
        level=np.zeros((half_lives, 256), np.float32),
        total=np.zeros(half_lives, np.float64),
        base=np.zeros(half_lives, np.int64),
        share=np.full(half_lives + 2, 1.0 / (half_lives + 2)),
    )


Rows = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@numba.njit(cache=True, fastmath=FUSED)
def _add(rows: Rows, scales: NDArray[np.float32], known: int, out: NDArray[np.float32]) -> None:
    """out[:known] += the sum of scales[j] * rows[j]."""
    one, two, three, four = rows
    a, b, c, d = scales
    for item in range(known):
        out[item] += a * one[item] + b * two[item] + c * three[item] + d * four[item]


@numba.njit(cache=True, fastmath=FUSED)
def _add_and_log(rows: Rows, scales: NDArray[np.float32], known: int, out: NDArray[np.float32]) -> None:
    """out[:known] = ln(out + the sum of scales[j] * rows[j])."""
    one, two, three, four = rows
    a, b, c, d = scales
    for item in range(known):
        out[item] = natural_log(out[item] + a * one[item] + b * two[item] + c * three[item] + d * four[item])


@numba.njit(cache=True, fastmath=FUSED)
def log_trend(
    trends: Trends, activity: NDArray[np.float32], total: float, known: int, out: NDArray[np.float32]
) -> None:
    """out[:known] = ln P(c); activity: float32[items] on any scale, total: its sum."""
    parts = len(trends.total)
    uniform = np.float32(trends.share[parts + 1] / known)
    active = np.float32(trends.share[parts] / total if total > _NOTHING else 0.0)
    for item in range(known):
        out[item] = uniform + active * activity[item]
    # Four half-lives a pass; rows that are not there count nothing.
    for first in range(0, parts, 4):
        scales, most = np.zeros(4, np.float32), parts - 1
        for part in range(first, min(first + 4, parts)):
            if trends.total[part] > _NOTHING:
                scales[part - first] = trends.share[part] / trends.total[part]
        rows = (
            trends.level[first],
            trends.level[min(first + 1, most)],
            trends.level[min(first + 2, most)],
            trends.level[min(first + 3, most)],
        )
        if first + 4 < parts:
            _add(rows, scales, known, out)
        else:
            _add_and_log(rows, scales, known, out)
    if parts == 0:
        for item in range(known):
            out[item] = natural_log(out[item])


@numba.njit(cache=True)
def adapt_shares(trends: Trends, target: int, active: float, known: int, rate: float, learned: int) -> None:
    """Move the shares towards the responsibilities for `target`; active: a(target) / A. learned: events before."""
    parts = len(trends.total)
    share = trends.share
    whole = share[parts] * active + share[parts + 1] / known
    for part in range(parts):
        if trends.total[part] > _NOTHING:
            whole += share[part] * trends.level[part, target] / trends.total[part]
    step = max(rate, 1.0 / (learned + _FIRST_EVENTS))
    for part in range(parts + 2):
        if part == parts:
            likely = active
        elif part > parts:
            likely = 1.0 / known
        elif trends.total[part] > _NOTHING:
            likely = trends.level[part, target] / trends.total[part]
        else:
            likely = 0.0
        responsible = (1.0 - _KEPT) * share[part] * likely / whole + _KEPT / (parts + 2)
        share[part] += step * (responsible - share[part])


@numba.njit(cache=True)
def add_to_trends(
    trends: Trends, item: int, tick: int, now: int, known: int, half_lives: NDArray[np.float64]
) -> None:
    """Count one event of `item`; half_lives: float64[H] in ticks."""
    for part in range(len(half_lives)):
        if (now - trends.base[part]) / half_lives[part] > _REBASE_AFTER:
            factor = np.float32(np.exp2(-((now - trends.base[part]) / half_lives[part])))
            level = trends.level[part]
            for other in range(known):
                faded = level[other] * factor
                # Subnormal numbers would slow every later read down a hundredfold.
                level[other] = faded if faded > np.float32(_NOTHING) else np.float32(0.0)
            trends.total[part] *= factor
            trends.base[part] = now
        unit = np.exp2((tick - trends.base[part]) / half_lives[part])
        trends.level[part, item] += np.float32(unit)
        trends.total[part] += unit
