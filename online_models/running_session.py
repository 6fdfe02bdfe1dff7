"""The running session: what a user has had without a pause, up to now."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import Histories


@numba.njit(cache=True)
def session_items(
    user: int, histories: Histories, time_ms: int, pause_ms: int, most: int
) -> NDArray[np.int32]:
    """Rows of the user's items since the last pause of `pause_ms`, oldest first, at most the `most` last; a view.

    user: -1 for an unknown one. time_ms: now, event time. None where the last item lies `pause_ms` or more back.
    """
    if user < 0:
        return histories.items[:0]
    start = histories.start[user]
    end = start + histories.length[user]
    first, later_ms = end, time_ms
    while first > start and end - first < most and later_ms - histories.times_ms[first - 1] < pause_ms:
        first -= 1
        later_ms = histories.times_ms[first]
    return histories.items[first:end]
