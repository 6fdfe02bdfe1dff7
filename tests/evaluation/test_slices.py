"""Ranking by age of the user and popularity of the item: by oracle, at the edges, and for any cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaluation.ranking import clip_ranks, count_ranks
from evaluation.slices import SLICES, USER_SLICES, SlicedRanking, slice_figures
from tests.oracles.ranking_oracle import mean_figures
from tests.oracles.slices_oracle import BELONGS

pytestmark = pytest.mark.oracle


def events(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of two models, and what user and item had had."""
    rng = np.random.default_rng(seed)
    ranks = rng.integers(1, 40, (2, count))
    ranks[:, rng.random(count) < 0.1] = 0
    user = rng.integers(0, 30, count)
    item = (10 ** rng.uniform(0, 4, count)).astype(np.int64) - 1
    ranks[:, item == 0] = -1
    return ranks, user, item


def taken(
    ranks: np.ndarray, user: np.ndarray, item: np.ndarray, cuts: list[int], first: int
) -> SlicedRanking:
    state = SlicedRanking(len(ranks))
    columns = np.array([clip_ranks(of.astype(np.int32)) for of in ranks])
    for start, end in itertools.pairwise([0, *cuts, len(user)]):
        state.update(
            columns[:, start:end],
            user[start:end].astype(np.int32),
            item[start:end].astype(np.int32),
            max(0, first - start),
        )
    return state


@pytest.mark.parametrize("seed", [0, 1])
def test_slices_agree_with_the_oracle(seed: int) -> None:
    ranks, user, item = events(seed, 400)
    state = taken(ranks, user, item, [], 120)
    assert set(BELONGS) == set(SLICES)
    for model in range(2):
        for span, first in ((0, 0), (1, 120)):
            found = slice_figures([state], span, model)
            for name, belongs in BELONGS.items():
                kept = [
                    rank
                    for rank, u, i in zip(
                        ranks[model][first:].tolist(),
                        user[first:].tolist(),
                        item[first:].tolist(),
                        strict=True,
                    )
                    if belongs(u, i)
                ]
                expected = mean_figures(kept)
                assert expected is not None
                measures = ("recall@10", "ndcg@10", "mrr@10")
                assert found[name] == pytest.approx(
                    {"ranked": sum(rank != 0 for rank in kept)} | {one: expected[one] for one in measures}
                )


def test_edges_belong_to_the_slice_that_they_begin() -> None:
    for user, item, of_user, of_item in (
        (0, 0, "user_1", None),
        (1, 1, "user_2_5", "item_1_9"),
        (4, 9, "user_2_5", "item_1_9"),
        (5, 10, "user_6_20", "item_10_99"),
        (19, 99, "user_6_20", "item_10_99"),
        (20, 100, "user_21", "item_100_999"),
        (10**6, 999, "user_21", "item_100_999"),
        (0, 1000, "user_1", "item_1000"),
    ):
        state = taken(np.array([[3]]), np.array([user]), np.array([item]), [], 0)
        found = slice_figures([state], 0, 0)
        assert {name for name, of in found.items() if of} == {of_user, of_item} - {None}


def test_slices_of_users_add_up_to_the_whole() -> None:
    ranks, user, item = events(3, 300)
    state = taken(ranks, user, item, [], 90)
    whole = np.array([count_ranks(clip_ranks(of.astype(np.int32))) for of in ranks])
    assert np.array_equal(state.histograms[0][:, : len(USER_SLICES)].sum(axis=1), whole)


def test_any_cut_is_the_same_and_lanes_add_up() -> None:
    ranks, user, item = events(4, 200)
    whole = taken(ranks, user, item, [], 60)
    cut = taken(ranks, user, item, [1, 59, 60, 61, 150], 60)
    assert whole.histograms.tobytes() == cut.histograms.tobytes()
    first = taken(ranks[:, :80], user[:80], item[:80], [], 80)
    second = taken(ranks[:, 80:], user[80:], item[80:], [], 200)
    assert slice_figures([first, second], 0, 1) == slice_figures([whole], 0, 1)
