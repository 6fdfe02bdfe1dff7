"""Leave one out: where the one item left out stands among sampled items, and among all.

With r = the candidates that score at least as high as the target (so r starts at 0, and ties count against the
model): HR@K = 1 and NDCG@K = ln 2 / ln(r + 2) where r < K, else 0. He et al. (2017), "Neural collaborative
filtering", WWW, and the authors' code, in which the items of a question are the keys of a map: one that is drawn
twice, or is the target itself, counts once.

Sampled figures are no estimate of those among all items and may order models otherwise (Krichene & Rendle (2020), "On
sampled metrics for item recommendation", KDD); so both are always given.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

CUTOFF: Final = 10


@njit(cache=True)
def above_among(scores: NDArray[np.float64], target: int, candidates: NDArray[np.int32]) -> int:
    """Count the distinct candidates, other than the target, that do not score below it; NaN is never below.

    scores: float64[items]. target: row of the item left out. candidates: int32[n] rows, in any order.
    """
    own = scores[target]
    in_order = np.sort(candidates)
    count = 0
    for place in range(len(in_order)):
        item = in_order[place]
        if item == target or (place > 0 and in_order[place - 1] == item):
            continue
        if not scores[item] < own:
            count += 1
    return count


@njit(cache=True)
def above_among_all(scores: NDArray[np.float64], target: int, had: NDArray[np.int32]) -> int:
    """Count all items, but the target and those that the user has had, that do not score below the target.

    scores: float64[items]. target: row of the item left out. had: int32[n] rows.
    """
    own = scores[target]
    out = np.zeros(len(scores), np.bool_)
    out[target] = True
    for item in had:
        out[item] = True
    count = 0
    for item in range(len(scores)):
        if not out[item] and not scores[item] < own:
            count += 1
    return count


def leave_one_out_figures(above: NDArray[np.int64], cutoff: int = CUTOFF) -> dict[str, float]:
    """Return {"hr@K": ..., "ndcg@K": ...}, means over questions, in [0, 1].

    above: int64[n], n >= 1, of each question the candidates that do not score below the target.
    Raises `ValueError` for no questions, and `AssertionError` if HR < NDCG, which the formulas exclude.
    """
    if not len(above):
        raise ValueError("above is empty, expected one count a question")
    hits = above[above < cutoff].tolist()
    hit_rate = len(hits) / len(above)
    gain = math.fsum(math.log(2.0) / math.log(r + 2.0) for r in hits) / len(above)
    if not 1.0 >= hit_rate >= gain >= 0.0:
        raise AssertionError(f"hr@{cutoff} {hit_rate}, ndcg@{cutoff} {gain}: expected 1 >= hr >= ndcg >= 0")
    return {f"hr@{cutoff}": hit_rate, f"ndcg@{cutoff}": gain}
