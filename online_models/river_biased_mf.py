"""River's BiasedMF, unchanged, as a member of the registry: the reference for rating prediction.

rating = mean + bias(user) + bias(item) + <latent(user), latent(item)>, learned by stochastic gradient descent
(Koren, Bell & Volinsky 2009; `river.reco.BiasedMF`). Parameters are those of River's own documentation for
MovieLens 100K. It works through events one by one in Python, and is therefore not in the default set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from online_models.interactions import REPEAT, Histories, Interactions, Moment, Predictions
from online_models.model import Model, ModelConfig, Situation

_OPTIMISERS = ("u_bias_optimizer", "i_bias_optimizer", "u_latent_optimizer", "i_latent_optimizer")


@dataclass(frozen=True)
class RiverBiasedMFConfig(ModelConfig):
    """Factors, learning rates, and the seed and spread of the first latent vectors.

    latent_seed: of a run whose own seed is 0; other seeds are added to it.
    """

    n_factors: int = 10
    bias_rate: float = 0.025
    latent_rate: float = 0.05
    latent_sigma: float = 0.1
    latent_seed: int = 73


class RiverBiasedMF(Model):
    """Predicts ratings only; users and items are known to River by their rows."""

    name: ClassVar[str] = "river_biased_mf"
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = RiverBiasedMFConfig
    config: RiverBiasedMFConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        try:
            from river import optim, reco
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'model {self.name} needs River, which is not installed: pip install "engram-stream[river]"'
            ) from error
        seed = (self.config.latent_seed + self.situation.seed) % (1 << 32)
        self._initializer = optim.initializers.Normal(mu=0.0, sigma=self.config.latent_sigma, seed=seed)
        self._model: Any = reco.BiasedMF(
            n_factors=self.config.n_factors,
            bias_optimizer=optim.SGD(self.config.bias_rate),
            latent_optimizer=optim.SGD(self.config.latent_rate),
            weight_initializer=optim.initializers.Zeros(),
            latent_initializer=self._initializer,
            l2_bias=0.0,
            l2_latent=0.0,
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`; events without a rating are left out."""
        wanted = np.flatnonzero(((events.flags & REPEAT) == 0) & ~np.isnan(events.rating))
        columns = (wanted, events.user[wanted], events.item[wanted], events.rating[wanted])
        for at, user, item, rating in zip(*(column.tolist() for column in columns), strict=True):
            # Predicting gives a new user or item its first vector, which learning then moves.
            out.ratings[at] = self._model.predict_one(user, item)
            self._model.learn_one(user, item, rating)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating. River's own prediction would add what it does not know."""
        model = self._model
        items = range(moment.items)
        biases = np.array([model.i_biases.get(item, 0.0) for item in items], np.float64)
        nothing = np.zeros(self.config.n_factors)
        latents = [model.i_latents.get(item, nothing) for item in items]
        mine = model.u_latents.get(user, nothing)
        products = np.array([np.dot(mine, latent) for latent in latents], np.float64)
        expected: NDArray[np.float64] = (
            model.global_mean.get() + model.u_biases.get(user, 0.0) + biases + products
        )
        return expected

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Rows, biases and latent vectors in River's order, its mean, iterations and generator."""
        model, factors = self._model, self.config.n_factors
        named: dict[str, NDArray[Any]] = {}
        for side in ("u", "i"):
            biases, latents = getattr(model, f"{side}_biases"), getattr(model, f"{side}_latents")
            named[f"{side}_bias_rows"] = np.array(list(biases), np.int32)
            named[f"{side}_biases"] = np.array(list(biases.values()), np.float64)
            named[f"{side}_latent_rows"] = np.array(list(latents), np.int32)
            named[f"{side}_latents"] = np.array(list(latents.values()), np.float64).reshape(-1, factors)
        named["mean"] = np.array([model.global_mean.n, model.global_mean.get()], np.float64)
        named["iterations"] = np.array([getattr(model, name).n_iterations for name in _OPTIMISERS], np.int64)
        _, keys, place, has_gauss, gauss = self._initializer._rng.get_state(legacy=True)
        named["rng_keys"] = np.asarray(keys, np.uint32)
        named["rng_place"] = np.array([place, has_gauss], np.int64)
        named["rng_gauss"] = np.array([gauss], np.float64)
        return named

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        model = self._model
        for side in ("u", "i"):
            biases, latents = getattr(model, f"{side}_biases"), getattr(model, f"{side}_latents")
            biases.clear()
            latents.clear()
            rows = arrays[f"{side}_bias_rows"].tolist()
            biases.update(zip(rows, arrays[f"{side}_biases"].tolist(), strict=True))
            rows = arrays[f"{side}_latent_rows"].tolist()
            latents.update(zip(rows, arrays[f"{side}_latents"].copy(), strict=True))
        count, mean = arrays["mean"].tolist()
        model.global_mean.n, model.global_mean._mean = int(count), mean
        for name, iterations in zip(_OPTIMISERS, arrays["iterations"].tolist(), strict=True):
            getattr(model, name).n_iterations = iterations
        place, has_gauss = arrays["rng_place"].tolist()
        gauss = float(arrays["rng_gauss"][0])
        self._initializer._rng.set_state(("MT19937", arrays["rng_keys"], place, has_gauss, gauss))
