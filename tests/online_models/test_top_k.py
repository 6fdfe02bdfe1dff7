"""The k best against a sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.top_k import top_k


@given(
    scores=st.lists(st.integers(0, 6), max_size=40),
    had=st.sets(st.integers(0, 39), max_size=12),
    k=st.integers(0, 25),
)
def test_the_best_are_those_of_a_stable_sort(scores: list[int], had: set[int], k: int) -> None:
    barred = sorted(row for row in had if row < len(scores))
    rows, best = top_k(np.array(scores, np.float64), np.array(barred, np.int32), k)
    expected = sorted((row for row in range(len(scores)) if row not in had), key=lambda row: -scores[row])[:k]
    assert rows.tolist() == expected
    assert best.tolist() == [scores[row] for row in expected]
