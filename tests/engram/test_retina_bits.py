"""The bits that peers get: as many as `wisard` sees, and of each event only what stood before it."""

from __future__ import annotations

import numpy as np

from engram.retina_bits import retina_bits
from eventlog.metadata import ItemMetadata
from online_models.retina import BITS
from producers.columns import RatingColumns


def test_bits_do_not_know_what_comes_after() -> None:
    random = np.random.default_rng(0)
    n = 60
    columns = RatingColumns(
        random.choice([b"a", b"b", b"c"], n),
        random.choice([b"1", b"2", b"3", b"4", b"5"], n),
        random.integers(1, 6, n).astype(np.float64),
        np.arange(n) * 60_000,
    )
    items = [ItemMetadata(item="1", title="One", genres=("Drama",)), ItemMetadata(item="2", title="Two")]
    whole = retina_bits(columns, items, (1.0, 5.0))
    assert whole.shape == (n, len(BITS))
    assert not whole[0, : BITS.index("genre 0")].any()
    assert 0 < whole.mean() < 1
    half = retina_bits(columns.take(slice(0, n // 2)), items, (1.0, 5.0))
    assert np.array_equal(half, whole[: n // 2])
    genre = whole[:, BITS.index("genre 0") : BITS.index("another language")].sum(axis=1)
    # One genre of one item.
    assert np.array_equal(genre, (columns.items == b"1").astype(int))
