"""Histories against a dict of lists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.catalogue import CatalogueStore
from online_models.history import History
from online_models.interactions import NEW_ITEM, NEW_USER, REPEAT
from tests.online_models.event_streams import in_rows, random_stream
from tests.oracles.history_oracle import Event, HistoryOracle

pytestmark = pytest.mark.oracle


def advance(history: History, events: list[Event]) -> list[tuple[bool, bool, bool, int, int]]:
    found = history.advance(
        np.array([event.user for event in events], np.int32),
        np.array([event.item for event in events], np.int32),
        np.array([event.time_ms for event in events], np.int64),
        np.full(len(events), np.nan),
    )
    assert found.taken == len(events)
    return [
        (bool(flag & REPEAT), bool(flag & NEW_ITEM), bool(flag & NEW_USER), had, known)
        for flag, had, known in zip(
            found.flags.tolist(), found.seen.tolist(), found.items.tolist(), strict=True
        )
    ]


def lists(history: History) -> dict[int, list[tuple[int, int]]]:
    view = history.view(CatalogueStore().view)
    found = {}
    for user in range(history.users):
        part = slice(int(view.start[user]), int(view.start[user]) + int(view.length[user]))
        found[user] = list(zip(view.items[part].tolist(), view.times_ms[part].tolist(), strict=True))
    return found


EVENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 10**14)), min_size=1, max_size=150
).map(in_rows)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, cuts=st.lists(st.integers(1, 149), max_size=5), restored_at=st.integers(0, 5))
def test_histories_are_those_of_a_dict(events: list[Event], cuts: list[int], restored_at: int) -> None:
    history, oracle = History(), HistoryOracle()
    edges = sorted({0, *(cut for cut in cuts if cut < len(events)), len(events)})
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        if number == restored_at:
            saved = {name: array.copy() for name, array in history.arrays().items()}
            history = History()
            history.restore(saved)
        block = events[first:last]
        assert advance(history, block) == [oracle.take(event) for event in block]
    assert lists(history) == oracle.of
    assert history.users == len(oracle.of)
    assert history.items == len(oracle.known)


def test_an_empty_block_is_nothing() -> None:
    history = History()
    assert advance(history, []) == []
    assert (history.users, history.items) == (0, 0)


def test_growth_far_beyond_the_first_capacities() -> None:
    """One user with everything, and thousands with a little: segments of many sizes, and more than one pool."""
    events = in_rows([(0, at, at) if at % 2 else (1 + at % 1_500, at % 700, at) for at in range(8_000)])
    history, oracle = History(), HistoryOracle()
    for first in range(0, len(events), 1_000):
        advance(history, events[first : first + 1_000])
    for event in events:
        oracle.take(event)
    assert lists(history) == oracle.of


def test_arrays_do_not_tell_how_segments_lie() -> None:
    """Equal for one block, for single events, and after a restore in the middle."""
    events = random_stream(8, 500, users=12, items=80)
    whole, single, restored = History(), History(), History()
    advance(whole, events)
    for event in events:
        advance(single, [event])
    half = History()
    advance(half, events[:250])
    restored.restore(half.arrays())
    advance(restored, events[250:])
    expected = {name: array.tobytes() for name, array in whole.arrays().items()}
    for other in (single, restored):
        assert {name: array.tobytes() for name, array in other.arrays().items()} == expected


def test_left_segments_are_used_again() -> None:
    """Users who outgrow segments of 4 places leave them to others: 100 users with 5 items, then 100 with 1."""
    history = History()
    advance(history, in_rows([(user, item, 0) for item in range(5) for user in range(100)]))
    before = history.state_bytes
    item_row = 5
    found = history.advance(
        np.arange(100, 200, dtype=np.int32),
        np.full(100, item_row, np.int32),
        np.zeros(100, np.int64),
        np.full(100, np.nan),
    )
    assert int((found.flags & NEW_USER > 0).sum()) == 100
    assert history.state_bytes == before + 100 * 24 + 12  # no place more in the pool
    assert {len(had) for had in lists(history).values()} == {1, 5}
