"""The blend against its oracle, and what it promises: it follows trends, it is bounded, its kernels are right."""

from __future__ import annotations

from dataclasses import asdict, replace

import numba
import numpy as np
import pytest

from online_models.blend import Blend
from online_models.blend_config import BlendConfig
from online_models.blend_trends import log_trend, no_trends
from online_models.blend_weights import age_class, gap_class, rivals_of
from online_models.model import ClockName, Situation
from online_models.polynomials import exponential, natural_log, rough_log2
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
    x = np.exp(rng.uniform(-80, 80, 1_000)).astype(np.float32)
    found = [natural_log(number) for number in x]
    assert found == pytest.approx(np.log(x.astype(np.float64)), rel=1e-6, abs=1e-6)
    x = rng.uniform(-59, 59, 1_000).astype(np.float32)
    found = [exponential(number) for number in x]
    assert found == pytest.approx(np.exp(x.astype(np.float64)), rel=1e-5)
    assert 0 < exponential(np.float32(-1e30)) < 1e-26
    assert 1e26 < exponential(np.float32(1e30)) < 1e27
    assert [rough_log2(np.float32(number)) for number in (1, 2, 3, 4, 0.5)] == [0, 1, 1.5, 2, -1]


@pytest.mark.parametrize("known", [1, 7, 8, 9, 64, 1_000])
def test_rivals_are_the_others_above_the_least(known: int) -> None:
    rng = np.random.default_rng(known)
    odds = rng.random(known + 3).astype(np.float32)
    rivals, target = np.zeros(known + 8, np.int32), known // 2
    count = rivals_of(odds, target, known, 0.7, np.ones(known + 8, np.uint8), rivals)
    assert rivals[:count].tolist() == [item for item in range(known) if odds[item] > 0.7 and item != target]


@pytest.mark.parametrize("half_lives", [0, 1, 4, 6])
def test_the_trend_is_the_mixture_however_many_half_lives_there_are(half_lives: int) -> None:
    rng = np.random.default_rng(half_lives)
    trends, known = no_trends(half_lives), 50
    trends.level[:] = rng.random((half_lives, 256))
    trends.total[:] = trends.level[:, :known].sum(axis=1)
    activity, out = rng.random(256).astype(np.float32), np.zeros(256, np.float32)
    total = float(activity[:known].sum())
    log_trend(trends, activity, total, known, out)
    share = 1 / (half_lives + 2)
    levels = (trends.level[:, :known] / trends.total[:, None]).sum(axis=0)
    expected = np.log(share * (levels + activity[:known] / total + 1 / known))
    assert out[:known] == pytest.approx(expected, abs=1e-5)
