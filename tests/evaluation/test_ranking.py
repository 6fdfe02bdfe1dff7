"""Figures from histograms, against formulas worked by hand and a per-event oracle."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.ranking import MEASURES, clip_ranks, count_ranks, empty_histogram, ranking_figures
from tests.oracles.ranking_oracle import mean_figures

pytestmark = pytest.mark.oracle


def histogram_of(ranks: list[int]) -> np.ndarray:
    return count_ranks(clip_ranks(np.array(ranks, np.int32)))


def test_hand_derived_figures() -> None:
    # Six events: ranks 1, 3, 7, 21, a miss, a repeat. Five count.
    figures = ranking_figures(histogram_of([1, 3, 7, 21, -1, 0]))
    assert figures is not None
    assert figures["recall@5"] == 2 / 5
    assert figures["recall@10"] == figures["recall@20"] == 3 / 5
    # 1/log2(2) = 1, 1/log2(4) = 1/2, 1/log2(8) = 1/3.
    assert figures["ndcg@5"] == pytest.approx((1 + 1 / 2) / 5)
    assert figures["ndcg@10"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 5)
    assert figures["mrr@5"] == pytest.approx((1 + 1 / 3) / 5)
    assert figures["mrr@20"] == pytest.approx((1 + 1 / 3 + 1 / 7) / 5)
    # One relevant item an event: 3 hits of 50 recommended, and a hit in 3 of 5 lists.
    assert figures["precision@10"] == pytest.approx(3 / 50)
    assert figures["precision@5"] == pytest.approx(2 / 25)
    assert figures["hr@10"] == 3 / 5


def test_cutoffs_include_their_own_rank() -> None:
    figures = ranking_figures(histogram_of([5, 10, 20, 6, 11]))
    assert figures is not None
    assert [figures[f"recall@{cutoff}"] for cutoff in (5, 10, 20)] == [1 / 5, 3 / 5, 5 / 5]
    assert figures["mrr@20"] == pytest.approx((1 / 5 + 1 / 10 + 1 / 20 + 1 / 6 + 1 / 11) / 5)


def test_every_rank_has_its_bucket() -> None:
    ranks = [0, *range(1, 21), 21, 22, 2**31 - 1, -1]
    assert histogram_of(ranks).tolist() == [1] * 21 + [4]


def test_nothing_ranked_has_no_figures() -> None:
    assert ranking_figures(empty_histogram()) is None
    assert ranking_figures(histogram_of([0, 0])) is None


def test_all_first_is_one_everywhere() -> None:
    figures = ranking_figures(histogram_of([1] * 7))
    expected = dict.fromkeys(MEASURES, 1.0) | {f"precision@{cutoff}": 1 / cutoff for cutoff in (5, 10, 20)}
    assert figures == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_the_oracle(seed: int) -> None:
    ranks = np.random.default_rng(seed).integers(-1, 40, 500, np.int32)
    figures = ranking_figures(count_ranks(clip_ranks(ranks)))
    assert figures == pytest.approx(mean_figures(ranks.tolist()), rel=1e-12)


def test_histograms_of_parts_add_up_exactly() -> None:
    ranks = np.random.default_rng(5).integers(-1, 30, 1000, np.int32)
    whole = count_ranks(clip_ranks(ranks))
    parts = sum((count_ranks(clip_ranks(part)) for part in np.array_split(ranks, 7)), empty_histogram())
    assert ranking_figures(parts) == ranking_figures(whole)


def test_an_impossible_histogram_breaks_the_law() -> None:
    impossible = empty_histogram().astype(np.float64)
    impossible[1], impossible[2] = 2.0, -1.0  # "-1 events at rank 2" gives NDCG > Recall
    with pytest.raises(AssertionError, match="recall >= ndcg >= mrr"):
        ranking_figures(impossible)
