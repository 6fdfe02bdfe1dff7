"""River's FunkMF, unchanged: latent vectors of users and items and nothing else (see `river_rating`).

Parameters are those of River's own documentation for MovieLens 100K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from online_models.model import ModelConfig
from online_models.parameter_ranges import check_range
from online_models.river_rating import RiverRating


@dataclass(frozen=True)
class RiverFunkMFConfig(ModelConfig):
    """Factors, learning rate, and the seed and spread of the first latent vectors.

    latent_seed: of a run whose own seed is 0; other seeds are added to it.
    """

    n_factors: int = 10
    rate: float = 0.05
    latent_sigma: float = 0.1
    latent_seed: int = 73

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter that is not positive."""
        check_range(self, "n_factors", "rate", "latent_sigma", above=0)


class RiverFunkMF(RiverRating):
    """rating = <latent(user), latent(item)>; 0 for a user or an item that has no vector yet."""

    name: ClassVar[str] = "river_funk_mf"
    draws: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = RiverFunkMFConfig
    mean: ClassVar[bool] = False
    biases: ClassVar[bool] = False
    latents: ClassVar[bool] = True
    optimizers: ClassVar[tuple[str, ...]] = ("u_optimizer", "i_optimizer")
    config: RiverFunkMFConfig

    def initializer(self, optim: Any) -> Any:
        """See `RiverRating.initializer`."""
        return self.normal_latents(optim, self.config.latent_sigma, self.config.latent_seed)

    def build(self, reco: Any, optim: Any, initializer: Any) -> Any:
        """See `RiverRating.build`."""
        return reco.FunkMF(
            n_factors=self.config.n_factors,
            optimizer=optim.SGD(self.config.rate),
            l2=0.0,
            initializer=initializer,
        )
