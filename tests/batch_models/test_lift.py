"""Tables of lift, by their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batch_models.interactions import Interactions
from batch_models.lift import LiftConfig, lift_tables

pytestmark = pytest.mark.oracle

ITEMS = 6
CONFIG = LiftConfig(length=2, step_decay=0.5, gap_scale_s=10.0, gap_exponent=1.0, reverse=0.25, prior=4.0)


def made() -> Interactions:
    random = np.random.default_rng(1)
    user = random.integers(0, 5, 60)
    item = random.integers(0, ITEMS - 1, 60)  # the last item has no event
    return Interactions(
        user, item, np.cumsum(random.integers(0, 20, 60)) * 1000, np.zeros(60, np.float32), 5, ITEMS
    )


def by_definition(data: Interactions, users: set[int]) -> np.ndarray:  # type: ignore[type-arg]
    count, had = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for user in users:
        rows = np.flatnonzero(data.user == user)
        for at, row in enumerate(rows):
            had[data.item[row]] += 1
            for back in (1, 2):
                if at >= back:
                    before = rows[at - back]
                    gap_s = (data.time_ms[row] - data.time_ms[before]) / 1000
                    gain = 0.5 ** (back - 1) / (1 + gap_s / 10)
                    count[data.item[before], data.item[row]] += gain
                    count[data.item[row], data.item[before]] += 0.25 * gain
    lift = np.zeros_like(count)
    for a in range(ITEMS):
        for c in range(ITEMS):
            lift[a, c] = math.log(1 + count[a, c] * had.sum() / (4.0 * max(had[c], 1)))
    return lift


def test_each_table_leaves_out_the_users_of_its_fold() -> None:
    data = made()
    tables = lift_tables(data, 2, CONFIG)
    assert tables.shape == (3, ITEMS, ITEMS)
    for fold, users in ((0, {1, 3}), (1, {0, 2, 4}), (2, {0, 1, 2, 3, 4})):
        np.testing.assert_allclose(tables[fold], by_definition(data, users), atol=1e-5)
