"""Comparison of models by session: by hand, by oracle, for any cut, and how often equal models are called different."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.ranking import clip_ranks
from evaluation.significance import (
    Comparison,
    SignificanceConfig,
    champion_of,
    pairs_of,
    significance_of,
    spent_at,
)
from evaluation.tails import Z_95, normal_two_sided, sign_test
from tests.oracles.sessions_oracle import Paired, hit, interval_by_definition, sessions_by_definition

pytestmark = pytest.mark.oracle

DEFAULTS = ("popularity", "decayed_popularity", "hebbian")
MODELS = ("hebbian", "popularity")
SMALL = SignificanceConfig(look_every=50, first_look=100, min_blocks=2, session_gap_s=60)


def feed(state: Comparison, events: list[Paired]) -> None:
    columns = np.array(events, np.int64).reshape(len(events), 4)
    clipped = np.array([clip_ranks(columns[:, at].astype(np.int32)) for at in (2, 3)], np.uint8)
    state.update(clipped, columns[:, 0].astype(np.uint32), columns[:, 1].copy())


def random_events(seed: int, count: int) -> list[Paired]:
    """Users of a few sessions each, some events late, some not ranked; ids that meet in one slot."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 12, count) * 2**15
    time_ms = np.cumsum(rng.integers(0, 20_000, count)) - rng.integers(0, 2, count) * 30_000
    first = rng.integers(-1, 25, count)
    second = np.where(first == 0, 0, np.where(rng.random(count) < 0.3, first, rng.integers(1, 30, count)))
    return [Paired(*row) for row in np.stack([user, time_ms, first, second], axis=1).tolist()]


def test_every_model_is_compared_with_the_floors_and_the_champion_once() -> None:
    models = ("decayed_popularity", "hebbian", "isgd", "popularity")
    assert champion_of(models, DEFAULTS) == "hebbian"
    assert pairs_of(models, DEFAULTS) == [
        ("decayed_popularity", "popularity"),
        ("hebbian", "popularity"),
        ("isgd", "popularity"),
        ("hebbian", "decayed_popularity"),
        ("isgd", "decayed_popularity"),
        ("isgd", "hebbian"),
    ]
    # Without a default model the first that is no floor; floors alone have no champion.
    assert champion_of(("isgd", "random"), DEFAULTS) == "isgd"
    assert pairs_of(("isgd", "random"), DEFAULTS) == [("random", "isgd")]
    assert champion_of(("popularity",), DEFAULTS) is None
    assert pairs_of(("popularity",), DEFAULTS) == []


