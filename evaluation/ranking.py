"""Ranking measures of one relevant item per event, computed from integer histograms of ranks.

A histogram is int64[22] (float64[22] where events are weighted): index 0 counts repeats, which are not ranked;
1 to 20 count that rank; 21 counts ranks beyond 20 and items never seen before. Repeats stay out of the
denominator, everything else is in it. Histograms of parts add up to the histogram of the whole exactly, so no
order of summation can change a figure.

With the target at rank r and one relevant item, at cut-off K (each 0 where r > K):

* Recall@K = HR@K = 1, and Precision@K = 1 / K: with one relevant item an event, the hit rate is the recall, and the
  precision is the recall over K. All three are given, as the field uses all three names. Cremonesi, Koren & Turrin (2010), "Performance of recommender algorithms on top-N
  recommendation tasks", RecSys.
* NDCG@K = 1 / log2(r + 1), the ideal DCG being 1. Järvelin & Kekäläinen (2002), "Cumulated gain-based evaluation of
  IR techniques", ACM TOIS 20(4); the one-item form: He et al. (2017), "Neural collaborative filtering", WWW.
* MRR@K = 1 / r. Voorhees (1999), "The TREC-8 question answering track report".
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CUTOFFS: Final = (5, 10, 20)
BEYOND: Final = 21
BUCKETS: Final = 22
NOT_RANKED: Final = 0
MISS: Final = -1

Histogram = NDArray[Any]


def _gains() -> dict[str, tuple[float, ...]]:
    """{measure: what an event at rank 1, 2, ... K is worth}, K being the length."""
    worth = {
        "recall": [1.0] * 20,
        "ndcg": [1.0 / math.log2(rank + 1) for rank in range(1, 21)],
        "mrr": [1.0 / rank for rank in range(1, 21)],
    }
    return {
        f"{name}@{cutoff}": tuple(by_rank[:cutoff]) for name, by_rank in worth.items() for cutoff in CUTOFFS
    }


GAINS: Final = _gains()
MEASURES: Final = (*GAINS, *(f"{name}@{cutoff}" for name in ("precision", "hr") for cutoff in CUTOFFS))


def clip_ranks(ranks: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the histogram index of each rank (int32[n]: 1 = best, 0 = not ranked, -1 = miss)."""
    # Seen as unsigned, a miss is the largest number.
    clipped: NDArray[np.uint8] = np.minimum(ranks.view(np.uint32), BEYOND).astype(np.uint8)
    return clipped


def count_ranks(clipped: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the histogram (int64[22]) of clipped ranks."""
    return np.bincount(clipped, minlength=BUCKETS)


def ranked_events(histogram: Histogram) -> float:
    """How many events the denominator has: all but repeats (a float where events are weighted)."""
    return math.fsum(histogram[1:].tolist())


def ranking_figures(histogram: Histogram) -> dict[str, float] | None:
    """Return {measure: mean over ranked events} for all of `MEASURES`, or None when nothing was ranked.

    histogram: int64[22] or float64[22]. Figures are in [0, 1].
    Raises `AssertionError` if Recall@K >= NDCG@K >= MRR@K, a law of these formulas, does not hold.
    """
    events = ranked_events(histogram)
    if events <= 0:
        return None
    counts = histogram[1:BEYOND].tolist()
    figures = {
        measure: math.fsum(gain * count for gain, count in zip(gains, counts, strict=False)) / events
        for measure, gains in GAINS.items()
    }
    for cutoff in CUTOFFS:
        recall, ndcg, mrr = (figures[f"{name}@{cutoff}"] for name in ("recall", "ndcg", "mrr"))
        if not 1.0 >= recall >= ndcg >= mrr >= 0.0:
            raise AssertionError(
                f"recall@{cutoff} {recall}, ndcg@{cutoff} {ndcg}, mrr@{cutoff} {mrr}: expected 1 >= recall >= "
                "ndcg >= mrr >= 0"
            )
        figures[f"precision@{cutoff}"] = recall / cutoff
        figures[f"hr@{cutoff}"] = recall
    return figures


def empty_histogram(*leading: int) -> NDArray[np.int64]:
    """Return int64[*leading, 22] of zeros."""
    return np.zeros((*leading, BUCKETS), np.int64)
