"""The chance level: known answers of the generator, the oracle, and that it is chance."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from online_models.model import Situation
from online_models.random_scores import RandomScores, splitmix64
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles import random_scores_oracle

pytestmark = pytest.mark.oracle

STREAM = random_stream(31, 60 if numba.config.DISABLE_JIT else 600, users=40, items=120)
GOLDEN = 0x9E3779B97F4A7C15


def test_the_published_outputs_of_seed_0() -> None:
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    states = [np.uint64(k * GOLDEN & (2**64 - 1)) for k in range(3)]
    assert [int(splitmix64(state)) for state in states] == published
    assert [random_scores_oracle.splitmix64(int(state)) for state in states] == published


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_scores_are_those_of_the_oracle(seed: int) -> None:
    driver = Driver(RandomScores(None, Situation(seed=seed)), "event_count")
    driver.feed(STREAM)
    for user in (-1, 0, 7):
        found = driver.model.scores(user, driver.histories, driver.moment())
        assert found.tolist() == [
            random_scores_oracle.uniform(seed, user, item) for item in range(driver.history.items)
        ]


@pytest.mark.compiled
@pytest.mark.parametrize("seed", [0, 5])
def test_it_hits_ten_of_n_candidates_by_chance(seed: int) -> None:
    """Each event is a coin of its own with probability 10 / candidates: within five standard deviations."""
    driver = Driver(RandomScores(None, Situation(seed=seed)), "event_count")
    stream = random_stream(seed, 20_000, users=400, items=150)
    taken: dict[int, set[int]] = {}
    known: set[int] = set()
    chances = []
    for event in stream:
        had = taken.setdefault(event.user, set())
        if event.item in known and event.item not in had:
            chances.append(min(1.0, 10 / (len(known) - len(had))))
        had.add(event.item)
        known.add(event.item)
    ranks = driver.feed(stream)
    assert (ranks > 0).sum() == len(chances)
    deviation = sum(p * (1 - p) for p in chances) ** 0.5
    assert abs(((ranks > 0) & (ranks <= 10)).sum() - sum(chances)) < 5 * deviation
