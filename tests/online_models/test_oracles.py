"""Kernels against oracles written from the formulas: ranks exact on dyadic streams, scores and weights within 1e-5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from online_models.decayed_popularity import DecayedPopularity, DecayedPopularityConfig
from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import ClockName, Situation
from online_models.popularity import Popularity
from tests.online_models.event_streams import Driver, in_rows, random_stream
from tests.oracles.decayed_popularity_oracle import DecayedPopularityOracle
from tests.oracles.hebbian_oracle import HebbianOracle
from tests.oracles.history_oracle import Event, HistoryOracle
from tests.oracles.popularity_oracle import PopularityOracle
from tests.oracles.rank_oracle import ModelOracle, Ranked, walk

pytestmark = pytest.mark.oracle

CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")
SECOND_MS = 1_000
# Fewer events where kernels run as plain Python.
EVENTS = 150 if numba.config.DISABLE_JIT else 400
STREAM = random_stream(21, EVENTS, users=20, items=45, late=0.1)

# All sums and products of this configuration are exact in float32 for a while: half-lives of one second on whole
# seconds, gains of 1, 1/2, 1/4, 1/8. Without roots, powers and popularity one division by the total is left, which is
# the same for all items.
DYADIC = HebbianConfig(
    trace_length=4,
    step_decay=0.5,
    gap_exponent=0.0,
    reverse=0.5,
    synapse_power=1.0,
    source_power=0.0,
    target_power=0.0,
    popularity_weight=0.0,
    half_life_s=1.0,
    slots=3,
    recall_length=3,
    recall_every=3,
)


def dyadic_stream(seed: int, epochs: int = 4, gap_s: int = 30) -> list[Event]:
    """Epochs of a few seconds, `gap_s` half-lives apart, each with users and items of its own.

    Between two epochs, a user of the one before meets an item of it: what is known then has faded by the gap and
    went through a rebase, if one was due. (A second one would add small numbers to large ones, which rounds.)
    """
    rng = np.random.default_rng(seed)
    events: list[tuple[int, int, int]] = []
    start_s = 0
    for epoch in range(epochs):
        users, items = epoch * 100 + np.arange(6), epoch * 100 + np.arange(10)
        plans = {int(user): rng.permutation(items).tolist() for user in users}
        for at in range(36):
            user = int(rng.choice(users))
            # Some are late, by a second or two.
            time_s = start_s + at // 9 - int(rng.random() < 0.15 and at >= 18) * int(rng.integers(1, 3))
            if len(plans[user]) > 2:
                events.append((user, plans[user].pop(), time_s * SECOND_MS))
        start_s += gap_s
        events.append((int(users[0]), plans[int(users[0])].pop(), start_s * SECOND_MS))
        start_s += gap_s
    return in_rows(events)


def ranks_of(found: Sequence[Ranked]) -> list[int]:
    return [one.rank for one in found]


def assert_within_rounding(ranks: NDArray[np.int32], expected: Sequence[Ranked]) -> None:
    wrong = [
        (at, rank, one)
        for at, (rank, one) in enumerate(zip(ranks.tolist(), expected, strict=True))
        if not one.lowest <= rank <= one.highest
    ]
    assert not wrong


def assert_scores_agree(driver: Driver, oracle: ModelOracle, history: HistoryOracle) -> None:
    moment = driver.moment()
    for user in (-1, *range(len(history.of))):
        found = driver.model.scores(user, driver.histories, moment)
        expected = oracle.scores(user, history.of.get(user, []), moment.now, moment.time_ms)
        assert found.tolist() == pytest.approx([expected[item] for item in range(moment.items)], rel=1e-5)


def history_of(events: Sequence[Event]) -> HistoryOracle:
    history = HistoryOracle()
    for event in events:
        history.take(event)
    return history


@pytest.mark.parametrize("ties_against", [True, False])
def test_popularity(ties_against: bool) -> None:
    driver = Driver(Popularity(None, Situation(ties_against=ties_against)), "event_count")
    oracle = PopularityOracle()
    expected = ranks_of(list(walk(oracle, STREAM, "event_count", ties_against=ties_against)))
    assert driver.feed_in(STREAM, [7, 100]).tolist() == expected
    assert_scores_agree(driver, oracle, history_of(STREAM))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("ties_against", [True, False])
def test_decayed_popularity_on_a_dyadic_stream(ties_against: bool, seed: int) -> None:
    # 8 gaps of 100 half-lives: the scale is rebased every third one, past 256 of them.
    stream = dyadic_stream(seed, gap_s=100)
    driver = Driver(
        DecayedPopularity(
            DecayedPopularityConfig(half_life_s=1.0), Situation(clock="event_time", ties_against=ties_against)
        ),
        "event_time",
    )
    expected = ranks_of(
        list(walk(DecayedPopularityOracle(SECOND_MS), stream, "event_time", ties_against=ties_against))
    )
    first_base = stream[0].time_ms
    assert driver.feed(stream).tolist() == expected
    assert driver.model.arrays()["base"][0] > first_base + 512 * SECOND_MS  # two rebases at least


@pytest.mark.parametrize("half_life", [0.3, 5.0, 1e6])
@pytest.mark.parametrize("clock", CLOCKS)
def test_decayed_popularity(clock: ClockName, half_life: float) -> None:
    config = DecayedPopularityConfig(half_life_events=half_life, half_life_s=60 * half_life)
    driver = Driver(DecayedPopularity(config, Situation(clock=clock)), clock)
    oracle = DecayedPopularityOracle(config.half_life_ticks(clock))
    assert_within_rounding(driver.feed_in(STREAM, [33, 34]), list(walk(oracle, STREAM, clock)))
    assert_scores_agree(driver, oracle, history_of(STREAM))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("layout", ["direct", "bounded", "switched"])
def test_hebbian_on_a_dyadic_stream(layout: str, ties_against: bool, seed: int) -> None:
    # 8 gaps of 30 half-lives: the scale is rebased every second one, past 48 of them.
    stream = dyadic_stream(seed)
    items = 1 + max(event.item for event in stream)
    direct_neurons = {"direct": items, "bounded": 0, "switched": items // 2}[layout]
    config = replace(DYADIC, direct_neurons=direct_neurons, row_synapses=4)
    driver = Driver(Hebbian(config, Situation(clock="event_time", ties_against=ties_against)), "event_time")
    oracle = HebbianOracle(asdict(config), SECOND_MS)
    expected = ranks_of(list(walk(oracle, stream, "event_time", ties_against=ties_against)))
    assert driver.feed(stream).tolist() == expected
    assert driver.model.arrays()["base"][0] > 3 * 48 * SECOND_MS  # three rebases at least
    assert bool(oracle.lost) == (layout != "direct")


CONFIGS = {
    "direct": HebbianConfig(half_life_events=60, half_life_s=3_600),
    "rebased": HebbianConfig(
        half_life_events=4, half_life_s=240, trace_length=6, slots=6, recall_every=5, gap_exponent=0.8
    ),
    "linear": HebbianConfig(half_life_events=60, half_life_s=3_600, synapse_power=1.0),
    "bounded": HebbianConfig(
        half_life_events=60, half_life_s=3_600, slots=6, recall_length=4, direct_neurons=0, row_synapses=7
    ),
    "switched": HebbianConfig(
        half_life_events=5, half_life_s=300, recall_every=3, direct_neurons=20, row_synapses=7
    ),
}


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_hebbian(config: HebbianConfig, clock: ClockName) -> None:
    driver = Driver(Hebbian(config, Situation(clock=clock)), clock)
    oracle = HebbianOracle(asdict(config), config.half_life_ticks(clock))
    assert_within_rounding(driver.feed_in(STREAM, [50, 51, 120]), list(walk(oracle, STREAM, clock)))
    assert_scores_agree(driver, oracle, history_of(STREAM))
    assert_weights_agree(driver, oracle, config.half_life_ticks(clock))


def assert_weights_agree(driver: Driver, oracle: HebbianOracle, half_life: float) -> None:
    now = driver.moment().now
    arrays = driver.model.arrays()
    faded = 2.0 ** (-(now - int(arrays["base"][0])) / half_life)
    weights = {pair: weight for pair, weight in oracle.weights(now).items() if weight * 1e30 > 1}
    found = {pair: weight for pair, weight in weights_of(arrays, faded).items() if weight * 1e30 > 1}
    assert found.keys() == weights.keys()
    assert [found[pair] for pair in weights] == pytest.approx(list(weights.values()), rel=1e-5)
    activity = [oracle.at(oracle.activity[item], now) for item in range(len(oracle.activity))]
    assert (arrays["activity"] * faded).tolist() == pytest.approx(activity, rel=1e-5)
    assert float(arrays["total"][0]) * faded == pytest.approx(sum(activity), rel=1e-5)
    lost = [oracle.at(oracle.lost.get(item), now) for item in range(len(activity))]
    assert (arrays["lost"] * faded).tolist() == pytest.approx(lost, rel=1e-5)
    assert any(lost) == oracle.bounded


def weights_of(arrays: dict[str, NDArray[Any]], faded: float) -> dict[tuple[int, int], float]:
    weight = arrays["weight"]
    if not len(arrays["post"]):
        return {
            (pre, post): float(weight[pre, post]) * faded
            for pre, post in zip(*(axis.tolist() for axis in np.nonzero(weight)), strict=True)
        }
    return {
        (pre, int(arrays["post"][pre, place])): float(weight[pre, place]) * faded
        for pre in range(len(weight))
        for place in range(int(arrays["used"][pre]))
    }


@pytest.mark.parametrize("clock", CLOCKS)
def test_bounded_rows_that_are_wide_enough_equal_direct_ones(clock: ClockName) -> None:
    items = 1 + max(event.item for event in STREAM)
    narrow = HebbianConfig(
        half_life_events=3, half_life_s=180, recall_every=1, direct_neurons=items, row_synapses=1
    )
    direct = Driver(Hebbian(narrow, Situation(clock=clock)), clock)
    expected = direct.feed(STREAM).tolist()
    for direct_neurons in (0, 17):
        wide = replace(narrow, direct_neurons=direct_neurons, row_synapses=items)
        bounded = Driver(Hebbian(wide, Situation(clock=clock)), clock)
        assert bounded.feed_in(STREAM, [60]).tolist() == expected
        assert weights_of(bounded.model.arrays(), 1.0) == weights_of(direct.model.arrays(), 1.0)
        assert not bounded.model.arrays()["lost"].any()
        user = STREAM[-1].user
        assert (
            bounded.model.scores(user, bounded.histories, bounded.moment()).tolist()
            == direct.model.scores(user, direct.histories, direct.moment()).tolist()
        )


def test_the_layout_changes_at_the_same_event_wherever_blocks_are_cut() -> None:
    config = CONFIGS["switched"]
    items_before = np.maximum.accumulate([event.item for event in STREAM])
    switch = int(np.argmax(items_before >= config.direct_neurons))
    digests = set()
    for cuts in ([], [switch], [switch - 1], [switch + 1], [switch, switch + 1], range(1, EVENTS)):
        driver = Driver(Hebbian(config), "event_count")
        driver.feed_in(STREAM, list(cuts))
        assert len(driver.model.arrays()["post"]) == driver.history.items
        digests.add(driver.model.digest())
    assert len(digests) == 1


def test_a_newcomer_replaces_the_weakest_with_its_own_increment() -> None:
    """By hand: rows of two synapses, no decay to speak of, gains 1, 1/2, 1/4 down the trace, reverse 1/2."""
    config = replace(DYADIC, half_life_s=1e12, direct_neurons=0, row_synapses=2)
    driver = Driver(Hebbian(config, Situation(clock="event_time")), "event_time")
    # User 0 has items 0, 1, 2. Row of 0: w(0,1) = 1, w(0,2) = 1/2. Row of 2: w(2,1) = 1/2, w(2,0) = 1/4.
    driver.feed([Event(0, 0, 0), Event(0, 1, 0), Event(0, 2, 0)])
    arrays = driver.model.arrays()
    assert dict(zip(arrays["post"][0].tolist(), arrays["weight"][0].tolist(), strict=True)) == {
        1: 1.0,
        2: 0.5,
    }
    assert arrays["post"][2].tolist() == [1, 0]
    assert arrays["weight"][2].tolist() == [0.5, 0.25]
    assert arrays["lost"].tolist() == [0, 0, 0]
    # Item 3 follows 2, 1, 0 with gains 1, 1/2, 1/4: w(0,3) = 1/4 takes the place of w(0,2) = 1/2, the weakest, and
    # w(2,3) = 1 that of w(2,0) = 1/4. Row of 1 (w(1,0) = 1/2, w(1,2) = 1): w(1,3) = 1/2 for w(1,0).
    # Row of 3: w(3,2) = 1/2, w(3,1) = 1/4, then w(3,0) = 1/8 for w(3,1).
    driver.feed([Event(0, 3, 0)])
    arrays = driver.model.arrays()
    assert arrays["post"].tolist() == [[1, 3], [3, 2], [1, 3], [2, 0]]
    assert arrays["weight"].tolist() == [[1.0, 0.25], [0.5, 1.0], [0.5, 1.0], [0.5, 0.125]]
    assert arrays["lost"].tolist() == [0.5, 0.5, 0.25, 0.25]