def test_a_comparison_by_hand() -> None:
    state = Comparison(MODELS, DEFAULTS, SMALL)
    minute = 60_000
    feed(
        state,
        [
            Paired(1, 0, 1, 30),  # session of user 1: +1, +1, 0
            Paired(1, minute - 1, 5, -1),
            Paired(2, 0, 30, 2),  # of user 2: -1
            Paired(1, 2 * minute - 2, 7, 8),  # less than a minute after: the same session
            Paired(1, 3 * minute - 2, 11, 12),  # a minute after: another one, 0 of 1
            Paired(1, 3 * minute, 0, 0),  # a repeat is not there
        ],
    )
    found = significance_of([state])
    assert found is not None
    assert found["champion"] == "hebbian"
    assert found["looks"] == 0
    [pair] = found["pairs"]
    assert (pair["model"], pair["baseline"]) == MODELS
    assert (pair["ranked"], pair["sessions"]) == (5, 3)
    assert (pair["sessions_for"], pair["sessions_against"]) == (1, 1)
    assert (pair["events_for"], pair["events_against"]) == (2, 1)
    # Differences 2 of 3, -1 of 1, 0 of 1: d = 1/5; (2 - 3/5)^2 + (-1 - 1/5)^2 + (1/5)^2 = 3.44.
    assert pair["difference"] == 1 / 5
    error = math.sqrt(3 / 2 * 3.44) / 5
    assert pair["low"] == pytest.approx(0.2 - Z_95 * error)
    assert pair["high"] == pytest.approx(0.2 + Z_95 * error)
    assert pair["p_cluster"] == pytest.approx(normal_two_sided(0.2 / error))
    assert pair["p_sign"] == pair["p_mcnemar"] == 1.0
    assert pair["decided_at"] is pair["better"] is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_comparison_agrees_with_the_oracle(seed: int) -> None:
    events = random_events(seed, 420)
    state = Comparison(MODELS, DEFAULTS, SMALL)
    feed(state, events)
    found = significance_of([state])
    assert found is not None
    [pair] = found["pairs"]
    sessions = sessions_by_definition(events, 60_000, SMALL.look_every)
    difference, error = interval_by_definition(sessions)
    assert pair["sessions"] == len(sessions)
    assert pair["ranked"] == sum(one.events for one in sessions)
    assert pair["difference"] == pytest.approx(difference)
    assert (pair["low"], pair["high"]) == pytest.approx(
        (difference - Z_95 * error, difference + Z_95 * error)
    )
    assert pair["p_cluster"] == pytest.approx(normal_two_sided(difference / error))
    better, worse = (sum(sign * (one.first - one.second) > 0 for one in sessions) for sign in (1, -1))
    assert pair["p_sign"] == sign_test(better, worse)
    alone = [sum(hit(one[at]) and not hit(one[5 - at]) for one in events) for at in (2, 3)]
    assert [pair["events_for"], pair["events_against"]] == alone
    # It is the difference of the recalls.
    ranked = [one for one in events if one.first != 0]
    recalls = [sum(hit(one[at]) for one in ranked) / len(ranked) for at in (2, 3)]
    assert pair["difference"] == pytest.approx(recalls[0] - recalls[1])


@pytest.mark.compiled
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    interrupted_at=st.integers(0, 300),
)
def test_any_cut_and_any_interruption_give_the_same_state(
    seed: int, cuts: list[int], interrupted_at: int
) -> None:
    events = random_events(seed, 300)
    whole, cut = Comparison(MODELS, DEFAULTS, SMALL), Comparison(MODELS, DEFAULTS, SMALL)
    feed(whole, events)
    for start, end in itertools.pairwise(sorted({0, 300, interrupted_at, *cuts})):
        if start == interrupted_at:
            saved = {name: array.copy() for name, array in cut.arrays().items()}
            cut = Comparison(MODELS, DEFAULTS, SMALL)
            cut.restore(saved)
        feed(cut, events[start:end])
    assert whole.looks == 5  # at 100, 150, ... 300
    for name, array in whole.arrays().items():
        assert array.tobytes() == cut.arrays()[name].tobytes(), name
    assert significance_of([whole]) == significance_of([cut])


def runs(seed: int, count: int, rates: tuple[float, float]) -> list[dict[str, object]]:
    """Pairs after runs of 6,000 events, 12 looks each, in sessions of 1 to 12 events.

    In half of the sessions one model hits with the first rate and the other with the second, in half the other way
    round, for `rates` as given; so both have the same rate over all, and hits of a session go together.
    """
    found = []
    config = SignificanceConfig(look_every=500, first_look=500, min_blocks=30, session_gap_s=60)
    for run in range(count):
        rng = np.random.default_rng((seed, run))
        session = np.repeat(np.arange(6_000), rng.integers(1, 13, 6_000))[:6_000]
        of_first = rng.random(6_000)[session] < 0.5
        chance = np.where(of_first, [[rates[0]], [rates[1]]], [[rates[1]], [rates[0]]])
        clipped = np.where(rng.random((2, 6_000)) < chance, 1, 21).astype(np.uint8)
        state = Comparison(MODELS, DEFAULTS, config)
        state.update(clipped, session.astype(np.uint32), session * 3_600_000)
        significance = significance_of([state])
        assert significance is not None
        assert significance["looks"] == 12
        found.append(significance["pairs"][0])
    return found


