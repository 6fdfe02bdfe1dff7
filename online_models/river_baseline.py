"""River's Baseline, unchanged: mean plus biases of user and item (see `river_rating`).

The learning rate is that of River's own documentation for MovieLens 100K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from online_models.model import ModelConfig
from online_models.parameter_ranges import check_range
from online_models.river_rating import RiverRating


@dataclass(frozen=True)
class RiverBaselineConfig(ModelConfig):
    """rate: learning rate of the biases."""

    rate: float = 0.025

    def __post_init__(self) -> None:
        """Raise `ValueError` for a rate that is not positive."""
        check_range(self, "rate", above=0)


class RiverBaseline(RiverRating):
    """rating = mean + bias(user) + bias(item)."""

    name: ClassVar[str] = "river_baseline"
    config_type: ClassVar[type[ModelConfig]] = RiverBaselineConfig
    mean: ClassVar[bool] = True
    biases: ClassVar[bool] = True
    latents: ClassVar[bool] = False
    optimizers: ClassVar[tuple[str, ...]] = ("u_optimizer", "i_optimizer")
    config: RiverBaselineConfig

    def build(self, reco: Any, optim: Any, initializer: Any) -> Any:
        """See `RiverRating.build`."""
        return reco.Baseline(
            optimizer=optim.SGD(self.config.rate), l2=0.0, initializer=optim.initializers.Zeros()
        )
