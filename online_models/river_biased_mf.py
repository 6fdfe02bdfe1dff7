"""River's BiasedMF, unchanged: mean, biases and latent vectors of users and items (see `river_rating`).

Parameters are those of River's own documentation for MovieLens 100K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from online_models.model import ModelConfig
from online_models.parameter_ranges import check_range
from online_models.river_rating import RiverRating


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

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter that is not positive."""
        check_range(self, "n_factors", "bias_rate", "latent_rate", "latent_sigma", above=0)


class RiverBiasedMF(RiverRating):
    """rating = mean + bias(user) + bias(item) + <latent(user), latent(item)>."""

    name: ClassVar[str] = "river_biased_mf"
    draws: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = RiverBiasedMFConfig
    mean: ClassVar[bool] = True
    biases: ClassVar[bool] = True
    latents: ClassVar[bool] = True
    optimizers: ClassVar[tuple[str, ...]] = (
        "u_bias_optimizer",
        "i_bias_optimizer",
        "u_latent_optimizer",
        "i_latent_optimizer",
    )
    config: RiverBiasedMFConfig

    def initializer(self, optim: Any) -> Any:
        """See `RiverRating.initializer`."""
        return self.normal_latents(optim, self.config.latent_sigma, self.config.latent_seed)

    def build(self, reco: Any, optim: Any, initializer: Any) -> Any:
        """See `RiverRating.build`."""
        return reco.BiasedMF(
            n_factors=self.config.n_factors,
            bias_optimizer=optim.SGD(self.config.bias_rate),
            latent_optimizer=optim.SGD(self.config.latent_rate),
            weight_initializer=optim.initializers.Zeros(),
            latent_initializer=initializer,
            l2_bias=0.0,
            l2_latent=0.0,
        )
