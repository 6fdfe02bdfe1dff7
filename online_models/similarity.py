"""How alike two items are by what is known of them: genres and year, from 0 (nothing in common) to 1 (the same).

    similarity(a, b) = mean of |A ∩ B| / |A ∪ B|, A and B their genres (Jaccard 1901), with weight 3,
                       and 2^(-|years between them| / 10), with weight 1,

over what is known of both; `UNKNOWN` where that is nothing, so that an item without metadata is neither sought nor
shunned when a list is made diverse.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import Catalogue

GENRE_WEIGHT = 3.0
YEAR_WEIGHT = 1.0
YEARS_HALF = 10.0
UNKNOWN = 0.5


@numba.njit(cache=True)
def _bits(mask: np.uint64) -> int:
    count = 0
    while mask != 0:
        mask &= mask - np.uint64(1)
        count += 1
    return count


@numba.njit(cache=True)
def similarity_of(a: int, b: int, catalogue: Catalogue) -> float:
    """How alike the items of rows `a` and `b` are, 0 to 1; see the module."""
    entry_a, entry_b = catalogue.entry[a], catalogue.entry[b]
    genres_a, genres_b = catalogue.genres[entry_a], catalogue.genres[entry_b]
    total, weight = 0.0, 0.0
    if genres_a != 0 and genres_b != 0:
        total += GENRE_WEIGHT * (_bits(genres_a & genres_b) / _bits(genres_a | genres_b))
        weight += GENRE_WEIGHT
    year_a, year_b = int(catalogue.year[entry_a]), int(catalogue.year[entry_b])
    if year_a != 0 and year_b != 0:
        total += YEAR_WEIGHT * 2.0 ** (-abs(year_a - year_b) / YEARS_HALF)
        weight += YEAR_WEIGHT
    return total / weight if weight > 0.0 else UNKNOWN


@numba.njit(cache=True)
def fill_likeness(
    items: NDArray[np.int32], among: NDArray[np.int32], catalogue: Catalogue, out: NDArray[np.float64]
) -> None:
    """out[i] (float64[n]): the mean similarity of items[i] to the rows `among` (int32[m], at least one)."""
    for i in range(len(items)):
        total = 0.0
        for other in among:
            total += similarity_of(items[i], other, catalogue)
        out[i] = total / len(among)
