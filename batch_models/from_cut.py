"""What trainers for the stream share: rows of a cut's items that have events, and a manifest that says which cut it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_models.interactions import Interactions, newest_of_pairs
from eventlog.artefact import FACTORS, Encoder, Manifest
from eventlog.cut import Cut


def pairs_of(cut: Cut) -> tuple[Interactions, NDArray[np.int32]]:
    """The newest event of each pair, with rows of the items that have one; and which items of the cut these are."""
    here, item = np.unique(cut.item, return_inverse=True)
    columns = cut.user.astype(np.int64), item.astype(np.int64), cut.time_ms, cut.rating
    data = Interactions(*columns, len(cut.user_ids), len(here))
    return newest_of_pairs(data), here


def manifest_of(
    cut: Cut,
    here: NDArray[np.int32],
    *,
    name: str,
    encoder: Encoder,
    parameters: dict[str, Any],
    seed: int,
    metrics: dict[str, float],
    schema: int = 1,
) -> Manifest:
    """Return the manifest of item vectors, of the items `here` of a cut, made now; see `Manifest` for the others."""
    return Manifest(
        name=name,
        kind=FACTORS,
        encoder=encoder,
        item_ids=[raw.decode() for raw in cut.item_ids[here].tolist()],
        parameters=parameters,
        seed=seed,
        events=cut.events,
        clock_time_ms=cut.clock_time_ms,
        data_digest=cut.digest(),
        scale=cut.scale,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=metrics,
        schema=schema,
    )
