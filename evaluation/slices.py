"""Ranking by kind of event: how old the user is, and how popular the item, as both were before the event.

A user's age is the number of the event among the user's own: 1st, 2nd to 5th, 6th to 20th, 21st and later. An item's
band is how many users had had it: 1 to 9, 10 to 99, 100 to 999, 1,000 and more; an item that nobody had had is a miss
for every model and has the table of cold items instead. Each event is in one slice of users, and in at most one of
items. Histograms are integers, so slices of users add up to the cumulative histogram exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from evaluation.named_arrays import Arrays
from evaluation.ranking import empty_histogram, ranked_events, ranking_figures

# Slice: the least count that is in it.
USER_SLICES: Final = {"user_1": 0, "user_2_5": 1, "user_6_20": 5, "user_21": 20}
ITEM_SLICES: Final = {"item_1_9": 1, "item_10_99": 10, "item_100_999": 100, "item_1000": 1000}
SLICES: Final = (*USER_SLICES, *ITEM_SLICES)
SLICE_MEASURES: Final = ("recall@10", "ndcg@10", "mrr@10")

_USER_FROM: Final = np.array(list(USER_SLICES.values()), np.int32)
_ITEM_FROM: Final = np.array(list(ITEM_SLICES.values()), np.int32)


@njit(cache=True)
def count_slices(clipped, user_seen, item_seen, user_from, item_from, first_counted, histograms):  # type: ignore[no-untyped-def]
    """Count a block of events in the slices of all models.

    clipped: uint8[M, n], histogram indices. user_seen, item_seen: int32[n]. user_from, item_from: int32[U], int32[I],
    least counts of the slices, ascending. first_counted: first event of the last 70 %.
    histograms: int64[2, M, U + I, 22], over all and the last 70 %; updated.
    """
    models, n = clipped.shape
    users = len(user_from)
    for i in range(n):
        of_user = 0
        while of_user + 1 < users and user_seen[i] >= user_from[of_user + 1]:
            of_user += 1
        of_item = -1
        while of_item + 1 < len(item_from) and item_seen[i] >= item_from[of_item + 1]:
            of_item += 1
        for span in range(2 if i >= first_counted else 1):
            for m in range(models):
                histograms[span, m, of_user, clipped[m, i]] += 1
                if of_item >= 0:
                    histograms[span, m, users + of_item, clipped[m, i]] += 1


class SlicedRanking:
    """Histograms of one lane by slice. histograms: int64[2, M, 8, 22]: all and last 70 %, models, `SLICES`."""

    def __init__(self, models: int) -> None:
        self.histograms = empty_histogram(2, models, len(SLICES))

    def update(
        self,
        clipped: NDArray[np.uint8],
        user_seen: NDArray[np.int32],
        item_seen: NDArray[np.int32],
        first_counted: int,
    ) -> None:
        """Take events: clipped uint8[M, n]; user_seen, item_seen int32[n]; first_counted as in `count_slices`."""
        count_slices(clipped, user_seen, item_seen, _USER_FROM, _ITEM_FROM, first_counted, self.histograms)

    def arrays(self) -> Arrays:
        """Return the state's arrays by name: the arrays themselves."""
        return {"histograms": self.histograms}


def slice_figures(lanes: Sequence[SlicedRanking], span: int, model: int) -> dict[str, Any]:
    """Return {slice: {"ranked": events, measure: mean} or None where nothing was ranked}, of lanes together.

    span: 0 for all, 1 for the last 70 %. model: its row.
    """
    total = np.sum([lane.histograms[span, model] for lane in lanes], axis=0)
    figures: dict[str, Any] = {}
    for row, name in enumerate(SLICES):
        of = ranking_figures(total[row])
        figures[name] = of and {
            "ranked": int(ranked_events(total[row])),
            **{measure: of[measure] for measure in SLICE_MEASURES},
        }
    return figures
