"""Intervals and p-values of hits, with users as the unit."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.paired_hits import mean_by_user
from tests.oracles import paired_hits_oracle


def test_by_hand() -> None:
    # Users 0 and 1 with two events each: sums 2 and 0, mean .5, spread 2 (1^2 + 1^2), error sqrt(2 / 1 * 2) / 4 = .5.
    found = mean_by_user(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]))
    assert found.mean == 0.5
    assert found.high - found.mean == pytest.approx(1.959963984540054 * 0.5)
    assert found.p == pytest.approx(0.31731, abs=1e-5)  # P(|Z| >= 1)


def test_the_same_hits_are_no_difference() -> None:
    assert mean_by_user(np.zeros(4), np.array([0, 1, 2, 3])).p == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_as_the_oracle(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, users = random.integers(-1, 2, 200), random.integers(0, 17, 200)
    mean, error = paired_hits_oracle.mean_by_user(values.tolist(), users.tolist())
    found = mean_by_user(values, users)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(1.959963984540054 * error)


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="of 1 users, expected 2 or more"):
        mean_by_user(np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="3 values and 2 users"):
        mean_by_user(np.ones(3), np.zeros(2))
