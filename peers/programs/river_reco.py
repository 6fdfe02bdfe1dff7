"""River's `reco` models: each candidate is predicted by `predict_one`, as `reco.Ranker.rank` does.

Settings are those of River's own guide to recommenders; with its defaults FunkMF overflows to NaN on these streams.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import optim, reco

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


def _latents(task: Task) -> optim.initializers.Normal:
    return optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73 + task.seed)


def _baseline(task: Task) -> _River:
    return _River(reco.Baseline(optimizer=optim.SGD(0.025), l2=0.0), {"rate": 0.025})


def _funk_mf(task: Task) -> _River:
    model = reco.FunkMF(n_factors=10, optimizer=optim.SGD(0.05), l2=0.0, initializer=_latents(task))
    return _River(model, {"n_factors": 10, "rate": 0.05})


def _biased_mf(task: Task) -> _River:
    model = reco.BiasedMF(
        n_factors=10,
        bias_optimizer=optim.SGD(0.025),
        latent_optimizer=optim.SGD(0.05),
        weight_initializer=optim.initializers.Zeros(),
        latent_initializer=_latents(task),
        l2_bias=0.0,
        l2_latent=0.0,
    )
    return _River(model, {"n_factors": 10, "bias_rate": 0.025, "latent_rate": 0.05})


if __name__ == "__main__":
    main(
        {"Baseline": _baseline, "FunkMF": _funk_mf, "BiasedMF": _biased_mf},
        {"river": importlib.metadata.version("river")},
    )
