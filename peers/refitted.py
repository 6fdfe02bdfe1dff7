"""A batch model kept fresh by fitting it anew every N events, as those must who have no online one. Needs numpy alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

EVERY: Final = 1_000


class Refitted(ABC):
    """What two rankers share: the matrix of what users have had, refits, and popularity for what no fit knows.

    Popularity lies below all scores of the model, by construction of `_below`.
    """

    def __init__(self, users: int, items: int, every: int = EVERY) -> None:
        self._had = np.zeros((users, items), np.float32)
        self._counts = np.zeros(items)
        self._every = every
        self._events = 0
        self.settings: dict[str, Any] = {"refitted_every": every}

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """See `Ranker`."""
        popular: NDArray[Any] = self._counts[candidates]
        found = self.fitted_scores(user, candidates)
        if found is None:
            return popular
        whole: NDArray[Any] = np.where(np.isnan(found), self._below(found, popular), found)
        return whole

    @staticmethod
    def _below(found: NDArray[Any], popular: NDArray[Any]) -> NDArray[Any]:
        known = found[~np.isnan(found)]
        floor = known.min() if len(known) else 0.0
        below: NDArray[Any] = floor - 1.0 + popular / (popular.max() + 1.0)
        return below

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """See `Ranker`."""
        self._had[user, item] = 1.0
        self._counts[item] += 1.0
        self._events += 1
        if self._events % self._every == 0:
            self.fit()

    @abstractmethod
    def fit(self) -> None:
        """Fit the model to all of `_had`."""

    @abstractmethod
    def fitted_scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any] | None:
        """Return scores, NaN for items that the last fit did not know; None where it knows nothing of the user."""
