"""Novelty: the mean self-information of recommended items, in bits.

An item that c users had had, after N learned events, carries -log2(c / N); the figure is the mean over all items of
the sampled top lists. Zhou et al. (2010), "Solving the apparent diversity-accuracy dilemma of recommender systems",
PNAS 107(10). Items that nobody had had are left out: their information would be infinite.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def add_information(item_seen, learned, first_counted, bits, items):  # type: ignore[no-untyped-def]
    """Add up the self-information of s lists of one model, in order.

    item_seen: int32[s, k]; below 1 is left out. learned: int64[s], events learned before. first_counted: first list
    of the last 70 %. bits: float64[2], items: int64[2], over all and the last 70 %; updated.
    """
    for row in range(item_seen.shape[0]):
        for place in range(item_seen.shape[1]):
            if item_seen[row, place] < 1:
                continue
            information = -np.log2(item_seen[row, place] / learned[row])
            for span in range(2 if row >= first_counted else 1):
                bits[span] += information
                items[span] += 1
