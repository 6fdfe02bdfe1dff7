"""Re-ranking of candidates: maximal marginal relevance, and genre coverage.

Relevance is taken from ranks, 1 for the best and less by the rank's logarithm, as NDCG discounts it:

    relevance(c) = 1 / log2(1 + rank of c among the candidates)

so that a trade-off means the same for every model, whatever its scores are: counts, potentials, log-odds. Maximal
marginal relevance (MMR; Carbonell & Goldstein 1998, with lambda = 1 - diversity) picks one item after the other,

    argmax over what is left of (1 - diversity) relevance(c) - diversity max over the picked p of similarity(c, p)

With genre coverage, each pick after the first half of the list must add a genre that the list does not have yet, as
long as some candidate does.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import Catalogue
from online_models.similarity import similarity_of


@numba.njit(cache=True)
def fill_relevance(scores: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """out[i] (float64[n]): relevance of the candidate with scores[i] (float64[n], descending); equal for equal scores."""
    rank = 1
    for i in range(len(scores)):
        if i > 0 and scores[i] != scores[i - 1]:
            rank = i + 1
        out[i] = 1.0 / np.log2(1.0 + rank)


@numba.njit(cache=True)
def rerank(
    items: NDArray[np.int32],
    relevance: NDArray[np.float64],
    catalogue: Catalogue,
    diversity: float,
    covering: bool,
    nearest: NDArray[np.float64],
    picks: NDArray[np.int32],
) -> int:
    """Pick len(picks) of n candidates, fewer where there are no more; of equal ones the first. Returns how many.

    items: int32[n] rows. relevance: float64[n]. diversity: 0 (relevance alone) to 1. covering: genre coverage.
    nearest: float64[n], filled: of a picked candidate, its greatest similarity to the picks before it, 0 for the first.
    picks: int32[k], filled with candidates 0 to n - 1, best first.
    """
    n = len(items)
    k = min(len(picks), n)
    free = np.ones(n, np.bool_)
    covered = np.uint64(0)
    nearest[:n] = 0.0
    for place in range(k):
        adding = False
        if covering and 2 * place >= len(picks):
            for i in range(n):
                adding = adding or (free[i] and catalogue.genres[catalogue.entry[items[i]]] & ~covered != 0)
        best, most = -1, -np.inf
        for i in range(n):
            if not free[i] or (adding and catalogue.genres[catalogue.entry[items[i]]] & ~covered == 0):
                continue
            value = (1.0 - diversity) * relevance[i] - diversity * nearest[i]
            if value > most:
                best, most = i, value
        picks[place] = best
        free[best] = False
        covered |= catalogue.genres[catalogue.entry[items[best]]]
        for i in range(n):
            if free[i]:
                nearest[i] = max(nearest[i], similarity_of(items[best], items[i], catalogue))
    return k
