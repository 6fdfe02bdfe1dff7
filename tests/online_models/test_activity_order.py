"""The order of activities against a sorted list, and the ranks that come of it against ranks by definition."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.activity_order import (
    SIZE,
    ActivityOrder,
    count_from,
    fill,
    insert,
    no_order,
    remove,
    with_room,
)
from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import ClockName, Situation
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles.activity_order_oracle import ActivityOrderOracle
from tests.oracles.rank_oracle import rank_by_definition

pytestmark = pytest.mark.oracle

# A few that come again and again, so that many are equal; 0 is the level of an item that is forgotten.
NEXT_TO_ONE = float(np.nextafter(np.float32(1), np.float32(2)))
TIED = st.sampled_from([0.0, 1e-30, 0.5, 1.0, NEXT_TO_ONE, 3.0, 2.0**100])
LEVELS = TIED | st.floats(0, 2.0**100, width=32)
STEPS = st.lists(st.tuples(LEVELS, LEVELS, st.integers(1, SIZE)), max_size=5)
# Fewer where kernels run as plain Python.
EXAMPLES, EVENTS = (2, 120) if numba.config.DISABLE_JIT else (20, 350)


def assert_counts_agree(order: ActivityOrder, oracle: ActivityOrderOracle) -> None:
    for level in {0.0, 0.75, float("inf"), *oracle.levels}:
        assert count_from(order, np.float32(level)) == oracle.count_from(level)


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps=STEPS)
def test_counts_are_those_of_a_sorted_list(steps: list[tuple[float, float, int]]) -> None:
    """Each step takes a level in many times, then moves half of them to another, as events do."""
    order, oracle = no_order(0), ActivityOrderOracle()
    for level, other, times in steps:
        order = with_room(order, len(oracle.levels) + times)
        for _ in range(times):
            insert(order, np.float32(level))
            oracle.insert(level)
        for _ in range(times // 2):
            remove(order, np.float32(level))
            oracle.remove(level)
            insert(order, np.float32(other))
            oracle.insert(other)
        assert_counts_agree(order, oracle)
        filled = no_order(len(oracle.levels))
        fill(filled, np.array(oracle.levels, np.float32))
        assert_counts_agree(filled, oracle)


def test_levels_that_rise_one_by_one() -> None:
    """As on a forward scale: what an event touches comes to lie on top, for longer than all blocks hold."""
    order, oracle = no_order(600), ActivityOrderOracle()
    levels = [float(np.float32(1 + item / 7)) for item in range(600)]
    for level in levels:
        insert(order, np.float32(level))
        oracle.insert(level)
    rng = np.random.default_rng(1)
    for at in range(10 * EVENTS):
        item = int(rng.integers(600))
        remove(order, np.float32(levels[item]))
        oracle.remove(levels[item])
        levels[item] = float(np.float32(levels[item] + 2 ** (at / EVENTS)))
        insert(order, np.float32(levels[item]))
        oracle.insert(levels[item])
        if at % 700 == 0:
            assert_counts_agree(order, oracle)
    assert_counts_agree(order, oracle)


@pytest.mark.parametrize("popularity_weight", [0.0, 0.5])
@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("clock", ["event_count", "event_time"])
def test_ranks_of_untouched_items_are_exact(
    clock: ClockName, ties_against: bool, popularity_weight: float
) -> None:
    """Rows of 3 synapses among 120 items leave most untouched; scores, bit for bit, say what the rank must be.

    Many are tied: without popularity all of the untouched. Half-lives of 6 events bring rebases, late events and
    forgotten items.
    """
    config = HebbianConfig(
        trace_length=3,
        row_synapses=3,
        direct_neurons=0,
        half_life_events=6,
        half_life_s=360,
        popularity_weight=popularity_weight,
    )
    driver = Driver(Hebbian(config, Situation(clock=clock, ties_against=ties_against)), clock)
    ranks = []
    for event in random_stream(4, EVENTS, users=30, items=120, late=0.1):
        moment, histories = driver.moment(event.time_ms), driver.histories
        user = event.user if event.user < driver.history.users else -1
        scores = driver.model.scores(user, histories, moment)
        start = int(histories.start[user]) if user >= 0 else 0
        length = int(histories.length[user]) if user >= 0 else 0
        had = set(histories.items[start : start + length].tolist())
        found = int(driver.feed([event])[0])
        if event.item not in had and event.item < moment.items:
            candidates = set(range(moment.items)) - had
            named = dict(enumerate(scores.tolist()))
            assert found == rank_by_definition(named, candidates, event.item, ties_against=ties_against)
            ranks.append(found)
    assert len(set(ranks)) > 5
