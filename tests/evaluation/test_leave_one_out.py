"""Leave one out: counts of what stands above the target, and the figures made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.leave_one_out import above_among, above_among_all, leave_one_out_figures
from tests.oracles.leave_one_out_oracle import above_target, hit_and_gain

pytestmark = pytest.mark.oracle


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def test_ties_count_against_the_target_and_an_item_counts_once() -> None:
    scores = np.array([5.0, 3.0, 3.0, 9.0, 1.0])
    # 3 is above, 2 level; 1 is the target itself, 4 below; 3 is drawn twice.
    assert above_among(scores, 1, rows(3, 2, 1, 4, 3)) == 2
    # Of all: 0, 2 and 3; 0 has been had.
    assert above_among_all(scores, 1, rows(0)) == 2
    assert above_among_all(scores, 1, rows()) == 3


def test_what_has_no_score_is_never_below_the_target() -> None:
    scores = np.array([np.nan, 1.0, -np.inf])
    assert above_among(scores, 1, rows(0, 2)) == 1
    assert above_among(scores, 0, rows(1, 2)) == 2
    assert above_among_all(scores, 2, rows()) == 2


def test_figures_by_hand() -> None:
    figures = leave_one_out_figures(np.array([0, 1, 9, 10]))
    assert figures["hr@10"] == 0.75
    expected = (1 + math.log(2) / math.log(3) + math.log(2) / math.log(11)) / 4
    assert figures["ndcg@10"] == pytest.approx(expected, rel=1e-15)
    with pytest.raises(ValueError, match="above is empty"):
        leave_one_out_figures(np.zeros(0, np.int64))


@pytest.mark.parametrize("seed", range(5))
def test_counts_and_figures_equal_the_oracle(seed: int) -> None:
    random = np.random.default_rng(seed)
    above = []
    for _ in range(50):
        scores = random.integers(0, 12, 40).astype(float)
        target = int(random.integers(40))
        candidates = random.integers(0, 40, 30).astype(np.int32)
        had = random.choice(40, 8, replace=False).astype(np.int32)
        by_item = dict(enumerate(scores.tolist()))
        found = above_among(scores, target, candidates)
        assert found == above_target(by_item, target, candidates.tolist())
        left = set(range(40)) - set(had.tolist())
        assert above_among_all(scores, target, had) == above_target(by_item, target, left)
        above.append(found)
    expected = np.mean([hit_and_gain(count) for count in above], axis=0)
    figures = leave_one_out_figures(np.array(above))
    assert [figures["hr@10"], figures["ndcg@10"]] == pytest.approx(expected.tolist(), rel=1e-12)
