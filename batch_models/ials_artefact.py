"""iALS for the stream: item vectors, with which the stream folds a user in from the live history (encoder "ridge").

A user's vector is solved anew from what the user has had by then, as training would with these item vectors; user vectors of
the training are thrown away. All events weigh alike, as they do in the fold-in.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import numpy as np

from batch_models.device import pick_device
from batch_models.from_cut import manifest_of, pairs_of
from batch_models.ials import IALS, IALSConfig
from eventlog.artefact import Artefact, Ridge
from eventlog.cut import Cut

NAME: Final = "ials"


def train(cut: Cut, seed: int, config: IALSConfig | None = None) -> Artefact:
    """Train on a cut. Items without an event are left out. The same cut and seed give the same bits on one device."""
    config = config or IALSConfig()
    data, here = pairs_of(cut)
    model = IALS(data.users, data.items, config, seed, pick_device())
    model.fit(data, np.ones(data.size, np.float32), config.epochs)
    vectors = model.item.cpu().numpy()  # [items, d]
    manifest = manifest_of(
        cut,
        here,
        name=NAME,
        encoder=Ridge(
            unobserved_weight=config.unobserved_weight,
            regularization=config.regularization,
            exponent=config.exponent,
        ),
        parameters=asdict(config),
        seed=seed,
        metrics={"items": float(len(here)), "pairs": float(data.size)},
    )
    return Artefact(
        manifest, {"item_in": vectors, "item_out": vectors.copy(), "bias": np.zeros(len(here), np.float32)}
    )
