"""The blend with a batch model's part: the part and its weight by numpy's own formulas, and the laws of a model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from online_models.batch import NO_VERSION, Batch, Factors, Version, prepare
from online_models.batch_kernel import Encoder
from online_models.blend import Blend
from online_models.blend_batch import BlendBatch, BlendBatchConfig
from online_models.blend_weights import AGES, age_class, gap_class
from tests.online_models.cases import bits
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles.history_oracle import Event

pytestmark = pytest.mark.oracle

STREAM = random_stream(23, 80 if numba.config.DISABLE_JIT else 300, users=20, items=40)
FIRST, SECOND = len(STREAM) // 5, len(STREAM) // 2
CONFIG = BlendBatchConfig(slots=3, recall_length=4, direct_neurons=12, row_synapses=6)
ENCODER = Encoder(length=6, step_decay=0.7, gap_scale_ms=60_000.0, gap_exponent=0.5)


def factors_of(number: int) -> Factors:
    rng = np.random.default_rng(number)
    item_in, item_out, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((45, 6), (45, 6), 45))
    return Factors.made(item_in, item_out, bias, ENCODER)


def rows_of(events: int) -> NDArray[np.int32]:
    """Rows of the 45 items of a version: some have none, and some known items are without a vector."""
    known = len({event.item for event in STREAM[:events]})
    rows = np.random.default_rng(events).permutation(45).astype(np.int32)
    rows[(rows >= known) | (rows == 2)] = -1
    return rows


def adopt(models: Sequence[Batch | BlendBatch], events: int, number: int) -> None:
    factors, rows, nothing_late = factors_of(number), rows_of(events), np.full(45, -1, np.int32)
    room = max(
        256, *(len(model.arrays()["has" if isinstance(model, Batch) else "batch_has"]) for model in models)
    )
    prepared = prepare(factors, rows, room)
    for model in models:
        model.install(factors, prepared, nothing_late, Version(number, f"{number:064x}", events))


def fed(driver: Driver, cuts: Sequence[int] = ()) -> list[int]:
    """Feed the stream, with two versions adopted on the way; returns the ranks."""
    ranks: list[int] = []
    for first, last in itertools.pairwise(sorted({0, FIRST, SECOND, *cuts, len(STREAM)})):
        if first in (FIRST, SECOND):
            assert isinstance(driver.model, Batch | BlendBatch)
            adopt([driver.model], first, 1 + (first == SECOND))
        ranks += driver.feed(STREAM[first:last]).tolist()
    return ranks


def part_of(scores: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """f_batch of a batch model's scores."""
    z = (scores - scores[has].mean()) / scores[has].std()
    return np.where(has, np.arcsinh(z), 0.0)


def test_before_a_version_it_is_the_blend() -> None:
    alone, with_part = Driver(Blend(CONFIG), "event_count"), Driver(BlendBatch(CONFIG), "event_count")
    assert with_part.feed(STREAM).tolist() == alone.feed(STREAM).tolist()
    of_blend = bits(alone.model)
    assert {name: of for name, of in bits(with_part.model).items() if name in of_blend} == of_blend
    assert isinstance(with_part.model, BlendBatch)
    assert with_part.model.version == NO_VERSION


