"""The prequential rank: 1 + the number of other candidates with a score at or above the target's.

Candidates are the known items less those that the user has had.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def rank_among(
    scores: NDArray[np.floating],
    known: int,
    target: int,
    had: NDArray[np.int32],
    ties_against: bool,
) -> int:
    """Rank of `target` by scores[:known]; `had`: int32 rows that the user has had, without the target.

    The target itself is counted by `>=` (that is the 1 of the rank), and not by `>`.
    """
    own = scores[target]
    above = 0
    if ties_against:
        for item in range(known):
            above += scores[item] >= own
        for place in range(len(had)):
            above -= scores[had[place]] >= own
        return above
    for item in range(known):
        above += scores[item] > own
    for place in range(len(had)):
        above -= scores[had[place]] > own
    return above + 1
