"""Intra-list diversity: how different the genres of the items of a list are.

The mean over pairs of 1 - |A ∩ B| / |A ∪ B| (Jaccard), A and B being the genres of two items of the list; then the
mean over lists. Smyth & McClave (2001), "Similarity vs. diversity", ICCBR; Ziegler et al. (2005), "Improving
recommendation lists through topic diversification", WWW. Items without genres are left out, and so are lists with
fewer than two others.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def add_diversity(genres, item_seen, first_counted, sums, lists):  # type: ignore[no-untyped-def]
    """Add up the diversity of s lists of one model, in order.

    genres: uint64[s, k], bit masks, 0 for unknown. item_seen: int32[s, k], below 0 for padding. first_counted: first
    list of the last 70 %. sums: float64[2], lists: int64[2], over all and the last 70 %; updated.
    """
    one = np.uint64(1)
    for row in range(genres.shape[0]):
        total = 0.0
        pairs = 0
        for i in range(genres.shape[1]):
            if item_seen[row, i] < 0 or genres[row, i] == 0:
                continue
            for j in range(i):
                if item_seen[row, j] < 0 or genres[row, j] == 0:
                    continue
                both = genres[row, i] & genres[row, j]
                either = genres[row, i] | genres[row, j]
                shared = 0
                while both != 0:
                    both &= both - one
                    shared += 1
                all_genres = 0
                while either != 0:
                    either &= either - one
                    all_genres += 1
                total += 1.0 - shared / all_genres
                pairs += 1
        if pairs == 0:
            continue
        for span in range(2 if row >= first_counted else 1):
            sums[span] += total / pairs
            lists[span] += 1
