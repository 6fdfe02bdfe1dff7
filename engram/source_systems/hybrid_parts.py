"""The rule of source system 4, and the scorer that flattered it, in numpy.

Weights of content, collaborative and popularity parts: .7/.2/.1 for a user with under 5 ratings, .5/.35/.15 under 10, else
.3/.6/.1; each part is scaled to 0 ... 1 over the catalogue. Its content part compared texts (TF-IDF and MiniLM); here it is
the cosine of genres, which is what the data set holds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_WEIGHTS: Final = ((5, (0.7, 0.2, 0.1)), (10, (0.5, 0.35, 0.15)))
_REGULAR: Final = (0.3, 0.6, 0.1)
Scores = NDArray[np.float64]


def weights_for(ratings: int) -> tuple[float, float, float]:
    """Return the weights of content, collaborative and popularity for a user with so many ratings."""
    return next((weights for below, weights in _WEIGHTS if ratings < below), _REGULAR)


class HybridRule:
    """Scores of all items for a user, from what the user has had.

    genres: float64[items, genres], 0 or 1. user, item: int64[n], rows of the training events, positive or not.
    """

    def __init__(
        self, genres: NDArray[np.float64], user: NDArray[np.int64], item: NDArray[np.int64], users: int
    ) -> None:
        length = np.linalg.norm(genres, axis=1, keepdims=True)
        self._content = np.divide(genres, length, out=np.zeros_like(genres), where=length > 0)
        had = np.zeros((users, len(genres)), np.float32)
        had[user, item] = 1.0
        self._counts = had.sum(axis=0).astype(np.float64)
        norm = np.sqrt(np.maximum(self._counts, 1.0)).astype(np.float32)
        self._scaled = had / norm

    def scores(self, own: NDArray[np.int64]) -> Scores:
        """Return float64[items]; own: rows of the items that the user has had."""
        parts = (
            self._content @ self._content[own].sum(axis=0),
            (self._scaled.T @ self._scaled[:, own].sum(axis=1)).astype(np.float64),
            self._counts,
        )
        total = np.zeros(len(self._counts))
        for weight, part in zip(weights_for(len(own)), parts, strict=True):
            most = part.max(initial=0.0)
            total += weight * (part / most if most > 0 else part)
        return total


def tie_averaged_ndcg(listed: NDArray[np.int64], relevant: NDArray[np.int64], candidates: int) -> float:
    """NDCG over the whole catalogue where all that is not in the list is one tie, each place worth the tie's mean.

    listed: int64[k] rows, best first; relevant: int64[n >= 1] rows; candidates: items that there are. A list without a hit
    gets what the tie is worth, which is not nothing: that was the published figure's ground.
    """
    worth = 1.0 / np.log2(np.arange(2, candidates + 2))
    hits = np.isin(listed, relevant)
    rest = worth[len(listed) :].mean() if candidates > len(listed) else 0.0
    gain = float(worth[: len(listed)][hits].sum()) + float(rest) * (len(relevant) - int(hits.sum()))
    return gain / float(worth[: len(relevant)].sum())


def diversity(lists: NDArray[np.int64], genres: NDArray[np.float64]) -> float:
    """Mean over lists (int64[m, k] rows) of the mean of 1 - Jaccard of genres over pairs of listed items that have any."""
    each = []
    for items in lists:
        own = genres[items]
        own = own[own.any(axis=1)]
        if len(own) < 2:
            continue
        both = own @ own.T
        either = own.sum(1)[:, None] + own.sum(1)[None, :] - both
        upper = np.triu_indices(len(own), 1)
        each.append(float((1.0 - both[upper] / either[upper]).mean()))
    return float(np.mean(each)) if each else 0.0


def novelty(lists: NDArray[np.int64], counts: NDArray[np.float64], events: int) -> float:
    """Mean of -log2(count / events) over listed items that somebody has had, in bits."""
    known = counts[lists.ravel()]
    known = known[known > 0]
    return float(-np.log2(known / events).mean()) if len(known) else 0.0
