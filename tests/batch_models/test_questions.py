"""Questions to batch models: counts by hand, and by the plainest Python."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models import questions  # noqa: E402
from batch_models.interactions import Interactions  # noqa: E402
from batch_models.questions import Questions, ask, ask_all  # noqa: E402
from evaluation.leave_one_out import leave_one_out_figures  # noqa: E402
from tests.oracles.leave_one_out_oracle import above_target  # noqa: E402

CPU = torch.device("cpu")


class Table:
    """Scores from a table."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = torch.from_numpy(scores)

    def __call__(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return self.scores[users[:, None], items]

    def all_items(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


@pytest.mark.parametrize("block", [1 << 24, 1], ids=["one block", "a user a block"])
def test_figures_are_those_of_the_oracle(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(questions, "_BLOCK", block)
    random = np.random.default_rng(0)
    users, items = 30, 50
    # Few values, so that there are ties; negatives with repeats and with the target among them.
    scores = random.integers(0, 6, (users, items)).astype(np.float32)
    user = np.repeat(np.arange(users), 4)
    item = np.concatenate([random.choice(items, 4, replace=False) for _ in range(users)])
    data = Interactions(user, item, user, np.zeros(len(user), np.float32), users, items)
    asked = Questions(
        np.arange(users), random.integers(0, items, users), random.integers(0, items, (users, 20))
    )
    maps = [dict(enumerate(row.tolist())) for row in scores]
    sampled = [above_target(maps[u], t, n.tolist()) for u, t, n in zip(*asked, strict=True)]
    everything = [
        above_target(maps[u], t, set(range(items)) - set(item[user == u].tolist()))
        for u, t, _ in zip(*asked, strict=True)
    ]
    expected = leave_one_out_figures(np.array(sampled)), leave_one_out_figures(np.array(everything))
    assert ask_all(Table(scores), asked, data, CPU) == expected
    assert ask(Table(scores), asked, items, CPU) == expected[0]
    assert 0 < expected[0]["ndcg@10"] < 1
