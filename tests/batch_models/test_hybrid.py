"""The hybrid: what it may look at, its loss, and what it recovers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models.content_features import content_features  # noqa: E402
from batch_models.hybrid import Hybrid, HybridConfig, HybridScorer, NextItem  # noqa: E402
from batch_models.interactions import Interactions  # noqa: E402
from batch_models.sequences import PADDING, Windows, last_windows, training_windows  # noqa: E402
from batch_models.trainer import Trainer, TrainingConfig  # noqa: E402

CPU = torch.device("cpu")
ITEMS = 12
CONFIG = HybridConfig(factors=8, length=6, blocks=2, heads=2, dropout=0.0)


def rounds() -> Interactions:
    """Twenty users go round the items, each from another start: the next item is known from the last one alone."""
    user = np.repeat(np.arange(20), 15)
    item = (np.tile(np.arange(15), 20) + user) % ITEMS
    return Interactions(user, item, np.arange(300) * 1000, np.zeros(300, np.float32), 20, ITEMS)


def made(seed: int = 0) -> Hybrid:
    content = content_features(ITEMS, [(0, ["Drama", "War"], 1994), (3, ["Drama"], 0)])
    model = Hybrid(CONFIG, content, np.ones(ITEMS, np.float32), seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    return model.eval()


def encoded(model: Hybrid, items: list[int]) -> torch.Tensor:
    item = torch.tensor([items])
    gap = torch.zeros_like(item)
    with torch.no_grad():
        return model.encode(item, gap, model.vectors())[0]


def test_what_comes_later_changes_nothing_before_it() -> None:
    model = made()
    one, other = encoded(model, [1, 2, 3, 4, 5, 6]), encoded(model, [1, 2, 3, 9, 0, 7])
    torch.testing.assert_close(one[:3], other[:3])
    assert not torch.allclose(one[3], other[3])


def test_padding_changes_nothing() -> None:
    model = made()
    padded, full = encoded(model, [PADDING, PADDING, PADDING, 1, 2, 3]), encoded(model, [1, 2, 3])
    torch.testing.assert_close(padded[3:], full, rtol=1e-4, atol=1e-5)


def test_content_by_hand() -> None:
    features = content_features(4, [(0, ["War", "Drama"], 1994), (2, ["War"], 1888), (3, [], 2050)])
    half = 0.5**0.5
    assert features.shape == (4, 14)
    assert features[0] == pytest.approx([half, half, *[0] * 8, 1, 0, 0, 0])
    assert features[1].tolist() == [0] * 14
    assert features[2].tolist() == [0, 1, 1, *[0] * 11]
    assert features[3].tolist() == [*[0] * 13, 1]
    assert content_features(4, []).shape == (4, 0)


def test_the_loss_is_cross_entropy_of_the_next_item() -> None:
    model = made()
    item, gap = np.array([[PADDING, 1, 2, 3, 4, 5]]), np.zeros((1, 6), np.int64)
    target = np.array([[PADDING, PADDING, 3, 4, PADDING, 6]])
    windows = Windows(item, target, gap, np.zeros(1, np.int64))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        exact = NextItem(windows, 0, CPU).loss(model, torch.tensor([0]), random)
        hidden = encoded(model, item[0].tolist())
        logits = (hidden @ model.vectors().T + model.bias).double()
        expected = np.mean(
            [float(torch.logsumexp(logits[at], 0) - logits[at, target[0, at]]) for at in (2, 3, 5)]
        )
        assert float(exact) == pytest.approx(expected, rel=1e-5)
        # Many negatives, weighed by what was not drawn, estimate it.
        many = NextItem(windows, 40_000, CPU).loss(model, torch.tensor([0]), random)
    assert float(many) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("negatives", [0, 8])
def test_an_order_is_recovered(negatives: int) -> None:
    data = rounds()
    model = Hybrid(CONFIG, np.zeros((ITEMS, 0), np.float32), np.ones(ITEMS, np.float32), 0)
    windows = training_windows(data, 6, 6)
    Trainer(
        model, NextItem(windows, negatives, CPU), TrainingConfig(epochs=12, batch_size=10, rate=0.03)
    ).fit()
    scorer = HybridScorer(model.eval(), last_windows(data, 6), CPU)
    users = torch.arange(20)
    with torch.no_grad():
        scores = scorer.all_items(users)
        items = torch.arange(ITEMS).expand(20, -1)
        torch.testing.assert_close(scorer(users, items), scores, rtol=1e-4, atol=1e-4)
    next_item = (users + 15) % ITEMS
    assert (scores.argmax(1) == next_item).float().mean() > 0.9
