"""The blend against its oracle, and what it promises: it follows trends, it is bounded, its kernels are right."""

from __future__ import annotations

from dataclasses import asdict, replace

import numba
import numpy as np
import pytest

from online_models.blend import Blend, BlendConfig
from online_models.blend_weights import age_class, gap_class
from online_models.model import ClockName, Situation
from online_models.polynomials import dot, exp_in_place, log_in_place, rough_log2_in_place
from online_models.registry import MODELS
from tests.online_models.event_streams import Driver, in_rows, random_stream
from tests.oracles.blend_oracle import BlendOracle
from tests.oracles.history_oracle import Event, HistoryOracle
from tests.oracles.rank_oracle import moments

pytestmark = pytest.mark.oracle

CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")
EVENTS = 80 if numba.config.DISABLE_JIT else 250
STREAM = random_stream(31, EVENTS, users=15, items=30, late=0.1)
# Rebases of every scale, slots that change hands, traces that are cut.
SMALL = BlendConfig(
    half_life_events=3.0,
    half_life_s=180.0,
    trend_half_lives_events=(1.0, 20.0),
    trend_half_lives_s=(60.0, 2_000.0),
    slots=4,
    recall_length=3,
    short_length=3,
    long_length=5,
    correction_length=4,
    correction_rate=0.3,
    share_rate=0.02,
)
ROUNDING = 2e-3  # of scores; forty roundings of float32 and learning that follows from them


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("config", [BlendConfig(), SMALL], ids=["defaults", "small"])
def test_scores_and_ranks_are_those_of_the_formula(config: BlendConfig, clock: ClockName) -> None:
    model = Blend(config, Situation(clock=clock))
    driver = Driver(model, clock)
    in_ticks = (
        config.trend_half_lives_events
        if clock == "event_count"
        else [1000 * half_life for half_life in config.trend_half_lives_s]
    )
    oracle = BlendOracle(asdict(config), config.half_life_ticks(clock), in_ticks)
    history = HistoryOracle()
    for event, (tick, now) in zip(STREAM, moments(STREAM, clock), strict=True):
        trace = list(history.of.get(event.user, []))
        repeat, new_item, *_ = history.take(event)
        user = event.user if trace else -1
        found = model.scores(user, driver.histories, driver.moment(event.time_ms))
        expected = oracle.scores_of(event.user, trace, now, event.time_ms)
        assert found.tolist() == pytest.approx([expected[item] for item in range(len(found))], abs=ROUNDING)
        [rank] = driver.feed([event]).tolist()
        if repeat or new_item:
            assert rank == (0 if repeat else -1)
        else:
            own, had = expected[event.item], {item for item, _ in trace}
            others = [score for item, score in expected.items() if item not in had | {event.item}]
            assert 1 + sum(score > own + 2 * ROUNDING for score in others) <= rank
            assert rank <= 1 + sum(score >= own - 2 * ROUNDING for score in others)
        if not repeat:
            oracle.learn(event, trace, tick, now)
    arrays = model.arrays()
    assert arrays["trend_share"].tolist() == pytest.approx(oracle.share, abs=1e-3)
    assert arrays["weight_value"][0].tolist() == pytest.approx(oracle.value["all"], abs=1e-3)


def trending_stream(seed: int, events: int, half_life: float) -> list[Event]:
    """One-off users; items are born all the time, and their appeal halves each `half_life` events."""
    rng = np.random.default_rng(seed)
    items = events // 8
    born = np.sort(rng.uniform(-2 * half_life, events, items))
    appeal = rng.pareto(1.3, items) + 0.05
    taken = []
    for at in range(events):
        age = at - born
        weight = np.where(age >= 0, appeal * 2.0 ** (-np.maximum(age, 0) / half_life), 0)
        taken.append((at, int(rng.choice(items, p=weight / weight.sum())), at * 1000))
    return in_rows(taken)


@pytest.mark.compiled
@pytest.mark.parametrize("half_life", [60.0, 1_000.0])
def test_where_trends_decide_it_is_no_worse_than_decayed_popularity(half_life: float) -> None:
    """The shares of the half-lives are learned: no half-life has to be known."""
    stream = trending_stream(1, 6_000, half_life)
    recall = {}
    for name in ("popularity", "decayed_popularity", "blend"):
        ranks = Driver(MODELS[name](None, Situation()), "event_count").feed(stream)[2_000:]
        recall[name] = float(np.mean((ranks >= 1) & (ranks <= 10)))
    assert recall["blend"] >= max(recall["popularity"], recall["decayed_popularity"])


def test_users_without_end_do_not_grow_it() -> None:
    driver = Driver(Blend(replace(SMALL, slots=8)), "event_count")
    driver.feed([Event(user, item, user) for user in range(40) for item in (user % 7, 7 + user % 5)])
    before = driver.model.state_bytes
    driver.feed([Event(user, item, user) for user in range(40, 400) for item in (user % 7, 7 + user % 5)])
    assert driver.model.state_bytes == before


def test_the_classes_of_age_and_gap() -> None:
    ages = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 127: 7, 128: 8, 10_000: 8}
    assert {seen: age_class(seen) for seen in ages} == ages
    gaps = {0: 1, 1: 2, 15_000: 3, 60_000: 4, 300_000: 5, 3_600_000: 6, 86_400_000: 7}
    assert {gap_ms: gap_class(1, gap_ms) for gap_ms in gaps} == gaps
    assert gap_class(0, 0) == 0


def test_polynomials_are_close_to_the_functions() -> None:
    rng = np.random.default_rng(5)
    x = np.exp(rng.uniform(-80, 80, 1_001)).astype(np.float32)
    y, scratch = x.copy(), np.zeros(1_001, np.float32)
    log_in_place(y, 1_000, scratch)
    assert y[:1_000] == pytest.approx(np.log(x[:1_000].astype(np.float64)), rel=1e-6, abs=1e-6)
    assert y[1_000] == x[1_000]
    x = rng.uniform(-80, 80, 1_000).astype(np.float32)
    y = x.copy()
    exp_in_place(y, 1_000, scratch)
    assert y == pytest.approx(np.exp(x.astype(np.float64)), rel=1e-5)
    y = np.array([-1e30, 1e30], np.float32)
    exp_in_place(y, 2, scratch)
    assert 0 < y[0] < 1e-37
    assert 1e37 < y[1] < np.inf
    y = np.array([1, 2, 3, 4, 0.5], np.float32)
    rough_log2_in_place(y, 5)
    assert y.tolist() == [0, 1, 1.5, 2, -1]


@pytest.mark.parametrize("known", [0, 1, 15, 16, 17, 33, 1_000])
def test_the_sum_of_products(known: int) -> None:
    rng = np.random.default_rng(known)
    x, y = rng.integers(-8, 9, (2, known)).astype(np.float32)
    assert dot(x, y, known, np.zeros(known, np.float32)) == float(x.astype(np.float64) @ y)
