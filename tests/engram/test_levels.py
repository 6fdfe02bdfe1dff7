"""The kernel of evidence for rating levels against a recomputation from all earlier events."""

from __future__ import annotations

import numpy as np
import pytest

from engram.source_systems.levels import OWN, Films, no_counts, read_events
from tests.oracles.levels_oracle import Rated, evidence

pytestmark = pytest.mark.oracle

EVENTS, USERS, FILMS, GENRES = 14, 3, 4, 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_evidence_is_that_of_all_earlier_events(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genres = (rng.random((FILMS, GENRES)) < 0.5).astype(np.float64)
    films = Films(genres, rng.normal(size=FILMS), rng.random(FILMS), rng.normal(size=FILMS))
    user, film = rng.integers(USERS, size=EVENTS), rng.integers(FILMS, size=EVENTS)
    rating = rng.integers(1, 11, EVENTS) / 2
    others = np.where(rng.random((EVENTS, 2)) < 0.3, np.nan, 5 * rng.random((EVENTS, 2)))
    out = np.zeros((EVENTS, 10, OWN + 2))
    read_events(no_counts(USERS, films), films, user, film, rating, others, out, True)
    rated = [
        Rated(
            int(u),
            int(f),
            float(r),
            tuple(np.flatnonzero(genres[f]).tolist()),
            *(float(of[f]) for of in films[1:]),
        )
        for u, f, r in zip(user, film, rating, strict=True)
    ]
    for at, event in enumerate(rated):
        want = evidence(rated[:at], event, others[at].tolist())
        np.testing.assert_allclose(out[at], want, rtol=1e-10, atol=1e-12)
