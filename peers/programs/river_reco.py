"""River's `reco` models: each candidate is predicted by `predict_one`, as `reco.Ranker.rank` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import river
from numpy.typing import NDArray
from river import reco

from peers.files import Task
from peers.prequential import main


class _River:
    def __init__(self, model: Any, settings: dict[str, Any]) -> None:
        self._model = model
        self.settings = settings

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """See `Ranker`."""
        return np.array([self._model.predict_one(user=user, item=item) for item in candidates.tolist()])

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """See `Ranker`."""
        self._model.learn_one(user=user, item=item, y=rating)


def _baseline(task: Task) -> _River:
    return _River(reco.Baseline(), {})


def _funk_mf(task: Task) -> _River:
    return _River(reco.FunkMF(seed=task.seed), {"n_factors": 10})


def _biased_mf(task: Task) -> _River:
    return _River(reco.BiasedMF(seed=task.seed), {"n_factors": 10})


if __name__ == "__main__":
    main(
        {"Baseline": _baseline, "FunkMF": _funk_mf, "BiasedMF": _biased_mf},
        {"river": river.__version__},
    )
