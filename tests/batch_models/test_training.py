"""Training: losses by hand, negatives, weights, early stopping, resume, memory."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batch_models import losses, negatives  # noqa: E402
from batch_models.gmf import GMF, GMFConfig  # noqa: E402
from batch_models.interactions import (  # noqa: E402
    Interactions,
    newest_of_pairs,
    recency_weights,
    steps_from_the_end,
)
from batch_models.mlp import MLP, MLPConfig  # noqa: E402
from batch_models.negatives import NegativeSampler  # noqa: E402
from batch_models.objectives import SampledPairs  # noqa: E402
from batch_models.trainer import Trainer, TrainingConfig  # noqa: E402
from tests.batch_models.tastes import ITEMS, USERS, two_tastes  # noqa: E402

CPU = torch.device("cpu")


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_losses_by_hand() -> None:
    positive, negative, weight = torch.tensor([1.0]), torch.tensor([[0.5, -2.0]]), torch.tensor([2.0])
    assert losses.bce(positive, negative, weight).item() == pytest.approx(
        -2 * math.log(sigma(1)) - math.log(sigma(-0.5)) - math.log(sigma(2))
    )
    assert losses.bpr(positive, negative, weight).item() == pytest.approx(
        -2 * (math.log(sigma(0.5)) + math.log(sigma(3))) / 2
    )
    assert losses.softmax(positive, negative, weight).item() == pytest.approx(
        -2 * math.log(math.e / (math.e + math.exp(0.5) + math.exp(-2)))
    )
    assert losses.squared_error(positive, torch.tensor([3.0]), weight).item() == pytest.approx(8.0)


@pytest.mark.parametrize("table_bytes", [1 << 30, 0], ids=["table", "keys"])
def test_a_negative_is_never_a_positive_of_that_user(
    monkeypatch: pytest.MonkeyPatch, table_bytes: int
) -> None:
    monkeypatch.setattr(negatives, "_BITMAP_BYTES", table_bytes)
    # User 0 has all but items 3 and 7; user 1 has item 0.
    item = np.array([0, 1, 2, 4, 5, 6, 8, 9, 0], np.int64)
    user = np.array([0] * 8 + [1], np.int64)
    data = Interactions(user, item, item * 0, np.zeros(9, np.float32), 2, 10)
    sampler = NegativeSampler(data, CPU)
    drawn = sampler.draw(torch.tensor([0, 1]), 3000, torch.Generator().manual_seed(0))
    assert set(drawn[0].tolist()) == {3, 7}
    assert set(drawn[1].tolist()) == set(range(1, 10))
    # Uniform: 3,000 draws, a standard deviation is 27 of 1,500, and 17 of 333.
    assert abs(int((drawn[0] == 3).sum()) - 1500) < 140
    assert all(abs(int((drawn[1] == one).sum()) - 333) < 90 for one in range(1, 10))
    rows = sampler.had_rows(torch.tensor([1, 0]))
    assert rows.sum(1).tolist() == [1, 8]
    assert not rows[1, 3]


def test_a_user_who_has_had_everything_is_an_error() -> None:
    everything = np.arange(3, dtype=np.int64)
    data = Interactions(everything * 0 + 1, everything, everything, np.zeros(3, np.float32), 2, 3)
    with pytest.raises(ValueError, match="user 1 has had all 3 items"):
        NegativeSampler(data, CPU)


def test_recency_weights_by_hand() -> None:
    user = np.array([0, 1, 0, 0], np.int64)
    data = Interactions(user, np.array([0, 0, 1, 2], np.int64), user, np.zeros(4, np.float32), 2, 3)
    assert steps_from_the_end(data).tolist() == [2, 0, 1, 0]
    # 1/4, 1, 1/2, 1, whose mean is 11/16.
    assert recency_weights(data, 1.0) == pytest.approx(np.array([0.25, 1, 0.5, 1]) / 0.6875)
    # Half of it is the floor: 5/8, 1, 3/4, 1, mean 27/32.
    assert recency_weights(data, 1.0, 0.5) == pytest.approx(np.array([0.625, 1, 0.75, 1]) / 0.84375)
    assert recency_weights(data, math.inf).tolist() == [1.0] * 4


def test_of_a_pair_the_newest_event_stays() -> None:
    user = np.array([0, 1, 0, 0], np.int64)
    item = np.array([5, 5, 5, 2], np.int64)
    data = Interactions(user, item, np.arange(4), np.array([1, 2, 3, 4], np.float32), 2, 6)
    kept = newest_of_pairs(data)
    assert list(zip(kept.user, kept.item, kept.rating, strict=True)) == [(1, 5, 2), (0, 5, 3), (0, 2, 4)]


def trainer(validate=None, dropout: float = 0.3, **changes) -> Trainer:
    data = two_tastes()
    model = MLP(USERS, ITEMS, MLPConfig((8, 4, 4), dropout), 1)
    objective = SampledPairs(data, recency_weights(data, math.inf), "bce", 2, CPU)
    return Trainer(model, objective, TrainingConfig(batch_size=50, seed=7, **changes), validate)


def state(of: Trainer) -> dict[str, list]:
    return {name: value.tolist() for name, value in of.model.state_dict().items()}


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    one, two, other = trainer(epochs=3), trainer(epochs=3), trainer(epochs=3)
    other.config = TrainingConfig(epochs=3, batch_size=50, seed=8)
    for each in (one, two, other):
        each.fit()
    assert state(one) == state(two)
    assert state(one) != state(other)


def test_a_fit_that_goes_on_equals_one_that_was_not_interrupted(tmp_path) -> None:
    whole = trainer(epochs=6)
    whole.fit()
    begun = trainer(epochs=2)
    begun.fit()
    begun.save(tmp_path / "fit.safetensors")
    # A new process has used torch's own generator otherwise.
    torch.manual_seed(99)
    resumed = trainer(epochs=6)
    resumed.load(tmp_path / "fit.safetensors")
    fit = resumed.fit()
    assert state(resumed) == state(whole)
    assert [epoch.number for epoch in fit.epochs] == [1, 2, 3, 4, 5, 6]


def test_a_fit_resumes_with_its_best_epoch(tmp_path) -> None:
    figures = iter([0.0, 0.1, 0.9, 0.2, 0.3])
    begun = trainer(lambda: next(figures), epochs=3, patience=0)
    begun.fit()
    best = state(begun)
    begun.save(tmp_path / "fit.safetensors")
    resumed = trainer(lambda: next(figures), epochs=4, patience=0)
    resumed.load(tmp_path / "fit.safetensors")
    assert resumed.fit().best_epoch == 2
    assert state(resumed) == best


def test_it_stops_when_validation_gets_no_better_and_keeps_the_best() -> None:
    figures = iter([0.0, 0.1, 0.3, 0.2, 0.3, 0.9])
    seen = []
    one = trainer(None, epochs=10, patience=2)
    one._validate = lambda: seen.append(state(one)) or next(figures)
    fit = one.fit()
    assert (len(fit.epochs), fit.best_epoch, fit.best_validation) == (4, 2, 0.3)
    assert state(one) == seen[2]


def test_what_a_fit_begins_with_may_be_best() -> None:
    one = trainer(None, epochs=10, patience=2)
    figures = iter([0.9, 0.1, 0.2])
    one._validate = lambda: next(figures)
    start = state(one)
    fit = one.fit()
    assert (len(fit.epochs), fit.best_epoch) == (2, 0)
    assert state(one) == start


def test_out_of_memory_halves_the_batch_and_no_row_is_lost() -> None:
    seen: list[list[int]] = []

    class Small:
        rows, samples_per_row = 100, 1.0

        def loss(self, model, rows, generator, share):
            if len(rows) > 30:
                raise torch.OutOfMemoryError("made up")
            seen.append(rows.tolist())
            return model.user.square().sum()

    one = Trainer(GMF(3, 3, GMFConfig(2), 0), Small(), TrainingConfig(epochs=1, batch_size=100))
    fit = one.fit()
    assert fit.batch_size == 25
    assert [len(rows) for rows in seen] == [25] * 4
    assert sorted(row for rows in seen for row in rows) == list(range(100))


def test_memory_that_is_too_small_for_anything_is_an_error() -> None:
    class Never:
        rows, samples_per_row = 100, 1.0

        def loss(self, model, rows, generator, share):
            raise torch.OutOfMemoryError("made up")

    with pytest.raises(torch.OutOfMemoryError):
        Trainer(GMF(3, 3, GMFConfig(2), 0), Never(), TrainingConfig(epochs=1, batch_size=100)).fit()
