"""Settings of the models that predict ratings, chosen on the validation part of ml-100k (see `rating_split`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from batch_models.gmf import GMFConfig
from batch_models.mf import MFConfig
from batch_models.mlp import MLPConfig
from batch_models.neumf import NeuMFConfig
from batch_models.recipes import GMFSettings, MFSettings, MLPSettings, NeuMFSettings, Recency, Settings, Stage

_RATED: Final = Stage(
    epochs=30, patience=3, batch_size=512, rate=0.003, weight_decay=1.0, final_rate=0.1, loss="mse"
)
_RATED_FACTORS: Final = 16


def rating_settings() -> dict[str, Settings]:
    """Settings of the models that predict ratings: mean squared error in all stages, all ratings weighing alike."""
    alike = Recency()
    vectors = GMFConfig(factors=_RATED_FACTORS)
    return {
        "mf": MFSettings(MFConfig(factors=_RATED_FACTORS), _RATED, alike),
        "gmf": GMFSettings(vectors, _RATED, alike),
        "mlp": MLPSettings(MLPConfig(), _RATED, alike),
        "neumf": NeuMFSettings(
            NeuMFConfig(factors=_RATED_FACTORS),
            _RATED,
            _RATED,
            replace(_RATED, epochs=10, rate=0.0005),
            alike,
        ),
    }
