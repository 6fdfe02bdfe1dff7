"""Incremental matrix factorisation against its oracle, and one step by hand."""

from __future__ import annotations

from dataclasses import asdict, replace

import numba
import numpy as np
import pytest

from online_models.isgd import ISGD, ISGDConfig, ISGDNegatives
from online_models.model import Situation
from tests.online_models.event_streams import Driver, checkerboard, random_stream
from tests.oracles.history_oracle import Event
from tests.oracles.isgd_oracle import ISGDOracle
from tests.oracles.user_rank_oracle import walk_of_users

pytestmark = pytest.mark.oracle

STREAM = random_stream(41, 80 if numba.config.DISABLE_JIT else 400, users=20, items=45)
SMALL = ISGDConfig(factors=4, rate=0.2, regularization=0.05, deviation=0.3)


@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("seed", [0, 9])
@pytest.mark.parametrize("fit", [(0, 1), (30, 3)])
@pytest.mark.parametrize("negatives", [0, 1, 3, 60])
def test_ranks_vectors_and_queue_are_those_of_the_oracle(
    negatives: int, fit: tuple[int, int], seed: int, ties_against: bool
) -> None:
    config = replace(SMALL, negatives=negatives, fit_events=fit[0], fit_epochs=fit[1])
    driver = Driver(ISGD(config, Situation(seed=seed, ties_against=ties_against)), "event_count")
    oracle = ISGDOracle(asdict(config), seed)
    expected = list(walk_of_users(oracle, STREAM, "event_count", ties_against=ties_against))
    ranks = driver.feed_in(STREAM, [7, 50]).tolist()
    assert [
        one for one in zip(ranks, expected, strict=True) if not one[1].lowest <= one[0] <= one[1].highest
    ] == []
    arrays = driver.model.arrays()
    assert arrays["queue"].tolist() == oracle.queue
    assert arrays["taken"].tolist() == [fit[0]]
    assert not len(arrays["kept"])
    for name, vectors in (("users", oracle.users), ("items", oracle.items)):
        assert arrays[name].shape == (len(vectors), 4)
        for row, vector in vectors.items():
            assert arrays[name][row].tolist() == pytest.approx(vector, rel=1e-5, abs=1e-12)


def test_one_step_by_hand() -> None:
    """One factor: p = 2, q = 1/2, so e = 1 - 1 = 0 and only regularisation moves them."""
    config = ISGDConfig(factors=1, rate=0.5, regularization=0.25)
    model = ISGD(config)
    driver = Driver(model, "event_count")
    driver.feed([Event(0, 0, 0), Event(1, 1, 1)])
    arrays = {name: array.copy() for name, array in model.arrays().items()}
    arrays["users"][1], arrays["items"][0] = 2.0, 0.5
    model.restore(arrays)
    driver.feed([Event(1, 0, 2)])
    assert model.arrays()["users"][1] == 2.0 - 0.5 * 0.25 * 2.0
    assert model.arrays()["items"][0] == 0.5 - 0.5 * 0.25 * 0.5
    assert model.arrays()["users"][0] == arrays["users"][0]
    assert model.arrays()["items"][1] == arrays["items"][1]


def test_the_beginning_is_learned_again_by_hand() -> None:
    """One factor, no regularisation, p = q = 1/2: each step adds rate * (1 - p q) * 1/2 to both."""
    one = ISGDConfig(factors=1, rate=0.5, regularization=0.0, fit_events=2, fit_epochs=3)
    driver = Driver(ISGD(one), "event_count")
    driver.feed([Event(0, 0, 0)])
    arrays = {name: array.copy() for name, array in driver.model.arrays().items()}
    assert arrays["kept"].tolist() == [[0, 0]]
    assert arrays["taken"].tolist() == [1]
    arrays["users"][0] = arrays["items"][0] = 0.5
    driver.model.restore(arrays)
    driver.feed([Event(0, 0, 1)])  # a repeat is not counted
    assert driver.model.arrays()["taken"].tolist() == [1]
    driver.feed([Event(1, 1, 2)])
    # Twice more: 1/2 + 1/2 * 3/4 * 1/2 = 11/16, then with q = p again, p + 1/2 * (1 - p^2) * p.
    p = 11 / 16
    assert driver.model.arrays()["users"][0] == driver.model.arrays()["items"][0] == p + (1 - p * p) * p / 2
    assert not len(driver.model.arrays()["kept"])
    later = driver.model.arrays()["users"][0].copy()
    driver.feed([Event(2, 2, 3)])  # and never again
    assert driver.model.arrays()["users"][0] == later


def test_negatives_are_the_items_longest_out_of_use() -> None:
    driver = Driver(ISGD(replace(SMALL, negatives=1)), "event_count")
    driver.feed([Event(0, 0, 0)])
    assert driver.model.arrays()["queue"].tolist() == [0]
    driver.feed([Event(1, 1, 0)])  # 0 is the negative, and goes behind 1
    assert driver.model.arrays()["queue"].tolist() == [1, 0]
    before = driver.model.arrays()["items"].copy()
    driver.feed([Event(2, 2, 0)])  # 1 is the negative: its vector stays
    assert driver.model.arrays()["queue"].tolist() == [0, 2, 1]
    assert (driver.model.arrays()["items"][:2] == before[:2]).all()


def test_new_vectors_are_normal_and_depend_on_seed_row_and_side_alone() -> None:
    stream = [Event(at, at, at) for at in range(500)]
    tiny = ISGDConfig(factors=8, rate=1e-300, deviation=0.1)
    one, other = (Driver(ISGD(tiny, Situation(seed=seed)), "event_count") for seed in (3, 4))
    one.feed(stream)
    other.feed(stream)
    users, items = one.model.arrays()["users"], one.model.arrays()["items"]
    for vectors in (users, items):
        # 4,000 numbers: five standard errors.
        assert abs(vectors.mean()) < 5 * 0.1 / 4_000**0.5
        assert abs(vectors.std() - 0.1) < 5 * 0.1 / 8_000**0.5
    correlations = np.corrcoef([users.ravel(), items.ravel(), other.model.arrays()["users"].ravel()])
    assert np.abs(correlations - np.eye(3)).max() < 5 / 4_000**0.5
    few = Driver(ISGD(tiny, Situation(seed=3)), "event_count")
    few.feed(stream[:5])
    assert (few.model.arrays()["users"] == users[:5]).all()


@pytest.mark.compiled
@pytest.mark.parametrize("model", [ISGD, ISGDNegatives])
def test_the_checkerboard_is_learned(model: type[ISGD]) -> None:
    """40 items are live; ten of them by chance are 10 / 40 at most, of the user's own 20 they are a half."""
    stream = checkerboard(1, users=800, had=12)
    config = replace(model().config, rate=0.3, deviation=0.3)
    ranks = Driver(model(config), "event_count").feed(stream[: len(stream) // 2])
    late = ranks[len(ranks) * 3 // 4 :]
    assert ((late > 0) & (late <= 10)).mean() > 0.4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("factors", 0),
        ("negatives", -1),
        ("fit_events", -1),
        ("fit_epochs", 0),
        ("rate", 0.0),
        ("deviation", float("nan")),
    ],
)
def test_parameters_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected"):
        ISGDConfig(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="regularization is -1, expected 0 or more"):
        ISGDConfig(regularization=-1)
