"""Figures of a split by time: where the relevant items of each user stand among all items that the user has not had.

With r_1 < r_2 < ... the ranks of a user's n relevant items (1 is best; an item's rank counts all candidates that score
at least as high, itself among them, so equal scores count against it):

    HR@K         1 if any r <= K                Precision@K  |r <= K| / K           Recall@K  |r <= K| / n
    NDCG@K       sum over r <= K of 1 / log2(r + 1), by the same sum for ranks 1 to min(n, K)
    MRR@K        1 / r_1 if r_1 <= K, else 0

Users weigh alike. Bands: of users by how many events they have in training, of items likewise; an item band's figure is
the share of its relevant pairs that are found in the first 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CUTOFFS: Final = (5, 10, 20)
MEASURES: Final = ("hr", "precision", "recall", "ndcg", "mrr")
# Lower ends of the bands, in events of training; the last is open.
BANDS: Final = (0, 1, 10, 50, 200)
BAND_CUTOFF: Final = 10


class Asked(NamedTuple):
    """One user's answer. ranks: int64[n >= 1], of the relevant items; items: int64[n], their rows; events: in training."""

    ranks: NDArray[np.int64]
    items: NDArray[np.int64]
    events: int


def ranks_of(
    scores: NDArray[np.float64], had: NDArray[np.int64], relevant: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ranks of the relevant items among all that are not in `had`; NaN is below everything, and ranked last.

    scores: float64[items]; had, relevant: int64 rows, without one in common.
    """
    candidates = np.where(np.isnan(scores), -np.inf, scores)
    own = candidates[relevant]
    left = np.ones(len(scores), np.bool_)
    left[had] = False
    in_order = np.sort(candidates[left])
    return len(in_order) - np.searchsorted(in_order, own, "left")


def user_figures(ranks: NDArray[np.int64]) -> dict[str, float]:
    """Figures of one user, {measure@K: value}. ranks: int64[n >= 1]."""
    figures: dict[str, float] = {}
    for cutoff in CUTOFFS:
        found = np.sort(ranks[ranks <= cutoff])
        ideal = np.arange(1, min(len(ranks), cutoff) + 1)
        gain = float((1.0 / np.log2(found + 1.0)).sum()) / float((1.0 / np.log2(ideal + 1.0)).sum())
        values = (
            float(len(found) > 0),
            len(found) / cutoff,
            len(found) / len(ranks),
            gain,
            1.0 / float(found[0]) if len(found) else 0.0,
        )
        figures |= {f"{measure}@{cutoff}": value for measure, value in zip(MEASURES, values, strict=True)}
    return figures


def mean_figures(answers: Sequence[Asked]) -> dict[str, float]:
    """Mean over users, {measure@K: value}; nothing for no users."""
    each = [user_figures(answer.ranks) for answer in answers]
    return {name: float(np.mean([one[name] for one in each])) for name in (each[0] if each else ())}


def by_user_band(answers: Sequence[Asked]) -> dict[str, dict[str, float]]:
    """{band: figures and how many `users`}, of bands with users."""
    found = {}
    for name, least, most in _bands():
        here = [answer for answer in answers if least <= answer.events < most]
        if here:
            found[name] = {"users": float(len(here)), **mean_figures(here)}
    return found


def by_item_band(answers: Sequence[Asked], item_events: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """{band: relevant `pairs`, and the share `found@10` of them}; item_events: int64[items], in training."""
    if not answers:
        return {}
    ranks = np.concatenate([answer.ranks for answer in answers])
    events = item_events[np.concatenate([answer.items for answer in answers])]
    found = {}
    for name, least, most in _bands():
        here = (events >= least) & (events < most)
        if here.any():
            share = float((ranks[here] <= BAND_CUTOFF).mean())
            found[name] = {"pairs": float(here.sum()), f"found@{BAND_CUTOFF}": share}
    return found


def _bands() -> list[tuple[str, float, float]]:
    ends = [*BANDS[1:], float("inf")]
    return [
        (
            f"{least}"
            if end == least + 1
            else f"{least} to {end - 1}"
            if end < np.inf
            else f"{least} or more",
            least,
            end,
        )
        for least, end in zip(BANDS, ends, strict=True)
    ]
