"""Measures of lists against their definitions, and paired differences by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.list_measures import LENGTH, LIST_MEASURES, ListMeasures, Lists
from tests.oracles.beyond_oracle import (
    Listed,
    coverage_by_definition,
    diversity_by_definition,
    genres_of,
    gini_by_definition,
    novelty_by_definition,
)

pytestmark = pytest.mark.oracle

KNOWN = 40
_items = st.lists(st.integers(1, KNOWN), max_size=LENGTH, unique=True)


def lists_of(rows: list[tuple[list[Listed], int, int]]) -> Lists:
    """Pad rows of (items, target, events before)."""
    s = len(rows)
    found = Lists(
        np.zeros((s, LENGTH), np.uint64),
        np.full((s, LENGTH), -1, np.int32),
        np.zeros((s, LENGTH), np.uint64),
        np.array([target for _, target, _ in rows], np.uint64),
        np.array([learned for _, _, learned in rows], np.int64),
    )
    for at, (row, _, _) in enumerate(rows):
        for place, one in enumerate(row):
            found.items[at, place], found.item_seen[at, place], found.genres[at, place] = one
    return found


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_figures_are_those_of_the_definitions(data: st.DataObject) -> None:
    rows = [
        (
            [Listed(item, data.draw(st.integers(1, 9)), data.draw(st.integers(0, 15))) for item in items],
            data.draw(st.integers(0, KNOWN)),
            50 + number,
        )
        for number, items in enumerate(data.draw(st.lists(_items, max_size=12)))
    ]
    first = data.draw(st.integers(0, len(rows)))
    cut = data.draw(st.integers(0, len(rows)))
    measures = ListMeasures()
    measures.update(lists_of(rows[:cut]), min(first, cut))
    measures.update(lists_of(rows[cut:]), max(first - cut, 0))
    for span, counted in enumerate((rows, rows[first:])):
        found = measures.figures(KNOWN, span)
        lists = [row for row, _, _ in counted]
        places = [[one.item for one in row].index(target) + 1 if target in {one.item for one in row} else 0 for row, target, _ in counted]  # fmt: skip
        n = len(counted)
        assert found["lists"] == n
        expected = {
            "recall@10": sum(place > 0 for place in places) / n if n else None,
            "ndcg@10": sum(1 / math.log2(place + 1) for place in places if place) / n if n else None,
            "mrr@10": sum(1 / place for place in places if place) / n if n else None,
            "diversity@10": diversity_by_definition(lists),
            "genres@10": sum(len(set().union(*(genres_of(one.genres) for one in row))) for row in lists) / n
            if n
            else None,
            "coverage@10": coverage_by_definition(lists, KNOWN),
            "gini@10": gini_by_definition(lists, KNOWN),
            "novelty@10": novelty_by_definition(lists, [learned for _, _, learned in counted]),
        }
        assert tuple(expected) == LIST_MEASURES
        for measure, value in expected.items():
            assert found[measure] == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12))


def test_a_paired_difference_by_hand() -> None:
    """Of four events, ours alone hit one, the other two: (1 - 2) / 4, of variance (3/4 - 1/16) / 4."""
    ours, theirs = ListMeasures(), ListMeasures()
    row = [Listed(7, 1, 1)]
    ours.update(lists_of([(row, 7, 5), (row, 8, 6), (row, 8, 7), (row, 9, 8)]), 0)
    row = [Listed(8, 1, 1)]
    theirs.update(lists_of([(row, 7, 5), (row, 8, 6), (row, 8, 7), (row, 9, 8)]), 0)
    found = ours.beside(theirs, 0)
    assert found is not None
    assert (found.gained, found.lost, found.difference) == (1, 2, -0.25)
    assert found.margin == pytest.approx(1.96 * math.sqrt((3 / 4 - 1 / 16) / 4))


def test_no_events_have_no_difference() -> None:
    assert ListMeasures().beside(ListMeasures(), 1) is None
