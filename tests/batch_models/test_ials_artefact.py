"""iALS for the stream: what a user is folded in to from the artefact alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from batch_models.ials import IALSConfig
from batch_models.ials_artefact import train
from eventlog.artefact import Artefact, Ridge, check, digest_of, encode_weights, file_of
from eventlog.cut import Cut
from tests.batch_models.tastes import ITEMS, USERS, separation, two_tastes

DATA = two_tastes()
CONFIG = IALSConfig(factors=6, epochs=5, unobserved_weight=0.1, regularization=0.01)


def cut() -> Cut:
    return Cut(
        DATA.user.astype(np.int32),
        DATA.item.astype(np.int32),
        DATA.rating,
        DATA.time_ms,
        np.array([b"u%d" % row for row in range(USERS)]),
        # Two items that nobody had.
        np.array([b"i%d" % row for row in range(ITEMS + 2)]),
        DATA.size + 7,
        int(DATA.time_ms.max()),
        (1.0, 5.0),
    )


def stored(artefact: Artefact) -> Artefact:
    return artefact._replace(
        manifest=artefact.manifest.__class__(
            **{
                **{field: getattr(artefact.manifest, field) for field in artefact.manifest.__struct_fields__},
                "files": {"model.safetensors": file_of(encode_weights(artefact.arrays))},
            }
        )
    )


def test_users_are_folded_in_and_find_their_taste() -> None:
    artefact = stored(train(cut(), 0, CONFIG))
    check(artefact)
    assert artefact.manifest.events == DATA.size + 7
    assert artefact.manifest.item_ids == [f"i{row}" for row in range(ITEMS)]
    ridge, vectors = artefact.manifest.encoder, artefact.arrays["item_in"].astype(float)
    assert isinstance(ridge, Ridge)
    scores = np.zeros((USERS, ITEMS))
    gram = ridge.unobserved_weight * vectors.T @ vectors
    for user in range(USERS):
        had = vectors[DATA.item[DATA.user == user]]
        weight = (len(had) + ridge.unobserved_weight * ITEMS) ** ridge.exponent
        left = had.T @ had + gram + ridge.regularization * weight * np.eye(CONFIG.factors)
        scores[user] = vectors @ np.linalg.solve(left, had.sum(0))
    assert separation(scores, DATA) > 0.95


def test_the_same_cut_and_seed_give_the_same_digest() -> None:
    one, same, other = (stored(train(cut(), seed, CONFIG)) for seed in (0, 0, 1))
    assert digest_of(one.manifest) == digest_of(same.manifest) != digest_of(other.manifest)
