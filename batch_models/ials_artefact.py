"""iALS for the stream: item vectors, with which the stream folds a user in from the live history (encoder "ridge").

A user's vector is solved anew from what the user has had by then, as training would with these item vectors; user vectors of
the training are thrown away. All events weigh alike, as they do in the fold-in.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import numpy as np

from batch_models.device import pick_device
from batch_models.ials import IALS, IALSConfig
from batch_models.interactions import Interactions, newest_of_pairs
from eventlog.artefact import FACTORS, Artefact, Manifest, Ridge
from eventlog.cut import Cut

NAME: Final = "ials"


def train(cut: Cut, seed: int, config: IALSConfig | None = None) -> Artefact:
    """Train on a cut. Items without an event are left out. The same cut and seed give the same bits on one device."""
    config = config or IALSConfig()
    here, item = np.unique(cut.item, return_inverse=True)
    data = newest_of_pairs(
        Interactions(
            cut.user.astype(np.int64),
            item.astype(np.int64),
            cut.time_ms,
            cut.rating,
            len(cut.user_ids),
            len(here),
        )
    )
    model = IALS(data.users, data.items, config, seed, pick_device())
    model.fit(data, np.ones(data.size, np.float32), config.epochs)
    vectors = model.item.cpu().numpy()  # [items, d]
    manifest = Manifest(
        name=NAME,
        kind=FACTORS,
        encoder=Ridge(
            unobserved_weight=config.unobserved_weight,
            regularization=config.regularization,
            exponent=config.exponent,
        ),
        item_ids=[raw.decode() for raw in cut.item_ids[here].tolist()],
        parameters=asdict(config),
        seed=seed,
        events=cut.events,
        clock_time_ms=cut.clock_time_ms,
        data_digest=cut.digest(),
        scale=cut.scale,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={"items": float(len(here)), "pairs": float(data.size)},
    )
    return Artefact(
        manifest, {"item_in": vectors, "item_out": vectors.copy(), "bias": np.zeros(len(here), np.float32)}
    )
