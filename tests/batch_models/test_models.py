"""GMF, MLP, NeuMF, MF: their formulas by hand, and what they recover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models.gmf import GMF, GMFConfig  # noqa: E402
from batch_models.interactions import recency_weights  # noqa: E402
from batch_models.mf import MF, MFConfig  # noqa: E402
from batch_models.mlp import MLP, MLPConfig  # noqa: E402
from batch_models.neumf import NeuMF, NeuMFConfig  # noqa: E402
from batch_models.objectives import AllItems, Ratings, SampledPairs  # noqa: E402
from batch_models.pair_model import PairModel  # noqa: E402
from batch_models.trainer import Trainer, TrainingConfig  # noqa: E402
from tests.batch_models.tastes import ITEMS, USERS, separation, two_tastes  # noqa: E402

CPU = torch.device("cpu")
LAYERS = (12, 6, 4)
MAKE: dict[str, Callable[[int], PairModel]] = {
    "gmf": lambda seed: GMF(USERS, ITEMS, GMFConfig(6), seed),
    "mlp": lambda seed: MLP(USERS, ITEMS, MLPConfig(LAYERS, std=0.1), seed),
    "neumf": lambda seed: NeuMF(USERS, ITEMS, NeuMFConfig(6, LAYERS), seed),
    "mf": lambda seed: MF(USERS, ITEMS, MFConfig(6), seed),
}


def _under(prefix, parameters):
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}


def _gmf(p, user, item):
    return p["output.weight"][0] @ (p["user"][user] * p["item"][item]) + p["output.bias"][0]


def _mlp(p, user, item):
    hidden = np.concatenate([p["tower.user"][user], p["tower.item"][item]])
    for layer in range(len(LAYERS) - 1):
        hidden = np.maximum(p[f"tower.layers.{layer}.weight"] @ hidden + p[f"tower.layers.{layer}.bias"], 0)
    return p["output.weight"][0] @ hidden + p["output.bias"][0]


# By hand, in numpy, from the formulas in the papers.
FORMULA = {
    "gmf": _gmf,
    "mlp": _mlp,
    "neumf": lambda p, u, i: _gmf(_under("gmf.", p), u, i) + _mlp(_under("mlp.", p), u, i),
    "mf": lambda p, u, i: p["bias"] + p["user_bias"][u] + p["item_bias"][i] + p["user"][u] @ p["item"][i],
}


def _made(name: str, seed: int = 0) -> PairModel:
    """A model with numbers that are all different from what it begins with."""
    model = MAKE[name](seed)
    random = torch.Generator().manual_seed(seed + 100)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    return model.eval()


@pytest.mark.parametrize("name", MAKE)
def test_a_logit_is_as_in_the_paper(name: str) -> None:
    model = _made(name)
    numbers = {key: value.double().numpy() for key, value in model.state_dict().items()}
    expected = np.array(
        [[FORMULA[name](numbers, user, item) for item in range(ITEMS)] for user in range(USERS)]
    )
    users, items = torch.arange(USERS), torch.arange(ITEMS)
    with torch.no_grad():
        many = model(users, items.expand(USERS, -1))  # more pairs than rows
        few = model(users[:3], torch.tensor([2, 0, 1]))
        all_items = model.all_items(users)
    np.testing.assert_allclose(many.numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(few.numpy(), expected[[0, 1, 2], [2, 0, 1]], rtol=1e-4, atol=1e-4)
    # But for a constant a user: ranks are the same.
    off = all_items.numpy() - expected
    np.testing.assert_allclose(off, np.broadcast_to(off[:, :1], off.shape), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.5, 0.25])
def test_neumf_starts_as_the_mean_of_its_parts(alpha: float) -> None:
    gmf, mlp = _made("gmf", 1), _made("mlp", 2)
    model = NeuMF(USERS, ITEMS, NeuMFConfig(6, LAYERS, alpha=alpha), 0)
    model.start_from(gmf, mlp)
    users, items = torch.arange(USERS), torch.arange(ITEMS).expand(USERS, -1)
    with torch.no_grad():
        expected = alpha * gmf(users, items) + (1 - alpha) * mlp(users, items)
        torch.testing.assert_close(model(users, items), expected, rtol=1e-5, atol=1e-5)


def test_gmf_and_mlp_of_neumf_share_no_vectors() -> None:
    model = NeuMF(USERS, ITEMS, NeuMFConfig(6, LAYERS), 0)
    shapes = {
        name: tuple(value.shape)
        for name, value in model.named_parameters()
        if name.endswith(("user", "item"))
    }
    assert shapes == {
        "gmf.user": (USERS, 6), "gmf.item": (ITEMS, 6), "mlp.tower.user": (USERS, 6), "mlp.tower.item": (ITEMS, 6),
    }  # fmt: skip


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("loss", ["bce", "bpr", "softmax"])
def test_the_planted_tastes_are_recovered(name: str, loss: str) -> None:
    data = two_tastes()
    model = MAKE[name](3)
    objective = SampledPairs(data, recency_weights(data, float("inf")), loss, 4, CPU)
    Trainer(model, objective, TrainingConfig(epochs=30, batch_size=64, rate=0.02)).fit()
    with torch.no_grad():
        scores = model.eval().all_items(torch.arange(USERS)).numpy()
    assert separation(scores, data) > 0.85  # half is chance


@pytest.mark.parametrize("loss", ["bce", "softmax"])
@pytest.mark.parametrize("name", ["gmf", "mf"])
def test_the_planted_tastes_are_recovered_over_all_items(name: str, loss: str) -> None:
    data = two_tastes()
    model = MAKE[name](3)
    objective = AllItems(data, recency_weights(data, float("inf")), loss, 4, CPU)
    Trainer(model, objective, TrainingConfig(epochs=30, batch_size=16, rate=0.03)).fit()
    with torch.no_grad():
        assert separation(model.all_items(torch.arange(USERS)).numpy(), data) > 0.9


def test_all_items_is_the_expectation_of_sampled_pairs() -> None:
    data = two_tastes()
    weight = recency_weights(data, 4.0)
    model = _made("mf")
    users = torch.arange(USERS)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        exact = AllItems(data, weight, "bce", 3, CPU).loss(model, users, random)
        sampled = SampledPairs(data, weight, "bce", 3, CPU)
        everything = torch.arange(sampled.rows)
        mean = torch.stack([sampled.loss(model, everything, random) for _ in range(200)]).mean()
    # 200 x 1,200 draws: the mean's standard deviation is some thousandths of it.
    torch.testing.assert_close(exact, mean, rtol=0.02, atol=0.0)


def test_ratings_are_learned_by_squared_error() -> None:
    data = two_tastes()
    rating = (1 + 4 * (data.item % 3 == 0)).astype(np.float32)
    data = data._replace(rating=rating)
    model = MF(USERS, ITEMS, MFConfig(4), 0)
    objective = Ratings(data, np.ones(data.size, np.float32), CPU)
    fit = Trainer(model, objective, TrainingConfig(epochs=40, batch_size=100, rate=0.1)).fit()
    assert fit.epochs[-1].loss < 0.1 * fit.epochs[0].loss
    with pytest.raises(ValueError, match="rating holds NaN"):
        Ratings(two_tastes(), np.ones(data.size, np.float32), CPU)
