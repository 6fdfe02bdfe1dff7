"""User-user synapses: ranks exact on dyadic streams, scores and weights within 1e-5, small cases by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numba
import numpy as np
import pytest

from engram.inline import run_inline
from engram.settings import Settings
from online_models.model import ClockName, Situation
from online_models.user_hebbian import UserHebbian, UserHebbianConfig
from tests.online_models.event_streams import Driver, checkerboard, in_rows, random_stream
from tests.oracles.history_oracle import Event
from tests.oracles.user_hebbian_oracle import UserHebbianOracle
from tests.oracles.user_rank_oracle import walk_of_users

pytestmark = pytest.mark.oracle

CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")
STREAM = random_stream(51, 120 if numba.config.DISABLE_JIT else 500, users=20, items=45, late=0.1)
# Half-lives of one second on whole seconds, and of one event: sums are exact in float32 for some seconds.
DYADIC = UserHebbianConfig(
    audience=3,
    row_synapses=4,
    recent_items=3,
    step_decay=0.5,
    reverse=0.5,
    own_half_life_events=1.0,
    source_power=0.0,
    target_power=0.0,
    popularity_weight=0.0,
    half_life_s=1.0,
)


def dyadic_stream(seed: int) -> list[Event]:
    """60 events within 6 seconds, some late by one, each user at most 7 of 10 items."""
    rng = np.random.default_rng(seed)
    plans = {user: rng.permutation(10).tolist()[:7] for user in range(10)}
    events = []
    for at in range(60):
        user = int(rng.choice([user for user, plan in plans.items() if plan]))
        late_s = int(at >= 12 and rng.random() < 0.2)
        events.append((user, plans[user].pop(), (at // 10 - late_s) * 1000))
    return in_rows(events)


@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_ranks_on_a_dyadic_stream(seed: int, ties_against: bool) -> None:
    stream = dyadic_stream(seed)
    model = UserHebbian(DYADIC, Situation(clock="event_time", ties_against=ties_against))
    oracle = UserHebbianOracle(asdict(DYADIC), 1000.0)
    expected = list(walk_of_users(oracle, stream, "event_time", ties_against=ties_against))
    found = Driver(model, "event_time").feed_in(stream, [20, 31])
    assert found.tolist() == [one.rank for one in expected]
    assert oracle.evicted > 0
    assert (model.arrays()["lost"] > 0).any()


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize(
    "config",
    [
        UserHebbianConfig(row_synapses=20, reverse=0.3),
        # Rebases of rows by the clock and by the user's own events, and of activities.
        UserHebbianConfig(row_synapses=20, reverse=0.3, half_life_events=8.0, half_life_s=480.0),
        UserHebbianConfig(row_synapses=20, audience=2, recent_items=2, own_half_life_events=0.3),
    ],
    ids=["defaults", "short", "own"],
)
def test_ranks_scores_and_weights_are_those_of_the_oracle(
    config: UserHebbianConfig, clock: ClockName
) -> None:
    half_life = config.half_life_ticks(clock)
    oracle = UserHebbianOracle(asdict(config), half_life)
    expected = list(walk_of_users(oracle, STREAM, clock))
    driver = Driver(UserHebbian(config, Situation(clock=clock)), clock)
    ranks = driver.feed_in(STREAM, [7, 100]).tolist()
    assert [
        one for one in zip(ranks, expected, strict=True) if not one[1].lowest <= one[0] <= one[1].highest
    ] == []
    moment = driver.moment()
    for user in range(-1, driver.history.users):
        found = driver.model.scores(user, driver.histories, moment)
        assert found.tolist() == pytest.approx(oracle.scores(user, moment.items, moment.now), rel=1e-4)
    arrays = driver.model.arrays()
    for user in range(driver.history.users):
        own = (arrays["had"][user] - arrays["row_base_had"][user]) / config.own_half_life_events
        faded = 2.0 ** -((moment.now - arrays["row_base"][user]) / half_life + own)
        row = {
            int(arrays["post"][user, place]): float(arrays["weight"][user, place]) * faded
            for place in range(int(arrays["used"][user]))
        }
        weights = {one.post: oracle.weight(user, one, moment.now) for one in oracle.rows.get(user, [])}
        assert row.keys() == weights.keys()
        for other, weight in weights.items():
            assert row[other] == pytest.approx(weight, rel=1e-5, abs=1e-20)


def test_what_the_audience_had_is_recommended() -> None:
    """By hand. No norms, no popularity, nothing fades but by the user's own events (one half-life each).

    Users 0 and 1 had items 0, 1 and 0, 2. User 2 has 0: w(2, 1) = w(2, 0) = 1, halved by that very event for both.
    So each has half of the say: newest first, 1/2 for items 1 and 2, and 1/4 + 1/4 for item 0.
    """
    config = replace(DYADIC, reverse=0.0, half_life_s=1e12, row_synapses=8)
    driver = Driver(UserHebbian(config, Situation(clock="event_time")), "event_time")
    driver.feed([Event(0, 0, 0), Event(0, 1, 0), Event(1, 0, 0), Event(1, 2, 0), Event(2, 0, 0)])
    assert driver.model.scores(2, driver.histories, driver.moment()).tolist() == [0.5, 0.5, 0.5]
    # Item 2 wires user 2 with user 1 again: w(2, 1) = 1 + 1/2 to w(2, 0) = 1/2, so 3 of 4 parts are user 1's.
    driver.feed([Event(2, 2, 0)])
    assert driver.model.scores(2, driver.histories, driver.moment()).tolist() == [0.5, 0.25, 0.75]
    # User 0's row knows nobody: it came first, and nothing is wired back.
    assert driver.model.scores(0, driver.histories, driver.moment()).tolist() == [0.0, 0.0, 0.0]


def test_the_audience_is_the_last_few_users_of_an_item() -> None:
    driver = Driver(UserHebbian(replace(DYADIC, reverse=0.0, audience=2)), "event_count")
    driver.feed([Event(user, 0, 0) for user in range(5)])
    arrays = driver.model.arrays()
    heard = [set(arrays["post"][user][: arrays["used"][user]].tolist()) for user in range(5)]
    assert heard == [set(), {0}, {0, 1}, {1, 2}, {2, 3}]
    assert arrays["met"].tolist() == [5]
    assert arrays["audience"].tolist() == [[4, 3]]


def test_a_model_without_users_is_restored_as_one() -> None:
    fresh, restored = (Driver(UserHebbian(), "event_count") for _ in range(2))
    restored.model.restore(fresh.model.arrays())
    assert restored.feed(STREAM).tolist() == fresh.feed(STREAM).tolist()
    assert restored.model.digest() == fresh.model.digest()


@pytest.mark.compiled
@pytest.mark.parametrize("seed", [1, 2])
def test_the_checkerboard_is_learned(seed: int) -> None:
    """40 items are live, 20 of them the user's colour: ten by chance are 10 / 40 at most, of its own a half."""
    stream = checkerboard(seed)
    half = len(stream) // 2
    ranks = Driver(UserHebbian(UserHebbianConfig(half_life_events=300.0)), "event_count").feed(stream)
    for part in (ranks[half // 2 : half], ranks[half + half // 2 :]):
        assert ((part > 0) & (part <= 10)).mean() > 0.4


@pytest.mark.data
@pytest.mark.compiled
def test_the_order_of_models_on_movielens(data_dir: Path, tmp_path: Path) -> None:
    """The five-star ratings of ML-100K: above .15, which a user-user model alone is known to reach."""
    names = ("user_hebbian", "isgd_negatives", "popularity", "random")
    settings = Settings(dataset="ml-100k", data_dir=str(data_dir), min_rating=5.0, models=names)
    models = run_inline(settings, tmp_path)["models"]
    recall = [models[name]["last_70"]["recall@10"] for name in names]
    assert recall == sorted(recall, reverse=True)
    assert recall[0] > 0.15
    assert recall[-1] < 0.015  # 10 of about 1,100 candidates


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("audience", 0),
        ("row_synapses", 0),
        ("recent_items", 0),
        ("own_half_life_events", 0.0),
        ("half_life_s", -1.0),
    ],
)
def test_parameters_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        UserHebbianConfig(**{field: value})  # type: ignore[arg-type]
