"""Memory that fades faster after a drift: it is what tau says, holds for the future only, and survives interruptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest

from online_models.ageing import AdaptiveDecayConfig, Ageing
from online_models.blend import Blend
from online_models.blend_config import BlendConfig
from online_models.decayed_popularity import DecayedPopularity, DecayedPopularityConfig
from online_models.drift import Drift
from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import ClockName, Model, Situation
from tests.online_models.cases import CLOCKS, STREAM, Case, bits, cases
from tests.online_models.event_streams import Driver
from tests.oracles.ageing_oracle import AgeingOracle, decayed_counts
from tests.oracles.blend_oracle import BlendOracle
from tests.oracles.hebbian_oracle import HebbianOracle
from tests.oracles.history_oracle import Event, HistoryOracle
from tests.oracles.rank_oracle import moments

pytestmark = pytest.mark.oracle

WORSE = Drift(1, "any", "adwin", 0.5, 0.25)
BETTER = Drift(1, "any", "adwin", 0.25, 0.5)
HARDLY = Drift(1, "any", "adwin", 0.5, 0.36)  # by less than .3 of it
# Two that overlap, on either clock, one alone, and one that says that all is well.
DRIFTS = ((80, WORSE), (84, WORSE), (170, WORSE), (200, BETTER))
ADAPTIVE = cases(lambda model: model.adapt is not Model.adapt)


def test_which_models_adapt() -> None:
    assert {case.name for case in ADAPTIVE} == {"blend", "blend_batch", "decayed_popularity", "hebbian"}


def walked(driver: Driver, ageing: AgeingOracle) -> Iterator[tuple[Event, float, float]]:
    """Feed the stream with its drifts to both; yields each event with its own tau and that of its processing."""
    before = 0
    for number, (event, (tick, now)) in enumerate(zip(STREAM, moments(STREAM, driver.clock), strict=True)):
        for at, drift in DRIFTS:
            if at == number:
                driver.model.adapt(drift)
                if drift is WORSE:
                    ageing.drifts.append(before)
        driver.feed([event])
        before = now
        yield event, ageing.tau_of_event(tick, now), ageing.tau(now)


@pytest.mark.parametrize("clock", CLOCKS)
def test_decayed_popularity_fades_by_tau(clock: ClockName) -> None:
    config = DecayedPopularityConfig(
        half_life_events=30, half_life_s=1_800, drift_pace=5, drift_half_lives=2.0
    )
    half_life = config.half_life_ticks(clock)
    driver = Driver(DecayedPopularity(config, Situation(clock=clock)), clock)
    ageing = AgeingOracle(half_life, 5, round(2.0 * half_life / 5))
    history, learned = HistoryOracle(), []
    for event, tau, _ in walked(driver, ageing):
        repeat, *_ = history.take(event)
        if not repeat:
            learned.append((event.item, tau))
        moment = driver.moment()
        expected = decayed_counts(ageing, learned, moment.items, moment.now)
        scores = driver.model.scores(-1, driver.histories, moment)
        assert scores.tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("clock", CLOCKS)
def test_synapses_fade_by_tau(clock: ClockName) -> None:
    """Hebbian's oracle with tau for a clock, on which the half-life is 1."""
    config = HebbianConfig(
        half_life_events=30, half_life_s=1_800, drift_pace=5, drift_half_lives=2.0, trace_length=6
    )
    half_life = config.half_life_ticks(clock)
    driver = Driver(Hebbian(config, Situation(clock=clock)), clock)
    ageing = AgeingOracle(half_life, 5, round(2.0 * half_life / 5))
    oracle, history = HebbianOracle(asdict(config), 1.0), HistoryOracle()
    for event, tau, now in walked(driver, ageing):
        trace = list(history.of.get(event.user, []))
        repeat, *_ = history.take(event)
        if not repeat:
            oracle.learn(event, trace, tau, now)
    moment = driver.moment().now
    view = driver.model.synapse_view(moment)
    assert view is not None
    expected = oracle.weights(ageing.tau(moment))
    pairs = zip(view.pre.tolist(), view.post.tolist(), strict=True)
    found = dict(zip(pairs, view.weight.tolist(), strict=True))
    assert found.keys() == expected.keys()
    assert [found[pair] for pair in expected] == pytest.approx(list(expected.values()), rel=1e-4)


