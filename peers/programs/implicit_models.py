"""implicit: ALS and BPR, fitted anew every 1,000 events; ALS folds in what a user has had since (`recalculate_user`)."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import implicit
import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main
from peers.refitted import Refitted

FACTORS = 64


class _Implicit(Refitted):
    def __init__(self, task: Task, settings: dict[str, Any]) -> None:
        super().__init__(task.users, task.items)
        self.settings |= settings
        self._seed = task.seed
        self._model: Any = None
        self._items = 0
        self._fitted_users: NDArray[np.bool_] = np.zeros(task.users, np.bool_)

    @abstractmethod
    def _new_model(self) -> Any:
        """An unfitted model."""

    def fit(self) -> None:
        """See `Refitted`."""
        self._items = int(np.flatnonzero(self._counts)[-1]) + 1
        had = self._had[:, : self._items]
        self._model = self._new_model()
        self._model.fit(sp.csr_matrix(had), show_progress=False)
        self._fitted_users = np.asarray(had.any(axis=1))

    def _user_vector(self, user: int) -> NDArray[Any] | None:
        return self._model.user_factors[user] if self._fitted_users[user] else None

    def fitted_scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any] | None:
        """See `Refitted`."""
        vector = None if self._model is None else self._user_vector(user)
        if vector is None:
            return None
        scores = np.full(len(self._counts), np.nan)
        scores[: self._items] = self._model.item_factors @ vector
        return scores[candidates]


class Als(_Implicit):
    """Implicit alternating least squares (Hu, Koren & Volinsky 2008)."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, {"factors": FACTORS, "regularization": 0.05, "alpha": 10.0, "iterations": 15})

    def _new_model(self) -> Any:
        return AlternatingLeastSquares(
            factors=FACTORS,
            regularization=0.05,
            alpha=10.0,
            iterations=15,
            num_threads=1,
            random_state=self._seed,
        )

    def _user_vector(self, user: int) -> NDArray[Any] | None:
        own = self._had[user, : self._items]
        if not own.any():
            return None
        vector: NDArray[Any] = self._model.recalculate_user(0, sp.csr_matrix(own))
        return vector


class Bpr(_Implicit):
    """Bayesian personalised ranking (Rendle et al. 2009); it cannot fold in, so a user waits for the next fit."""

    def __init__(self, task: Task) -> None:
        super().__init__(
            task, {"factors": FACTORS, "learning_rate": 0.05, "regularization": 0.01, "iterations": 50}
        )

    def _new_model(self) -> Any:
        return BayesianPersonalizedRanking(
            factors=FACTORS,
            learning_rate=0.05,
            regularization=0.01,
            iterations=50,
            num_threads=1,
            random_state=self._seed,
        )


if __name__ == "__main__":
    main({"ALS": Als, "BPR": Bpr}, {"implicit": implicit.__version__})
