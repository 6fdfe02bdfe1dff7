"""The k best of many scores in one pass, for `recommend`."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def best_of(
    scores: NDArray[np.float64], barred: NDArray[np.bool_], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Rows and scores of the k best of scores (float64[items]) that are not barred (bool[items]), best first.

    Equal scores are in order of the row, the lower first. Fewer than k where there are no more.
    """
    rows, best = np.empty(k, np.int32), np.empty(k, np.float64)
    count = 0
    for row in range(len(scores)):
        score = scores[row]
        if barred[row] or k == 0 or (count == k and score <= best[k - 1]):
            continue
        place = count if count < k else k - 1
        while place > 0 and best[place - 1] < score:
            if place < k:
                rows[place], best[place] = rows[place - 1], best[place - 1]
            place -= 1
        rows[place], best[place] = row, score
        count = min(count + 1, k)
    return rows[:count].copy(), best[:count].copy()


@numba.njit(cache=True)
def top_k(
    scores: NDArray[np.float64], had: NDArray[np.int32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Rows and scores of the k best of scores (float64[items]) without the rows `had` (int32); see `best_of`."""
    barred = np.zeros(len(scores), np.bool_)
    for row in had:
        barred[row] = True
    return best_of(scores, barred, k)


@numba.njit(cache=True)
def occurrences(items: NDArray[np.int32], among: NDArray[np.int32]) -> NDArray[np.int32]:
    """How often each of `items` (int32[k]) stands in `among` (int32[n]); int32[k]."""
    found = np.zeros(len(items), np.int32)
    for i in range(len(items)):
        for other in among:
            found[i] += other == items[i]
    return found
