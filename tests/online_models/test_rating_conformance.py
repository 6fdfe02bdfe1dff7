"""What every model does that predicts ratings, beyond what `test_conformance` asks of all models."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.registry import MODELS
from tests.online_models.cases import STREAM, Case, bits, cases, had, said, sometimes_rated
from tests.oracles.history_oracle import Event

rating = pytest.mark.parametrize("case", cases(lambda model: model.rates), ids="-".join)
# A model that ranks too may learn from an event without a rating that the user has had the item.
only_rating = pytest.mark.parametrize(
    "case", cases(lambda model: model.rates and not model.ranks), ids="-".join
)


def repeats(events: list[Event]) -> list[bool]:
    seen: set[tuple[int, int]] = set()
    found = []
    for event in events:
        found.append((event.user, event.item) in seen)
        seen.add((event.user, event.item))
    return found


def test_these_models_predict_ratings() -> None:
    assert {case.name for case in cases(lambda model: model.rates)} == {
        "rating_mean",
        "rating_means",
        "river_baseline",
        "river_funk_mf",
        "river_biased_mf",
        "rating_synapses",
        "wisard",
    }


@rating
def test_all_that_was_rated_is_predicted_but_repeats(case: Case) -> None:
    out = case.driver().predict(STREAM)
    silent = [
        repeat or np.isnan(sometimes_rated(event))
        for event, repeat in zip(STREAM, repeats(STREAM), strict=True)
    ]
    assert any(silent)
    assert np.isnan(out.ratings).tolist() == silent
    assert np.isfinite(out.ratings[~np.array(silent)]).all()


@only_rating
def test_nothing_is_ranked(case: Case) -> None:
    assert not case.driver().predict(STREAM).ranks.any()


@pytest.mark.parametrize("case", cases(lambda model: not model.rates), ids="-".join)
def test_other_models_predict_no_rating(case: Case) -> None:
    assert np.isnan(case.driver().predict(STREAM).ratings).all()


@only_rating
def test_repeats_and_events_without_a_rating_are_not_learned(case: Case) -> None:
    driver, other = case.driver(), case.driver()
    driver.feed(STREAM)
    other.feed(STREAM)
    before = bits(driver.model)
    later = STREAM[-1].time_ms + 1
    known = range(driver.history.items)
    mute = [
        Event(user, item, later)
        for user in range(10)
        for item in known
        if item in had(driver, user) or np.isnan(sometimes_rated(Event(user, item, later)))
    ]
    assert {event.item in had(driver, event.user) for event in mute} == {True, False}
    assert np.isnan(driver.predict(mute).ratings).all()
    assert bits(driver.model) == before
    # Nor is anything hidden changed.
    fresh = [Event(11, item, later) for item in known if item not in had(driver, 11)]
    assert said(driver.predict(fresh)) == said(other.predict(fresh))


@rating
def test_the_rating_is_that_of_the_scores_before_the_event(case: Case) -> None:
    """For users and items that were rated before; what is said of others is finite."""
    driver = case.driver()
    users: set[int] = set()
    items: set[int] = set()
    compared = 0
    for event in STREAM[:200]:
        scores = driver.model.scores(
            event.user if event.user < len(driver.histories.length) else -1,
            driver.histories,
            driver.moment(event.time_ms),
        )
        [found] = driver.predict([event]).ratings.tolist()
        if np.isnan(found):
            continue
        assert np.isfinite(found)
        if event.user in users and event.item in items:
            assert found == pytest.approx(scores[event.item], rel=1e-12)
            compared += 1
        users.add(event.user)
        items.add(event.item)
    assert compared > 50


@rating
def test_someone_unknown_is_expected_to_rate_like_the_average(case: Case) -> None:
    """No offset, bias or vector of a user is known: all users who are unknown get the same answer."""
    driver = case.driver()
    driver.feed(STREAM)
    moment, histories = driver.moment(), driver.histories
    scores = driver.model.scores(-1, histories, moment)
    assert scores.shape == (moment.items,)
    assert np.isfinite(scores).all()
    if case.name == "river_funk_mf":
        assert not scores.any()  # it has no mean: a product with nothing
    else:
        assert 1.0 <= scores.min() <= scores.max() <= 5.0
    silent = case.driver(rating_of=lambda _: float("nan"))
    silent.feed(STREAM)
    # Nothing was rated: nothing is known of anybody, and all items are the same.
    assert len(set(silent.model.scores(0, histories, moment).tolist())) == 1


@rating
def test_a_user_who_rates_everything_high_is_expected_to_go_on(case: Case) -> None:
    """The floor is everybody's mean, which neither user moves much; the others tell the two users apart."""
    driver = case.driver(rating_of=lambda event: 5.0 if event.user == 0 else 1.0)
    driver.feed([Event(user, item, item) for item in range(60) for user in (0, 1)])
    driver.feed([Event(2, 60, 100)])
    generous, strict = (
        driver.model.predict_one(user, 60, driver.histories, driver.moment()) for user in (0, 1)
    )
    if case.name == "rating_mean":
        assert generous == strict == pytest.approx((60 * 5 + 61 * 1) / 121)
    elif case.name == "river_funk_mf":
        assert generous > strict  # no bias of the user: all of it goes through the vector of an item met once
    else:
        assert generous > strict + 2.0


@pytest.mark.parametrize("field", ["item_shrinkage", "user_shrinkage"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_shrinkage_is_positive(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        MODELS["rating_means"].config_type(**{field: value})
