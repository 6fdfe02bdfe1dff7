"""Rows of bounded size whose weights are of either sign, as those that errors teach."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.synapses import SynapseStore, potentiate, potentiate_from, potentiate_to

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    ("weights", "replaced"),
    [
        ([-3.0, 0.5, -0.25, 2.0], 2),
        ([-0.5, -4.0, -0.5, 0.75], 0),  # of equally near ones the first
        ([1.0, -8.0, 0.125, -0.25], 2),
        ([2.0, -1e-3, 1e-4, -1e-5], 3),
        ([-2.0, 3.0, -0.0, 0.0], 2),
    ],
)
def test_what_is_nearest_to_nothing_makes_room_whatever_its_sign(weights: list[float], replaced: int) -> None:
    store = SynapseStore(direct_neurons=0, row_synapses=4)
    store.reserve(10)
    for post, weight in enumerate(weights):
        potentiate(store.synapses, 9, post, np.float32(weight))
    potentiate(store.synapses, 9, 8, np.float32(0.0625))
    synapses = store.synapses
    found = dict(zip(synapses.post[9].tolist(), synapses.weight[9].tolist(), strict=True))
    kept = {post: float(np.float32(weight)) for post, weight in enumerate(weights) if post != replaced}
    assert found == {**kept, 8: 0.0625}
    assert synapses.lost[9] == np.float32(weights[replaced])


def test_a_direct_row_that_becomes_bounded_keeps_the_greatest_of_either_sign() -> None:
    store = SynapseStore(direct_neurons=6, row_synapses=3)
    store.reserve(6)
    store.synapses.weight[0, :6] = [0.5, -4.0, 1.0, -0.25, 0.0, 2.0]
    store.reserve(7)
    assert store.synapses.post[0].tolist() == [1, 2, 5]
    assert store.synapses.weight[0].tolist() == [-4.0, 1.0, 2.0]
    assert store.synapses.lost[0] == 0.25


@pytest.mark.parametrize("direct_neurons", [0, 100])
def test_many_at_once_are_one_after_the_other(direct_neurons: int) -> None:
    one = SynapseStore(direct_neurons, row_synapses=4)
    many = SynapseStore(direct_neurons, row_synapses=4)
    rng = np.random.default_rng(7)
    for store in (one, many):
        store.reserve(80)
    for _ in range(20):
        others = rng.permutation(70)[:5].astype(np.int32)
        amounts = rng.integers(1, 9, 5).astype(np.float32)
        potentiate_to(many.synapses, others, 75, amounts)
        potentiate_from(many.synapses, 75, others, amounts)
        for other, amount in zip(others.tolist(), amounts, strict=True):
            potentiate(one.synapses, other, 75, amount)
        for other, amount in zip(others.tolist(), amounts, strict=True):
            potentiate(one.synapses, 75, other, amount)
    for name, array in one.arrays().items():
        assert array.tolist() == many.arrays()[name].tolist(), name
