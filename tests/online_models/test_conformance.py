"""What every model of the registry does. A model that cannot do one of these says so here, with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.decayed_popularity import DecayedPopularityConfig
from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import ClockName, Model, Situation
from online_models.registry import DEFAULT_MODELS, MODELS
from tests.online_models.cases import CLOCKS, SMALL, STREAM, Case, bits, build, cases, had, said
from tests.online_models.event_streams import Driver, checkerboard, random_stream
from tests.oracles.history_oracle import Event
from tests.oracles.rank_oracle import rank_by_definition

# name: whether it ranks, and whether it predicts ratings.
KINDS = {
    "popularity": (True, False),
    "decayed_popularity": (True, False),
    "hebbian": (True, False),
    "blend": (True, False),
    "rating_mean": (False, True),
    "rating_means": (False, True),
    "river_baseline": (False, True),
    "river_funk_mf": (False, True),
    "river_biased_mf": (False, True),
    "user_hebbian": (True, False),
    "isgd": (True, False),
    "isgd_negatives": (True, False),
    "random": (True, False),
    "rating_synapses": (False, True),
    "wisard": (False, True),
    "content": (True, False),
    "batch": (True, False),
    "batch_champion": (True, False),
    "blend_batch": (True, False),
}
# Models for which the order of arrival matters, whatever the clock says.
IN_ORDER_OF_ARRIVAL = {
    "rating_means": "a residual is taken from the mean and the offsets of its moment",
    "river_baseline": "a step of gradient descent starts where the step before it ended",
    "river_funk_mf": "a step of gradient descent starts where the step before it ended",
    "river_biased_mf": "a step of gradient descent starts where the step before it ended",
    "hebbian": "potentials are charged with the synapses of their moment",
    "blend": "a step of gradient descent starts where the step before it ended",
    "blend_batch": "a step of gradient descent starts where the step before it ended",
    "isgd": "a step of gradient descent starts where the step before it ended",
    "isgd_negatives": "a step of gradient descent starts where the step before it ended",
    "rating_synapses": "residuals, tastes and the readout are taken from the state of their moment",
    "wisard": "thermometers and the readout are taken from the state of their moment",
    "random": "scores belong to rows, which are numbered in order of arrival",
    "content": "what is known of an item goes by its row in these tests",
}
# Models whose state grows with users too, not with items alone.
KNOWS_USERS = {
    "rating_means": "an offset of each user",
    "river_baseline": "a bias of each user",
    "river_funk_mf": "a latent vector of each user",
    "river_biased_mf": "a bias and a latent vector of each user",
    "user_hebbian": "a row of synapses of each user",
    "isgd": "a latent vector of each user",
    "isgd_negatives": "a latent vector of each user",
    "rating_synapses": "offsets, preferences and taste of each user",
    "wisard": "discriminators of each user",
}


@pytest.fixture(params=cases(), ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


# Models that only predict ratings have no ranks to look at; tests/online_models/test_rating_conformance.py is theirs.
ranking = pytest.mark.parametrize("case", cases(lambda model: model.ranks), ids="-".join)


def test_the_registry_holds_these_models() -> None:
    assert {name: (model.ranks, model.rates) for name, model in MODELS.items()} == KINDS
    assert set(DEFAULT_MODELS) <= set(MODELS)
    assert set(SMALL) | set(IN_ORDER_OF_ARRIVAL) | set(KNOWS_USERS) <= set(MODELS)
    for name, model in MODELS.items():
        assert model.name == name
        assert model.ranks or model.rates
        assert issubclass(model, Model)
        assert isinstance(model().config, model.config_type)


def test_asking_changes_nothing(case: Case) -> None:
    driver = case.driver()
    driver.feed(STREAM)
    model, moment = driver.model, driver.moment()
    before, digest = bits(model), model.digest()
    for user in (-1, 0, 7):
        model.scores(user, driver.histories, moment)
        model.recommend(user, 5, driver.histories, moment)
        model.predict_one(user, 3, driver.histories, moment)
        with pytest.raises(IndexError, match="expected 0 to"):
            model.predict_one(user, moment.items, driver.histories, moment)
        with pytest.raises(IndexError, match="item is row -1"):
            model.predict_one(user, -1, driver.histories, moment)
    assert bits(model) == before
    assert model.digest() == digest
    # Nor is anything hidden changed: it goes on as one that was never asked.
    other = case.driver()
    other.feed(STREAM)
    late = Event(0, 1, STREAM[-1].time_ms + 1000)
    assert said(driver.predict([late])) == said(other.predict([late]))
    assert model.digest() == other.model.digest()


def test_nothing_learned_is_nothing_recommended(case: Case) -> None:
    driver = case.driver()
    assert len(driver.model.scores(-1, driver.histories, driver.moment())) == 0
    assert len(driver.model.recommend(-1, 5, driver.histories, driver.moment()).items) == 0
    empty = bits(driver.model)
    driver.model.restore({name: array.copy() for name, array in driver.model.arrays().items()})
    assert bits(driver.model) == empty


def test_an_empty_bounded_layout_is_restored_as_one() -> None:
    config = HebbianConfig(direct_neurons=0, row_synapses=6)
    fresh, restored = (Driver(Hebbian(config), "event_count") for _ in range(2))
    restored.model.restore(fresh.model.arrays())
    assert restored.model.digest() == fresh.model.digest()
    assert restored.feed(STREAM).tolist() == fresh.feed(STREAM).tolist()
    assert restored.model.digest() == fresh.model.digest()


def test_the_same_stream_gives_the_same_state(case: Case) -> None:
    first, second = case.driver(), case.driver()
    assert said(first.predict(STREAM)) == said(second.predict(STREAM))
    assert first.model.digest() == second.model.digest()
    assert bits(first.model) == bits(second.model)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("name", MODELS)
def test_cuts_of_the_stream_change_nothing(name: str, clock: ClockName, cuts: list[int]) -> None:
    whole, cut = Case(name, clock).driver(), Case(name, clock).driver()
    assert said(whole.predict(STREAM)) == said(cut.predict_in(STREAM, cuts))
    assert whole.model.digest() == cut.model.digest()


@pytest.mark.parametrize("at", [1, 40, 150, 299])
def test_restored_equals_uninterrupted(case: Case, at: int) -> None:
    whole = case.driver()
    expected = whole.predict(STREAM)
    halted = case.driver()
    halted.feed(STREAM[:at])
    saved = {name: array.copy() for name, array in halted.model.arrays().items()}
    restored = build(case.name, case.clock)
    restored.restore(saved)
    assert restored.digest() == halted.model.digest()
    for array in saved.values():
        array.fill(0)  # what was given is not kept
    halted.model = restored
    assert said(halted.predict(STREAM[at:])) == said(expected, at)
    assert bits(restored) == bits(whole.model)
    assert restored.digest() == whole.model.digest()
    assert restored.state_bytes == whole.model.state_bytes


def test_capacities_are_no_part_of_the_digest(case: Case) -> None:
    driver = case.driver()
    driver.feed(STREAM[:200])
    larger = build(case.name, case.clock)
    Driver(larger, case.clock).feed(random_stream(3, 3_000, users=40, items=900))
    larger.restore(driver.model.arrays())
    assert bits(larger) == bits(driver.model)
    assert larger.digest() == driver.model.digest()


def test_another_configuration_is_another_digest() -> None:
    first = Driver(MODELS["hebbian"](HebbianConfig(reverse=0.5)), "event_count")
    second = Driver(MODELS["hebbian"](HebbianConfig(reverse=0.25)), "event_count")
    assert first.model.digest() != second.model.digest()


@ranking
@pytest.mark.parametrize("ties_against", [True, False])
def test_the_rank_is_that_of_the_scores_before_the_event(case: Case, ties_against: bool) -> None:
    driver = case.driver(ties_against=ties_against)
    users = 0
    for event in STREAM[:200]:
        moment = driver.moment(event.time_ms)
        user = event.user if event.user < users else -1  # a new user is scored like any unknown one
        users = max(users, event.user + 1)
        histories = driver.histories
        scores = driver.model.scores(user, histories, moment)
        assert scores.shape == (moment.items,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        taken = had(driver, user)
        if event.item in taken:
            expected = 0
        elif event.item >= moment.items:
            expected = -1
        else:
            expected = rank_by_definition(
                dict(enumerate(scores.tolist())),
                set(range(moment.items)) - taken,
                event.item,
                ties_against=ties_against,
            )
        assert driver.feed([event]).tolist() == [expected]


@ranking
def test_ties_against_are_no_better_than_ties_for(case: Case) -> None:
    against, in_favour = case.driver(), case.driver(ties_against=False)
    worse, better = against.feed(STREAM), in_favour.feed(STREAM)
    ranked = worse > 0
    assert (ranked == (better > 0)).all()
    assert (worse[~ranked] == better[~ranked]).all()
    assert (worse[ranked] >= better[ranked]).all()
    assert bits(against.model) == bits(in_favour.model)


def test_recommendations_are_new_to_the_user_and_agree_with_the_scores(case: Case) -> None:
    driver = case.driver()
    driver.feed(STREAM)
    moment = driver.moment()
    for user in (-1, *range(10)):
        scores = driver.model.scores(user, driver.histories, moment)
        expected = sorted(
            set(range(moment.items)) - had(driver, user), key=lambda item: (-scores[item], item)
        )
        for k in (1, 7, 1000):
            found = driver.model.recommend(user, k, driver.histories, moment)
            assert found.items.tolist() == expected[:k]
            assert found.scores.tolist() == scores[expected[:k]].tolist()
        item = expected[0]
        assert driver.model.predict_one(user, item, driver.histories, moment) == scores[item]


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(IN_ORDER_OF_ARRIVAL)))
def test_a_late_event_learns_with_the_weight_it_has_left(name: str) -> None:
    """What users who share nothing do has the same effect in any order of arrival, once the clock is the same."""
    case = Case(name, "event_time")  # the clock event_count has no late events
    minute = 60_000
    in_order = [
        Event(0, 0, 0),
        Event(0, 1, minute),
        Event(1, 2, 2 * minute),
        Event(1, 3, 3 * minute),
        Event(2, 4, 20 * minute),
    ]
    late = [in_order[at] for at in (0, 1, 4, 2, 3)]
    rows = {0: 0, 1: 1, 4: 2, 2: 3, 3: 4}  # by first appearance
    # A rating that an event keeps when its rows are numbered anew.
    first, second = (case.driver(rating_of=lambda event: 1 + event.time_ms // minute % 5) for _ in range(2))
    first.feed(in_order)
    second.feed([Event({0: 0, 2: 1, 1: 2}[event.user], rows[event.item], event.time_ms) for event in late])
    for user, other in ((-1, -1), (0, 0), (1, 2), (2, 1)):
        expected = first.model.scores(user, first.histories, first.moment())
        found = second.model.scores(other, second.histories, second.moment())
        for item, row in rows.items():
            assert found[row] == pytest.approx(expected[item], rel=1e-5)


def test_scores_stay_finite_over_any_gap(case: Case) -> None:
    driver = case.driver()
    year_ms = 365 * 86_400_000
    for at, event in enumerate(STREAM[:120]):
        late = event._replace(time_ms=event.time_ms + (at // 30) * 20 * year_ms)
        driver.feed([late])
        for user in (-1, 0):
            assert np.isfinite(driver.model.scores(user, driver.histories, driver.moment())).all()
    assert all(np.isfinite(array).all() for array in driver.model.arrays().values())


def test_state_is_bounded_by_what_is_known(case: Case) -> None:
    """Bytes grow with items, and with users where a model knows them, never with events."""
    driver = case.driver()
    items = 60
    driver.feed(random_stream(5, 400, users=30, items=items))
    per_item = driver.model.state_bytes / driver.history.items
    users = range(30) if case.name in KNOWS_USERS else range(200, 400)
    driver.feed([Event(user, item, 10**9) for user in users for item in range(0, items // 2)])
    assert driver.model.state_bytes <= per_item * driver.history.items + 64


def test_the_seed_of_the_run_is_the_seed_of_what_is_drawn(case: Case) -> None:
    first, same, other = (case.driver(seed=seed) for seed in (7, 7, 8))
    expected = said(first.predict(STREAM))
    assert said(same.predict(STREAM)) == expected
    assert bits(same.model) == bits(first.model)
    differs = said(other.predict(STREAM)) != expected or bits(other.model) != bits(first.model)
    assert differs == MODELS[case.name].draws


@pytest.mark.parametrize("at", [5, 60, 200])
def test_what_an_event_says_changes_only_what_comes_after_it(case: Case, at: int) -> None:
    """Test, then learn: another rating of event `at` leaves all predictions up to and including it as they were."""
    one = case.driver(rating_of=lambda _: 2.0)
    changed = STREAM[at]
    other = case.driver(rating_of=lambda event: 5.0 if event is changed else 2.0)
    before, after = one.predict(STREAM), other.predict(STREAM)
    assert said(before)[: at + 1] == said(after)[: at + 1]
    assert changed.item not in {event.item for event in STREAM[:at] if event.user == changed.user}
    if MODELS[case.name].rates:
        assert said(before, at + 1) != said(after, at + 1)


def recall_at_10(ranks: np.ndarray[Any, np.dtype[np.int32]]) -> float:
    ranked = ranks[ranks != 0]
    return float(np.mean((ranked >= 1) & (ranked <= 10)))


@pytest.mark.parametrize("seed", [1, 2])
def test_learning_and_forgetting_pay_where_they_should(seed: int) -> None:
    """Popularity is blind to taste and keeps the first half's items on top for ever.

    While 40 equally popular items are live, of which 20 are the user's colour, popularity guesses about 10 of 40;
    co-activation leaves those 20, less what was had. After the flip popularity must put 40 dead items first.
    """
    stream = checkerboard(seed)
    half = len(stream) // 2
    recall = {}
    for name, config in (
        ("popularity", None),
        ("decayed_popularity", DecayedPopularityConfig(half_life_events=100)),
        ("hebbian", HebbianConfig(half_life_events=300)),
    ):
        ranks = Driver(MODELS[name](config, Situation(clock="event_count")), "event_count").feed(stream)
        recall[name] = recall_at_10(ranks[half // 2 : half]), recall_at_10(ranks[half + half // 4 :])
    assert recall["hebbian"][0] > 1.3 * recall["popularity"][0]
    assert recall["popularity"][1] < 0.1
    assert recall["decayed_popularity"][1] > 0.15
    assert recall["hebbian"][1] > 1.3 * recall["decayed_popularity"][1]


@pytest.mark.parametrize("field", ["half_life_events", "half_life_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_half_life_is_positive(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        HebbianConfig(**{field: value})  # type: ignore[arg-type]
