"""EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data", WWW), fitted anew every 1,000 events.

B = I - P diag(1 / diag P) with P = (X'X + l I)^-1, its diagonal zero; a user's scores are x B, with all that the user has
had until now.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main
from peers.refitted import Refitted

RIDGE = 100.0


class Ease(Refitted):
    """Item-item weights in closed form."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.users, task.items)
        self._weights: NDArray[np.float32] | None = None
        self.settings |= {"ridge": RIDGE}
        self.state_bytes = 4 * task.items**2

    def fit(self) -> None:
        """See `Refitted`."""
        known = int(np.flatnonzero(self._counts)[-1]) + 1
        had = self._had[:, :known]
        inverse = np.linalg.inv((had.T @ had).astype(np.float64) + RIDGE * np.eye(known))
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self._weights = weights.astype(np.float32)

    def fitted_scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any] | None:
        """See `Refitted`."""
        if self._weights is None or not self._had[user].any():
            return None
        known = len(self._weights)
        scores = np.full(len(self._counts), np.nan)
        own = np.flatnonzero(self._had[user, :known])
        scores[:known] = self._weights[own].sum(axis=0)
        return scores[candidates]


if __name__ == "__main__":
    main({"EASE": Ease}, {"numpy": np.__version__})