def test_the_part_is_the_batch_models_score_standardised() -> None:
    blend, batch = Driver(BlendBatch(CONFIG), "event_count"), Driver(Batch(), "event_count")
    fed(blend), fed(batch)
    assert isinstance(blend.model, BlendBatch)
    moment = blend.moment(STREAM[-1].time_ms + 90_000)
    arrays = {name: array.copy() for name, array in blend.model.arrays().items()}
    arrays["member_value"][:] = 0.0
    without = BlendBatch(CONFIG)
    without.restore(arrays)
    has = batch.model.arrays()["has"].astype(bool)
    assert has.any()
    assert not has.all()
    for user in (0, 5, 11):
        histories = blend.histories
        start, seen = int(histories.start[user]), int(histories.length[user])
        gap_ms = moment.time_ms - int(histories.times_ms[start + seen - 1])
        value = blend.model.arrays()["member_value"][:, 0]
        weight = value[0] + value[1 + age_class(seen)] + value[1 + AGES + gap_class(seen, gap_ms)]
        expected = weight * part_of(batch.model.scores(user, batch.histories, moment), has)
        found = blend.model.scores(user, histories, moment) - without.scores(user, histories, moment)
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_its_weight_takes_a_step_along_the_gradient_of_the_log_likelihood() -> None:
    driver, batch = Driver(BlendBatch(CONFIG), "event_count"), Driver(Batch(), "event_count")
    fed(driver), fed(batch)
    histories, user = driver.histories, 3
    start, seen = int(histories.start[user]), int(histories.length[user])
    had = histories.items[start : start + seen].tolist()
    target = next(item for item in range(20) if item not in had)
    event = Event(user, target, STREAM[-1].time_ms + 1_000)
    moment = driver.moment(event.time_ms)
    scores = driver.model.scores(user, histories, moment)
    part = part_of(
        batch.model.scores(user, batch.histories, moment), batch.model.arrays()["has"].astype(bool)
    )
    scores[had] = -np.inf
    chance = np.exp(scores - scores.max())
    chance /= chance.sum()
    gradient = part[target] - (chance * part).sum()
    before = {name: driver.model.arrays()[f"member_{name}"][:, 0].copy() for name in ("value", "squares")}
    gap_ms = event.time_ms - int(histories.times_ms[start + seen - 1])
    contexts = [0, 1 + age_class(seen), 1 + AGES + gap_class(seen, gap_ms)]
    driver.feed([event])
    expected = before["value"].copy()
    squares = before["squares"][contexts] + gradient**2
    expected[contexts] += CONFIG.weight_rate * gradient / (np.sqrt(squares) + 1.0)
    np.testing.assert_allclose(driver.model.arrays()["member_value"][:, 0], expected, atol=1e-5)


def test_cuts_change_nothing_and_a_restored_model_goes_on_the_same() -> None:
    whole, cut = (Driver(BlendBatch(CONFIG), "event_count") for _ in range(2))
    expected = fed(whole)
    assert fed(cut, [1, FIRST - 1, FIRST + 1, SECOND - 2, SECOND + 9]) == expected
    assert bits(cut.model) == bits(whole.model)
    restored = BlendBatch(CONFIG)
    restored.restore({key: array.copy() for key, array in whole.model.arrays().items()})
    assert restored.version == Version(2, f"{2:064x}", SECOND)
    assert restored.digest() == whole.model.digest()
    late = [Event(event.user, (event.item + 7) % 20, event.time_ms + 10**6) for event in STREAM[:40]]
    before = whole.feed(late).tolist()
    cut.model = restored
    assert cut.feed(late).tolist() == before
    assert bits(restored) == bits(whole.model)


def test_rows_that_stay_keep_their_vectors() -> None:
    driver = Driver(BlendBatch(CONFIG), "event_count")
    fed(driver)
    before = {name: array.copy() for name, array in driver.model.arrays().items()}
    items = np.arange(0, len(before["batch_has"]), 3, dtype=np.int32)
    driver.model.keep(np.arange(5, dtype=np.int32), items, driver.histories)
    after = driver.model.arrays()
    for name in ("activity", "batch_item_in", "batch_item_out", "batch_bias", "batch_has"):
        assert (after[name] == before[name][items]).all()
    assert (after["member_value"] == before["member_value"]).all()


def test_two_models_share_what_was_prepared_and_part_where_one_takes_over_the_others() -> None:
    challenger, champion, follower = (
        Driver(Batch(), "event_count"),
        Driver(Batch(), "event_count"),
        Driver(BlendBatch(CONFIG), "event_count"),
    )
    for driver in (challenger, champion, follower):
        driver.feed(STREAM[:FIRST])
    assert isinstance(challenger.model, Batch)
    assert isinstance(champion.model, Batch)
    assert isinstance(follower.model, BlendBatch)
    adopt([champion.model], FIRST, 1)
    adopt([challenger.model, follower.model], FIRST, 2)
    for driver in (challenger, champion, follower):
        driver.feed(STREAM[FIRST:SECOND])
    assert follower.model.version == challenger.model.version
    challenger.model.take_over(champion.model, SECOND)
    follower.model.take_over(champion.model, SECOND)
    assert follower.model.version == Version(1, f"{1:064x}", SECOND)
    assert (follower.model.arrays()["batch_item_in"] == champion.model.arrays()["item_in"]).all()