@pytest.mark.compiled
@pytest.mark.parametrize("clock", CLOCKS)
def test_the_blend_fades_by_tau_and_unlearns_but_for_what_is_trending(clock: ClockName) -> None:
    """Blend's oracle, on the clock that runs ahead; its trends on the lane's own."""
    config = BlendConfig(half_life_events=30, half_life_s=1_800, drift_pace=5, drift_half_lives=2.0)
    half_life = config.half_life_ticks(clock)
    driver = Driver(Blend(config, Situation(clock=clock)), clock)
    ageing = AgeingOracle(half_life, 5, round(2.0 * half_life / 5))
    in_s = [1_000 * half_life_s for half_life_s in config.trend_half_lives_s]
    trends = config.trend_half_lives_events if clock == "event_count" else in_s
    oracle, history = BlendOracle(asdict(config), half_life, trends), HistoryOracle()
    lane: dict[float, float] = {}  # tick of the lane by that of memory
    oracle.lane_tick = lane.__getitem__

    def aged(now: int) -> int:
        found = round(ageing.tau(now) * half_life)
        lane[found] = now
        return found

    before = 0
    for number, (event, (tick, now)) in enumerate(zip(STREAM, moments(STREAM, clock), strict=True)):
        for at, drift in DRIFTS:
            if at == number:
                driver.model.adapt(drift)
                if drift is WORSE:
                    ageing.drifts.append(before)
                    oracle.unlearn(2.0**-2)
        before = now
        trace = list(history.of.get(event.user, []))
        repeat, *_ = history.take(event)
        if not repeat:
            oracle.learn(event, trace, aged(now) - (now - tick), aged(now))
        driver.feed([event])
        moment, trace = driver.moment(), history.of[event.user]
        found = driver.model.scores(event.user, driver.histories, moment)
        expected = oracle.scores_of(event.user, trace, aged(moment.now), moment.time_ms)
        assert found.tolist() == pytest.approx([expected[item] for item in range(len(found))], abs=2e-3)


@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
def test_a_drift_changes_the_future_only(case: Case) -> None:
    driver = adaptive_driver(case)
    driver.feed(STREAM[:150])
    moment = driver.moment()
    if case.clock == "event_count":
        moment = moment._replace(now=149)  # of the newest event: the next one comes a tick later
    before = driver.model.scores(3, driver.histories, moment).tobytes()
    driver.model.adapt(WORSE)
    assert driver.model.scores(3, driver.histories, moment).tobytes() == before


@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
@pytest.mark.parametrize("drift", [BETTER, HARDLY])
def test_what_is_better_or_hardly_worse_is_no_reason_to_forget(case: Case, drift: Drift) -> None:
    driver, other = adaptive_driver(case), adaptive_driver(case)
    for one in (driver, other):
        one.feed(STREAM[:150])
    driver.model.adapt(drift)
    assert bits(driver.model) == bits(other.model)


@pytest.mark.compiled
@pytest.mark.parametrize("cut", [79, 80, 81, 90, 130, 171])
@pytest.mark.parametrize("case", ADAPTIVE, ids=str)
def test_interrupted_across_a_drift_equals_uninterrupted(case: Case, cut: int) -> None:
    whole, part = adaptive_driver(case), adaptive_driver(case)
    ranks = feed(whole, 0, len(STREAM), 1_000)
    first = feed(part, 0, cut, 7)
    saved = {name: array.copy() for name, array in part.model.arrays().items()}
    part.model = type(part.model)(part.model.config, part.model.situation)
    part.model.restore(saved)
    assert first + feed(part, cut, len(STREAM), 13) == ranks
    assert bits(part.model) == bits(whole.model)
    plain = adaptive_driver(case)
    plain.feed(STREAM)
    assert bits(plain.model) != bits(whole.model)


def adaptive_driver(case: Case) -> Driver:
    driver = case.driver()
    config = driver.model.config
    assert isinstance(config, AdaptiveDecayConfig)
    slower = replace(config, half_life_events=20.0, half_life_s=1_200.0, drift_pace=4, drift_half_lives=1.5)
    driver.model = type(driver.model)(slower, driver.model.situation)
    return driver


def feed(driver: Driver, start: int, end: int, size: int) -> list[int]:
    """Feed events [start, end) in blocks of at most `size`, with the drifts between."""
    ranks: list[int] = []
    while start < end:
        stops = [at for at, _ in DRIFTS if at > start]
        for at, drift in DRIFTS:
            if at == start:
                driver.model.adapt(drift)
        stop = min([start + size, end, *stops])
        ranks += driver.feed(STREAM[start:stop]).tolist()
        start = stop
    return ranks


def test_a_pace_of_one_is_the_clock_itself() -> None:
    ageing = Ageing(AdaptiveDecayConfig(drift_pace=1), "event_count")
    ageing.adapt(WORSE)
    assert [ageing.at(now) for now in (0, 5, 10**9)] == [0, 5, 10**9]


def test_the_clock_by_hand() -> None:
    """Half-life 10, five times as fast for 2 half-lives: 4 ticks that count 5. From tick 100 on, and again from 102."""
    ageing = Ageing(
        AdaptiveDecayConfig(half_life_events=10, drift_pace=5, drift_half_lives=2.0), "event_count"
    )
    ageing.state[0] = 100
    ageing.adapt(WORSE)
    assert [ageing.at(now) for now in (100, 101, 104, 105, 200)] == [100, 105, 120, 121, 216]
    ageing.state[0] = 102
    ageing.adapt(WORSE)
    assert [ageing.at(now) for now in (102, 103, 106, 107)] == [110, 115, 130, 131]


@pytest.mark.parametrize(
    ("field", "value"),
    [("drift_pace", 0), ("drift_half_lives", -1.0), ("drift_least", 1.5), ("drift_half_lives", np.nan)],
)
def test_a_parameter_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is"):
        AdaptiveDecayConfig(**{field: value})
