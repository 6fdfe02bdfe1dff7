"""The k best against a sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.top_k import occurrences, top_k

pytestmark = pytest.mark.oracle


@settings(deadline=None)
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


@settings(deadline=None)
@given(
    items=st.lists(st.integers(0, 9), max_size=20, unique=True),
    among=st.lists(st.integers(0, 9), max_size=60),
)
def test_occurrences_are_those_of_a_count(items: list[int], among: list[int]) -> None:
    found = occurrences(np.array(items, np.int32), np.array(among, np.int32))
    assert found.tolist() == [among.count(item) for item in items]
