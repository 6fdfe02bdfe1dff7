"""Figures of a split by time, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.full_catalogue import Asked, by_item_band, by_user_band, mean_figures, ranks_of, user_figures


def test_ranks_leave_out_what_was_had_and_count_ties_against() -> None:
    scores = np.array([9.0, 3.0, 3.0, 1.0, math.nan, 5.0])
    had, relevant = np.array([0]), np.array([1, 5, 3, 4])
    # Left are items 1 to 5; 5 is best, then 1 and 2 together, then 3, then what has no score.
    assert ranks_of(scores, had, relevant).tolist() == [3, 1, 4, 5]


def test_figures_of_a_user_by_hand() -> None:
    # Three relevant items at ranks 2, 7 and 30.
    figures = user_figures(np.array([7, 30, 2]))
    at = {k: 1 / math.log2(k + 1) for k in (1, 2, 3, 7)}
    ideal = at[1] + at[2] + at[3]
    expected = {
        "hr@5": 1.0, "precision@5": 1 / 5, "recall@5": 1 / 3, "ndcg@5": at[2] / ideal, "mrr@5": 1 / 2,
        "hr@10": 1.0, "precision@10": 2 / 10, "recall@10": 2 / 3, "ndcg@10": (at[2] + at[7]) / ideal, "mrr@10": 1 / 2,
        "hr@20": 1.0, "precision@20": 2 / 20, "recall@20": 2 / 3, "ndcg@20": (at[2] + at[7]) / ideal, "mrr@20": 1 / 2,
    }  # fmt: skip
    assert figures == pytest.approx(expected)
    # With more relevant items than places, the best list is full of them.
    best = user_figures(np.arange(1, 31))
    assert (best["ndcg@5"], best["precision@5"], best["recall@10"]) == pytest.approx((1.0, 1.0, 1 / 3))
    assert set(user_figures(np.array([21])).values()) == {0.0}


def test_users_weigh_alike_and_fall_into_bands() -> None:
    answers = [
        Asked(np.array([1]), np.array([0]), events=0),
        Asked(np.array([11, 3]), np.array([1, 2]), events=9),
        Asked(np.array([4]), np.array([1]), events=10),
    ]
    assert mean_figures(answers)["mrr@10"] == pytest.approx((1 + 1 / 3 + 1 / 4) / 3)
    bands = by_user_band(answers)
    assert list(bands) == ["0", "1 to 9", "10 to 49"]
    assert bands["1 to 9"]["users"] == 1
    assert bands["1 to 9"]["recall@10"] == pytest.approx(1 / 2)
    # Item 1 has 200 events, items 0 and 2 have none.
    items = by_item_band(answers, np.array([0, 200, 0]))
    assert items == {"0": {"pairs": 2.0, "found@10": 1.0}, "200 or more": {"pairs": 2.0, "found@10": 0.5}}
    assert mean_figures([]) == {}
    assert by_item_band([], np.zeros(3, np.int64)) == {}
