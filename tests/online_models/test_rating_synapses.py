"""`rating_synapses` against its oracle, by hand where that is possible, and its settings."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.model import Situation
from online_models.rating_synapses import RatingSynapses, RatingSynapsesConfig
from tests.online_models.cases import STREAM, sometimes_rated
from tests.online_models.event_streams import Driver
from tests.online_models.films import describe
from tests.oracles.history_oracle import Event
from tests.oracles.rating_synapses_oracle import RatingSynapsesOracle

pytestmark = pytest.mark.oracle
ITEMS = max(event.item for event in STREAM) + 1
CONFIGS = {
    "collisions": RatingSynapsesConfig(trace_length=5, reverse_length=3, row_synapses=8, forgetting=0.98),
    "no replay": RatingSynapsesConfig(trace_length=9, reverse_length=9, row_synapses=64, replay_rate=0.0),
    "no synapses": RatingSynapsesConfig(trace_length=0, reverse_length=0, row_synapses=1),
    "one way": RatingSynapsesConfig(trace_length=20, reverse_length=0, synapse_shrinkage=2.0, ridge=1.0),
}


def rating_of(event: Event) -> float:
    """Views among them, and another rating for a pair that comes again."""
    rating = sometimes_rated(event)
    return rating if event.time_ms % 3 else float(np.clip(6 - rating, 1, 5))


@pytest.mark.parametrize("scale", [(1.0, 5.0), (0.0, 10.0)])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_oracle_says_the_same(name: str, scale: tuple[float, float]) -> None:
    config = CONFIGS[name]
    driver = Driver(RatingSynapses(config, Situation(scale=scale, seed=3)), "event_count", rating_of)
    films = describe(driver, ITEMS)
    found = driver.predict_in(STREAM, [17, 100])
    oracle = RatingSynapsesOracle(config, films, scale, seed=3)
    compared = 0
    for at, event in enumerate(STREAM):
        rating = rating_of(event)
        fresh = event.item not in {item for item, _, _ in oracle.users[event.user].had}
        if np.isnan(rating) or not fresh:
            assert np.isnan(found.ratings[at])
            assert np.isnan(found.likes[at])
        else:
            expected, like = oracle.expected(oracle.signals(event.user, event.item, event.time_ms))
            # Synapses and preferences are float32.
            assert oracle.units(float(found.ratings[at])) == pytest.approx(expected, rel=1e-4, abs=1e-4)
            assert found.likes[at] == pytest.approx(like, rel=1e-4, abs=1e-4)
            oracle.learn(event.user, event.item, rating, event.time_ms)
            compared += 1
        oracle.has_had(event.user, event.item, rating, event.time_ms)
    assert compared > 150
    synapses = driver.model.arrays()["synapse"]
    assert synapses.any() == (config.trace_length > 0)
    for item in range(ITEMS):
        wanted = [oracle.synapse[item, column] for column in range(config.row_synapses)]
        assert synapses[item].tolist() == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    moment = driver.moment()
    scores = driver.model.scores(3, driver.histories, moment)
    wanted = [oracle.expected(oracle.signals(3, item, moment.time_ms))[0] for item in range(ITEMS)]
    assert [oracle.units(score) for score in scores.tolist()] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_who_agrees_wires_together_by_hand() -> None:
    """Two ratings of one user, without offsets to speak of: the synapse is the product of their residuals.

    First 5 (4 units, mean 2 of nothing): no trace. Then 4 (3 units): the mean is 4, offsets are 2 / (1 + 10^9),
    so the residuals are 3 - 4 = -1 and 4 - 4 = 0: no wire. A third, 2 (1 unit), mean 3.5: residual -2.5 with
    0.5 (of the 5, faded by a half) and -0.5 (of the 4).
    """
    huge = 1e9
    config = RatingSynapsesConfig(
        item_shrinkage=huge,
        user_shrinkage=huge,
        step_decay=0.5,
        trace_length=2,
        reverse_length=1,
        row_synapses=4,
    )
    ratings = {0: 5.0, 1: 4.0, 2: 2.0}
    driver = Driver(RatingSynapses(config), "event_count", lambda event: ratings[event.item])
    driver.feed([Event(0, item, item) for item in range(3)])
    expected = np.zeros((3, 4))
    expected[2, 1] = expected[1, 2] = -2.5 * -0.5
    expected[2, 0] = -2.5 * 0.5 * 0.5
    np.testing.assert_allclose(driver.model.arrays()["synapse"], expected, atol=1e-6)


def test_rows_of_synapses_keep_their_columns_when_items_are_dropped() -> None:
    driver = Driver(RatingSynapses(RatingSynapsesConfig(row_synapses=64)), "event_count")
    driver.feed(STREAM)
    before = {name: array.copy() for name, array in driver.model.arrays().items()}
    kept = np.arange(1, ITEMS, dtype=np.int32)
    users = np.arange(driver.history.users, dtype=np.int32)
    driver.history.keep(users, kept)
    driver.items.keep(kept)
    driver.catalogue.keep(kept)
    driver.model.keep(users, kept, driver.histories)
    assert driver.model.arrays()["slot"].tolist() == before["slot"][1:].tolist()
    assert (driver.model.arrays()["synapse"] == before["synapse"][1:]).all()
    # A new item gets a column of its own.
    driver.feed([Event(0, ITEMS - 1, STREAM[-1].time_ms + 1)])
    assert driver.model.arrays()["slot"][-1] == int(before["met"][0])


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("item_shrinkage", 0.0, "more than 0"),
        ("ridge", float("nan"), "more than 0"),
        ("step_decay", 1.5, "0 to 1"),
        ("taste_rate", -0.1, "0 to 1"),
        ("forgetting", 0.0, "more than 0"),
        ("trace_length", -1, "0 or more"),
        ("row_synapses", 12, "a power of two"),
        ("row_synapses", 0, "a power of two"),
    ],
)
def test_settings_are_in_their_ranges(field: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected {expected}"):
        RatingSynapsesConfig(**{field: value})  # type: ignore[arg-type]
