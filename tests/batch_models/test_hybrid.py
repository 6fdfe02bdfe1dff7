"""The hybrid: what it may look at, its loss, and what it recovers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models.content_features import content_features  # noqa: E402
from batch_models.gmf import GMF, GMFConfig  # noqa: E402
from batch_models.hybrid import Hybrid, HybridConfig, HybridScorer, NextItem, first_shares  # noqa: E402
from batch_models.interactions import Interactions  # noqa: E402
from batch_models.item_text import ItemRecord  # noqa: E402
from batch_models.sequences import (  # noqa: E402
    PADDING,
    Windows,
    last_windows,
    recency_of_targets,
    training_windows,
)
from batch_models.trainer import Trainer, TrainingConfig, compiled_modules  # noqa: E402

CPU = torch.device("cpu")
ITEMS = 12
CONFIG = HybridConfig(factors=8, length=6, blocks=2, heads=2, dropout=0.0)


def rounds() -> Interactions:
    """Twenty users go round the items, each from another start: the next item is known from the last one alone."""
    user = np.repeat(np.arange(20), 15)
    item = (np.tile(np.arange(15), 20) + user) % ITEMS
    return Interactions(user, item, np.arange(300) * 1000, np.zeros(300, np.float32), 20, ITEMS)


def made(seed: int = 0) -> Hybrid:
    content = content_features(
        ITEMS, [ItemRecord(0, "One", 1994, ["Drama", "War"]), ItemRecord(3, "Two", 0, ["Drama"])]
    )
    lift = np.random.default_rng(5).random((3, ITEMS, ITEMS), np.float32)
    model = Hybrid(CONFIG, content, np.ones(ITEMS, np.float32), seed, lift=lift)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    return model.eval()


def encoded(model: Hybrid, items: list[int]) -> torch.Tensor:
    item = torch.tensor([items])
    gap = torch.zeros_like(item)
    with torch.no_grad():
        return model.encode(item, gap, model.vectors().sum(1))[0]


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
    known = [
        ItemRecord(0, "", 1994, ["War", "Drama"]),
        ItemRecord(2, "", 1888, ["War"]),
        ItemRecord(3, "", 2050, []),
    ]
    features = content_features(4, known)
    half = 0.5**0.5
    assert features.shape == (4, 14)
    assert features[0] == pytest.approx([half, half, *[0] * 8, 1, 0, 0, 0])
    assert features[1].tolist() == [0] * 14
    assert features[2].tolist() == [0, 1, 1, *[0] * 11]
    assert features[3].tolist() == [*[0] * 13, 1]
    assert content_features(4, []).shape == (4, 0)


def scored_by_hand(
    model: Hybrid, items: list[int], gaps: list[int], seen: list[int], table: int
) -> torch.Tensor:
    """Scores of all items after each event of a window, by the formula of the module: float64[L, items]."""
    d, start = CONFIG.factors, items.count(PADDING)
    collaborative, content = (model.vectors()[:, part].double() for part in (0, 1))
    with torch.no_grad():
        hidden = model.encode(torch.tensor([items]), torch.tensor([gaps]), model.vectors().sum(1))[0].double()
    assert hidden.shape == (len(items), d)
    assert model.lift is not None
    lift = model.lift.view(3, ITEMS, ITEMS)[table].double()
    lost = torch.nn.functional.softplus(model.fading.double())
    scores = []
    for place in range(len(items)):
        # 1 event is class 1, 2 and 3 are class 2, 4 to 7 are class 3.
        share = model.share[min(seen[place].bit_length(), 8)].double()
        row = share[0] * collaborative @ hidden[place] + share[1] * content @ hidden[place]
        row = row + share[2] * model.bias.double()
        for event in range(start, place + 1):
            gone = sum((lost[gaps[at]] for at in range(event + 1, place + 1)), torch.tensor(0.0))
            row = row + share[3] * torch.exp(model.step[place - event].double() - gone) * lift[items[event]]
        scores.append(row)
    return torch.stack(scores).detach()


def test_the_loss_is_cross_entropy_of_the_next_item() -> None:
    model = made()
    items, gaps, seen = [PADDING, 1, 2, 3, 4, 5], [0, 13, 2, 0, 5, 1], [0, 1, 2, 3, 4, 5]
    target = np.array([[PADDING, PADDING, 3, 4, PADDING, 6]])
    # User 7 is of fold 1 of 2, and asks table 1.
    windows = Windows(np.array([items]), target, np.array([gaps]), np.array([seen]), np.array([7]))
    weight = np.array([[9.0, 9.0, 1.0, 0.5, 9.0, 1.5]], np.float32)
    random = torch.Generator().manual_seed(0)
    logits = scored_by_hand(model, items, gaps, seen, table=1)
    losses = {at: float(torch.logsumexp(logits[at], 0) - logits[at, target[0, at]]) for at in (2, 3, 5)}
    expected = np.mean([weight[0, at] * loss for at, loss in losses.items()])
    with torch.no_grad():
        exact = NextItem(windows, 0, CPU, 2, weight).loss(model, torch.tensor([0]), random)
        assert float(exact) == pytest.approx(expected, rel=1e-5)
        # Many negatives, weighed by what was not drawn, estimate it.
        many = NextItem(windows, 40_000, CPU, 2, weight).loss(model, torch.tensor([0]), random)
    assert float(many) == pytest.approx(expected, rel=0.02)
    # Questions are put to the last table, which has counted everyone.
    with torch.no_grad():
        asked = HybridScorer(model, windows, CPU).all_items(torch.tensor([0]))[0]
    torch.testing.assert_close(
        asked.double(), scored_by_hand(model, items, gaps, seen, table=2)[-1], rtol=1e-4, atol=1e-4
    )


def test_weights_start_from_the_published_rule_and_new_items_have_content_alone() -> None:
    shares = first_shares()
    assert shares.shape == (9, 4)
    # 3 events, 5 events (of class 4 to 7), 8 and more; relative to .6, .3 and .1.
    assert shares[2].tolist() == pytest.approx([0.2 / 0.6, 0.7 / 0.3, 1.0, 1.0])
    assert shares[3].tolist() == pytest.approx([0.35 / 0.6, 0.5 / 0.3, 1.5, 1.0])
    assert shares[4:].tolist() == [[pytest.approx(1.0)] * 4] * 5
    counts = np.array([3.0, 0.0, *[1.0] * (ITEMS - 2)], np.float32)
    model = Hybrid(CONFIG, np.zeros((ITEMS, 0), np.float32), counts, 0)
    assert (model.item[1] == 0).all()
    assert (model.item[0] != 0).all()


def test_recent_targets_weigh_more() -> None:
    data = rounds()
    windows = training_windows(data, 6, 6)
    weight = recency_of_targets(data, windows, 5.0, 0.2)
    asked = windows.target != PADDING
    assert weight[asked].mean() == pytest.approx(1.0)
    # A user's newest window ends with the last target; the place before it has one event after its target.
    newest = weight[np.flatnonzero(windows.user == 3)[0]]
    assert newest[-2] / newest[-1] == pytest.approx(0.2 + 0.8 * 2 ** (-1 / 5))


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


def test_blocks_that_are_worked_out_once_more_come_to_the_same() -> None:
    data, found = rounds(), []
    for again in (False, True):
        config = HybridConfig(factors=8, length=6, blocks=2, heads=2, dropout=0.3, checkpoint=again)
        model = Hybrid(config, np.zeros((ITEMS, 0), np.float32), np.ones(ITEMS, np.float32), 0)
        following = NextItem(training_windows(data, 6, 6), 8, CPU)
        Trainer(model, following, TrainingConfig(epochs=2, batch_size=10, rate=0.03)).fit()
        found.append(model.state_dict())
    # With dropout: what is dropped is the same the second time.
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5)


def test_what_of_a_model_is_compiled() -> None:
    model = made()
    names = [type(module).__name__ for module in compiled_modules(model)]
    assert names.count("Block") == CONFIG.blocks
    assert "Hybrid" not in names
    pairs = GMF(3, 4, GMFConfig(2), 0)
    assert compiled_modules(pairs) == [pairs]


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # of torch's own tracing
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_comes_to_the_same() -> None:
    data, found = rounds(), []
    for compiled in (False, True):
        model = Hybrid(CONFIG, np.zeros((ITEMS, 0), np.float32), np.ones(ITEMS, np.float32), 0)
        config = TrainingConfig(epochs=2, batch_size=10, rate=0.03, compile=compiled)
        Trainer(model, NextItem(training_windows(data, 6, 6), 8, CPU), config).fit()
        found.append(model.state_dict())
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        if not name.endswith("project.bias"):  # of the keys' third the gradient is rounding alone
            torch.testing.assert_close(found[1][name], value, rtol=1e-2, atol=1e-3)
