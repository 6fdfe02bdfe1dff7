"""Serendipity@10: the share of ranked events that a model has among its ten best and popularity does not.

Relevant and unexpected, where what is expected is what a primitive model of the same run gives: Ge,
Delgado-Battenfeld & Jannach (2010), "Beyond accuracy: evaluating recommender systems by coverage and serendipity",
RecSys; Murakami, Mori & Orihara (2008), "Metrics for evaluating the serendipity of recommendation lists". With one
relevant item an event it is defined for every event, and needs no lists.
"""

from __future__ import annotations

from typing import Final

from numba import njit

PRIMITIVE: Final = "popularity"
CUTOFF: Final = 10


@njit(cache=True)
def count_unexpected(clipped, primitive, first_counted, unexpected, ranked):  # type: ignore[no-untyped-def]
    """Count unexpected hits of all models.

    clipped: uint8[M, n], histogram indices, 0 where an event is not ranked (alike for all models). primitive: row of
    the primitive model. first_counted: first event of the last 70 %. unexpected: int64[M, 2], ranked: int64[2], over
    all and the last 70 %; updated.
    """
    models, n = clipped.shape
    for i in range(n):
        expected = clipped[primitive, i]
        if expected == 0:
            continue
        spans = 2 if i >= first_counted else 1
        for span in range(spans):
            ranked[span] += 1
        if expected <= CUTOFF:
            continue
        for m in range(models):
            if clipped[m, i] <= CUTOFF:
                for span in range(spans):
                    unexpected[m, span] += 1