@pytest.mark.compiled
def test_equal_models_are_hardly_ever_called_different() -> None:
    pairs = runs(7, 400, (0.6, 0.1))
    ever_decided = sum(pair["decided_at"] is not None for pair in pairs) / len(pairs)
    assert ever_decided <= 0.05
    # One look that takes the events of a session as independent is wrong far more often than it says.
    assert sum(float(str(pair["p_mcnemar"])) <= 0.05 for pair in pairs) / len(pairs) > 0.10
    # The interval holds the true difference, 0, about as often as it says: 95 %, give or take three of its deviations.
    held = sum(float(str(pair["low"])) <= 0 <= float(str(pair["high"])) for pair in pairs) / len(pairs)
    assert abs(held - 0.95) <= 3 * math.sqrt(0.95 * 0.05 / len(pairs))


@pytest.mark.compiled
def test_a_better_model_is_found_and_the_look_is_said() -> None:
    state = Comparison(MODELS, DEFAULTS, SignificanceConfig(look_every=500, first_look=1_000, min_blocks=30))
    rng = np.random.default_rng(1)
    hits = rng.random((2, 5_000)) < [[0.2], [0.3]]
    times = np.arange(5_000) * 3_600_000
    state.update(np.where(hits, 1, 21).astype(np.uint8), np.arange(5_000).astype(np.uint32), times)
    found = significance_of([state])
    assert found is not None
    [pair] = found["pairs"]
    assert pair["better"] == "popularity"
    assert pair["decided_at"] in {1_000, 1_500, 2_000}
    assert pair["high"] < 0
    # What was decided stays so.
    state.update(np.full((2, 5_000), 1, np.uint8), np.arange(5_000).astype(np.uint32), times + 10**12)
    assert significance_of([state])["pairs"][0]["decided_at"] == pair["decided_at"]  # type: ignore[index]


def test_what_all_looks_may_spend_is_alpha() -> None:
    assert spent_at(1, 0.05) == 0.025
    assert sum(spent_at(look, 0.05) for look in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)


def test_few_sessions_are_not_looked_at() -> None:
    config = SignificanceConfig(look_every=10, first_look=10, min_blocks=3)
    state = Comparison(MODELS, DEFAULTS, config)
    feed(state, [Paired(user, 0, 1, 2) for user in (1, 2)] * 5)
    assert state.looks == 0
    feed(state, [Paired(3, 0, 1, 2)] * 10)
    assert state.looks == 1
    [pair] = significance_of([state])["pairs"]  # type: ignore[index]
    assert (pair["difference"], pair["low"], pair["high"], pair["p_cluster"]) == (0.0, 0.0, 0.0, 1.0)


def test_several_lanes_add_up_and_decide_nothing() -> None:
    events = [random_events(seed, 200) for seed in (1, 2)]
    lanes = []
    for own in events:
        lanes.append(Comparison(MODELS, DEFAULTS, SMALL))
        feed(lanes[-1], own)
    found = significance_of(lanes)
    assert found is not None
    [pair] = found["pairs"]
    sessions = [one for own in events for one in sessions_by_definition(own, 60_000, SMALL.look_every)]
    assert pair["difference"] == pytest.approx(interval_by_definition(sessions)[0])
    assert pair["sessions"] == len(sessions)
    assert found["looks"] is pair["decided_at"] is None


def test_before_any_event_there_is_no_difference() -> None:
    [pair] = significance_of([Comparison(MODELS, DEFAULTS)])["pairs"]  # type: ignore[index]
    assert pair["difference"] is pair["low"] is pair["p_cluster"] is None
    assert pair["p_sign"] == 1.0
    assert significance_of([Comparison(("hebbian",), DEFAULTS)]) is None


@pytest.mark.parametrize(
    "values", [{"alpha": 0.0}, {"look_every": 0}, {"first_look": 0}, {"min_blocks": 1}, {"session_gap_s": 0}]
)
def test_bad_configurations_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SignificanceConfig(**values)  # type: ignore[arg-type]
