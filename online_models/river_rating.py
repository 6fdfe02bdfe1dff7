"""River's rating models, unchanged, as members of the registry: the references for rating prediction.

    rating = mean + bias(user) + bias(item) + <latent(user), latent(item)>

of which each model of `river.reco` has some terms; all are learned by stochastic gradient descent (Koren, Bell &
Volinsky 2009). A model is a subclass of `RiverRating` that says which terms it has. They work through events one by
one in Python, and are therefore not in the default set.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from online_models.interactions import REPEAT, Histories, Interactions, Moment, Predictions
from online_models.model import Model, ModelConfig, Situation


class RiverRating(Model):
    """Predicts ratings only; users and items are known to River by their rows.

    mean, biases, latents: which terms River's model has; optimizers: names of its optimizers.
    """

    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    mean: ClassVar[bool]
    biases: ClassVar[bool]
    latents: ClassVar[bool]
    optimizers: ClassVar[tuple[str, ...]]

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        try:
            from river import optim, reco
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'model {self.name} needs River, which is not installed: pip install "engram-stream[river]"'
            ) from error
        self._initializer = self.initializer(optim)
        self._model: Any = self.build(reco, optim, self._initializer)

    @abstractmethod
    def build(self, reco: Any, optim: Any, initializer: Any) -> Any:
        """Make River's model of `config`; reco, optim: River's modules; initializer: of latent vectors, or None."""

    def initializer(self, optim: Any) -> Any:
        """Make the generator of first latent vectors; None for a model without any."""
        return None

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
        expected = np.zeros(moment.items)
        if self.mean:
            expected += model.global_mean.get()
        if self.biases:
            expected += model.u_biases.get(user, 0.0)
            expected += [model.i_biases.get(item, 0.0) for item in range(moment.items)]
        if self.latents:
            nothing = np.zeros(model.n_factors)
            mine = model.u_latents.get(user, nothing)
            # One product at a time, as River itself computes them.
            expected += [np.dot(mine, model.i_latents.get(item, nothing)) for item in range(moment.items)]
        return expected

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        for side, rows in (("u", users), ("i", items)):
            number = {row: at for at, row in enumerate(rows.tolist())}
            for table in self._tables(side):
                kept = {number[row]: value for row, value in table.items() if row in number}
                _replace(table, list(kept), list(kept.values()))

    def forget_user(self, user: int) -> None:
        """See `Model.forget_user`."""
        for table in self._tables("u"):
            table.pop(user, None)

    def _tables(self, side: str) -> list[dict[int, Any]]:
        """River's tables by row: of users (u) or items (i)."""
        names = [name for name, there in (("biases", self.biases), ("latents", self.latents)) if there]
        return [getattr(self._model, f"{side}_{name}") for name in names]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Rows, biases and latent vectors in River's order, its mean, iterations and generator; what there is of it."""
        model = self._model
        named: dict[str, NDArray[Any]] = {}
        for side in ("u", "i"):
            if self.biases:
                biases = getattr(model, f"{side}_biases")
                named[f"{side}_bias_rows"] = np.array(list(biases), np.int32)
                named[f"{side}_biases"] = np.array(list(biases.values()), np.float64)
            if self.latents:
                latents = getattr(model, f"{side}_latents")
                vectors = np.array(list(latents.values()), np.float64)
                named[f"{side}_latent_rows"] = np.array(list(latents), np.int32)
                named[f"{side}_latents"] = vectors.reshape(-1, model.n_factors)
        if self.mean:
            named["mean"] = np.array([model.global_mean.n, model.global_mean.get()], np.float64)
        iterations = [getattr(model, name).n_iterations for name in self.optimizers]
        named["iterations"] = np.array(iterations, np.int64)
        if self._initializer is not None:
            _, keys, place, has_gauss, gauss = self._initializer._rng.get_state(legacy=True)
            named["rng_keys"] = np.asarray(keys, np.uint32)
            named["rng_place"] = np.array([place, has_gauss], np.int64)
            named["rng_gauss"] = np.array([gauss], np.float64)
        return named

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        model = self._model
        for side in ("u", "i"):
            if self.biases:
                rows, values = arrays[f"{side}_bias_rows"].tolist(), arrays[f"{side}_biases"].tolist()
                _replace(getattr(model, f"{side}_biases"), rows, values)
            if self.latents:
                rows, vectors = arrays[f"{side}_latent_rows"].tolist(), list(arrays[f"{side}_latents"].copy())
                _replace(getattr(model, f"{side}_latents"), rows, vectors)
        if self.mean:
            count, mean = arrays["mean"].tolist()
            model.global_mean.n, model.global_mean._mean = int(count), mean
        for name, iterations in zip(self.optimizers, arrays["iterations"].tolist(), strict=True):
            getattr(model, name).n_iterations = iterations
        if self._initializer is not None:
            place, has_gauss = arrays["rng_place"].tolist()
            gauss = float(arrays["rng_gauss"][0])
            self._initializer._rng.set_state(("MT19937", arrays["rng_keys"], place, has_gauss, gauss))

    def normal_latents(self, optim: Any, sigma: float, latent_seed: int) -> Any:
        """Make the generator of normal latent vectors: `latent_seed` plus the run's own seed, 32 bits of it."""
        return optim.initializers.Normal(
            mu=0.0, sigma=sigma, seed=(latent_seed + self.situation.seed) % (1 << 32)
        )


def _replace(table: dict[int, Any], rows: list[int], values: list[Any]) -> None:
    # In place: River's tables know the initial value of a new row.
    table.clear()
    table.update(zip(rows, values, strict=True))
