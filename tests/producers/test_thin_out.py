"""Users and items that a cut chooses."""

from __future__ import annotations

import numpy as np

from producers.columns import RatingColumns
from producers.stream import Cut, thin_out


def columns_of(pairs: list[tuple[str, str]]) -> RatingColumns:
    users, items = (np.array(column, "S2") for column in zip(*pairs, strict=True))
    return RatingColumns(users, items, np.full(len(pairs), 4.0), np.arange(len(pairs)) * 1000)


PAIRS = [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "3"), ("b", "2"), ("c", "4")]


def pairs_of(columns: RatingColumns) -> list[tuple[str, str]]:
    return [(u.decode(), i.decode()) for u, i in zip(columns.users, columns.items, strict=True)]


def test_the_most_rated_items_stay() -> None:
    # Half of four items: 1 with three ratings, 2 with two.
    kept = pairs_of(thin_out(columns_of(PAIRS), Cut(top_percentile=50)))
    assert kept == [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2")]


def test_each_users_first_reviews_stay_and_no_user_with_fewer() -> None:
    assert pairs_of(thin_out(columns_of(PAIRS), Cut(reviews_per_user=3))) == [
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
    ]
    kept = pairs_of(thin_out(columns_of(PAIRS), Cut(reviews_per_user=2)))
    assert kept == [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2"), ("c", "4")]


def test_users_are_drawn_with_the_seed() -> None:
    drawn = {
        seed: frozenset(
            user for user, _ in pairs_of(thin_out(columns_of(PAIRS), Cut(num_users=1, seed=seed)))
        )
        for seed in range(20)
    }
    assert {len(users) for users in drawn.values()} == {1}
    assert set().union(*drawn.values()) == {"a", "b", "c"}
    assert pairs_of(thin_out(columns_of(PAIRS), Cut(num_users=9))) == PAIRS
