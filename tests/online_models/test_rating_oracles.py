"""Rating predictions against the formulas in plain Python, and against River used by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from river import optim, reco

from online_models.model import Situation
from online_models.rating_means import RatingMean, RatingMeans, RatingMeansConfig
from online_models.registry import MODELS
from tests.online_models.cases import STREAM, sometimes_rated
from tests.online_models.event_streams import Driver
from tests.oracles.history_oracle import Event
from tests.oracles.rating_oracle import RatingMeansOracle

pytestmark = pytest.mark.oracle


def rated(events: list[Event]) -> list[tuple[int, Event, float]]:
    """What rating models predict and learn: place in the stream, event and rating."""
    seen: set[tuple[int, int]] = set()
    found = []
    for at, event in enumerate(events):
        rating = sometimes_rated(event)
        if (event.user, event.item) not in seen and not np.isnan(rating):
            found.append((at, event, rating))
        seen.add((event.user, event.item))
    return found


@pytest.mark.parametrize("shrinkage", [0.5, 5.0])
@pytest.mark.parametrize("scale", [(1.0, 5.0), (0.0, 10.0)])
def test_rating_means(scale: tuple[float, float], shrinkage: float) -> None:
    config = RatingMeansConfig(item_shrinkage=shrinkage, user_shrinkage=shrinkage)
    driver = Driver(RatingMeans(config, Situation(scale=scale)), "event_count", sometimes_rated)
    found = driver.predict_in(STREAM, [17, 100]).ratings
    oracle = RatingMeansOracle(sum(scale) / 2, shrinkage)
    for at, event, rating in rated(STREAM):
        assert found[at] == pytest.approx(oracle.test_then_learn(event.user, event.item, rating))
    expected = [
        oracle.mean()
        + oracle.offset(oracle.of_users.get(3, []))
        + oracle.offset(oracle.of_items.get(item, []))
        for item in range(driver.history.items)
    ]
    assert driver.model.scores(3, driver.histories, driver.moment()).tolist() == pytest.approx(expected)


def test_rating_mean_by_hand() -> None:
    ratings = {0: 5.0, 1: 2.0, 2: float("nan"), 3: 1.0, 4: 4.0}
    driver = Driver(
        RatingMean(None, Situation(scale=(1.0, 5.0))), "event_count", lambda event: ratings[event.item]
    )
    events = [Event(0, 0, 0), Event(0, 1, 1), Event(1, 2, 2), Event(0, 0, 3), Event(1, 3, 4), Event(1, 4, 5)]
    # The middle of the scale, 5, -, a repeat, (5 + 2) / 2, (5 + 2 + 1) / 3.
    expected = [3.0, 5.0, None, None, 3.5, 8 / 3]
    found = [None if np.isnan(one) else one for one in driver.predict(events).ratings.tolist()]
    assert found == expected


RIVER: dict[str, Callable[[], Any]] = {
    "river_baseline": lambda: reco.Baseline(optimizer=optim.SGD(0.025)),
    "river_funk_mf": lambda: reco.FunkMF(
        n_factors=10,
        optimizer=optim.SGD(0.05),
        initializer=optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73),
    ),
    "river_biased_mf": lambda: reco.BiasedMF(
        n_factors=10,
        bias_optimizer=optim.SGD(0.025),
        latent_optimizer=optim.SGD(0.05),
        latent_initializer=optim.initializers.Normal(mu=0.0, sigma=0.1, seed=73),
    ),
}


@pytest.mark.parametrize("name", RIVER)
def test_river_models_are_river_unchanged(name: str) -> None:
    driver = Driver(MODELS[name](), "event_count", sometimes_rated)
    found = driver.predict_in(STREAM, [50, 51]).ratings
    model = RIVER[name]()
    for at, event, rating in rated(STREAM):
        assert found[at] == model.predict_one(event.user, event.item)
        model.learn_one(event.user, event.item, rating)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("river_baseline", "rate"),
        ("river_funk_mf", "n_factors"),
        ("river_biased_mf", "bias_rate"),
        ("river_biased_mf", "latent_sigma"),
    ],
)
def test_parameters_of_river_models_are_positive(name: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 0, expected more than 0"):
        MODELS[name].config_type(**{field: 0})
