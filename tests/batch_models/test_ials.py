"""iALS: each solve against plain numpy, the objective it lowers, and what it recovers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models import ials  # noqa: E402
from batch_models.ials import IALS, IALSConfig  # noqa: E402
from batch_models.interactions import Interactions, recency_weights  # noqa: E402
from tests.batch_models.tastes import ITEMS, USERS, separation, two_tastes  # noqa: E402

CPU = torch.device("cpu")
CONFIG = IALSConfig(factors=3, unobserved_weight=0.2, regularization=0.05, exponent=0.7)


def dense(data: Interactions, weight: np.ndarray) -> np.ndarray:
    table = np.zeros((data.users, data.items))
    table[data.user, data.item] = weight
    return table


def objective(weights: np.ndarray, user: np.ndarray, item: np.ndarray, config: IALSConfig) -> float:
    """The formula of the module, cell by cell."""
    predicted = user @ item.T
    total = (weights * (predicted - 1) ** 2).sum() + config.unobserved_weight * (predicted**2).sum()
    for vectors, mass, others in ((user, weights.sum(1), len(item)), (item, weights.sum(0), len(user))):
        scale = (mass + config.unobserved_weight * others) ** config.exponent
        total += config.regularization * (scale * (vectors**2).sum(1)).sum()
    return float(total)


@pytest.mark.parametrize("block", [1 << 24, 1], ids=["one block", "a row a block"])
def test_a_solve_is_the_least_squares_solution(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(ials, "_BLOCK", block)
    data = two_tastes()
    data = data.take(data.user != 5)  # a user without events
    weight = recency_weights(data, 3.0)
    model = IALS(USERS, ITEMS, CONFIG, 1, CPU)
    before = model.item.double().numpy()
    model.fit(data, weight, 1)
    table = dense(data, weight)
    for user in range(USERS):
        mass = table[user].sum() + 0.2 * ITEMS
        left = before.T @ np.diag(table[user] + 0.2) @ before + 0.05 * mass**0.7 * np.eye(3)
        expected = np.linalg.solve(left, before.T @ table[user])
        np.testing.assert_allclose(model.user[user].numpy(), expected, rtol=1e-3, atol=1e-5)


def test_each_epoch_lowers_the_objective() -> None:
    data = two_tastes()
    weight = recency_weights(data, 5.0)
    table = dense(data, weight)
    model = IALS(USERS, ITEMS, CONFIG, 1, CPU)
    seen = [objective(table, model.user.double().numpy(), model.item.double().numpy(), CONFIG)]

    def after(epoch: int) -> bool:
        seen.append(objective(table, model.user.double().numpy(), model.item.double().numpy(), CONFIG))
        return epoch == 5

    assert model.fit(data, weight, 9, after) == 5
    assert len(seen) == 6
    assert all(later < earlier for earlier, later in itertools.pairwise(seen))


def test_the_planted_tastes_are_recovered() -> None:
    data = two_tastes()
    model = IALS(USERS, ITEMS, IALSConfig(factors=2), 0, CPU)
    model.fit(data, np.ones(data.size, np.float32), 10)
    users = torch.arange(USERS)
    scores = model.all_items(users)
    assert separation(scores.numpy(), data) > 0.99
    items = torch.tensor([[0, 7, 3]]).expand(USERS, -1)
    torch.testing.assert_close(model(users, items), scores[:, [0, 7, 3]], rtol=1e-4, atol=1e-5)
