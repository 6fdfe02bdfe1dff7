"""Batch models in the stream: scores against an oracle, and the laws of a model after versions were adopted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytest

from eventlog.artefact import Attention
from online_models.batch import NO_VERSION, Batch, BatchChampion, Factors, Version, prepare
from online_models.batch_kernel import Encoder
from tests.online_models.cases import bits
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles.batch_oracle import BatchOracle, Given
from tests.oracles.history_oracle import Event
from tests.oracles.rank_oracle import walk

pytestmark = pytest.mark.oracle

STREAM = random_stream(17, 80 if numba.config.DISABLE_JIT else 300, users=20, items=40)
FIRST, SECOND = len(STREAM) // 5, len(STREAM) // 2
ENCODERS = {
    "sum": {"length": 4, "step_decay": 0.5, "gap_scale_s": 60.0, "gap_exponent": 1.0, "normalize": 0},
    "mean": {"length": 100, "step_decay": 0.9, "gap_scale_s": 1.0, "gap_exponent": 0.0, "normalize": 1},
    "ridge": {"length": 0, "unobserved_weight": 0.1, "regularization": 0.05, "exponent": 1.0},
    "short ridge": {"length": 3, "unobserved_weight": 0.0, "regularization": 1.0, "exponent": 0.5},
    "attention": {"length": 4, "heads": 2, "blocks": 1, "parts": 1, "gaps": 2},
    "two blocks": {"length": 30, "heads": 1, "blocks": 2, "parts": 2, "gaps": 0},
}
D = 7  # of attention: one part of 6, or two of 3, and one more


def encoder_of(parameters: dict[str, float]) -> Encoder:
    p = dict(parameters)
    ridge = int("regularization" in p)
    if "gap_scale_s" in p:
        p["gap_scale_ms"] = 1000 * p.pop("gap_scale_s")
    return Encoder(ridge=ridge, **p)  # type: ignore[arg-type]


def vectors(seed: int, items: int, d: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    made = [rng.normal(size=shape).astype(np.float32) for shape in ((items, d), (items, d), (items,))]
    return made[0], made[1], made[2]


def network_of(parameters: dict[str, float], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random numbers in the place of a network, after ends of gap classes at 2 and 600 s; nothing without attention."""
    if "blocks" not in parameters:
        return np.zeros(0, np.float32)
    p = {name: int(value) for name, value in parameters.items()}
    attention = Attention(width=(D - 1) // p["parts"], **p)
    network = np.random.default_rng(seed).normal(size=attention.network_size) * 0.7
    network[: p["gaps"]] = [2.0, 600.0][: p["gaps"]]
    return network.astype(np.float32)


def rows_at(events: int, seed: int, items: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Rows of a model's items in another order than the stream's, some of them unknown to it."""
    known = len({event.item for event in STREAM[:events]})
    rows = np.random.default_rng(seed).permutation(items).astype(np.int32)
    # What the stream has not seen yet has no row; two of the known have no vector.
    rows[(rows >= known) | (rows == 1) | (rows == 5)] = -1
    return rows


def adopt(model: Batch, events: int, number: int, name: str) -> Given:
    """Let a model adopt a version after `events` events; returns the same for the oracle."""
    item_in, item_out, bias = vectors(number, 45, D)
    network = network_of(ENCODERS[name], number)
    rows = rows_at(events, number, 45)
    model.adopt(
        Factors.made(item_in, item_out, bias, encoder_of(ENCODERS[name]), network),
        rows,
        Version(number, f"{number:064x}", events),
    )
    places = {int(row): at for at, row in enumerate(rows) if row >= 0}
    # The oracle's sum over all items of the model, with or without a row, is in item_in: names below 0 for the latter.
    names = [int(row) if row >= 0 else -2 - at for at, row in enumerate(rows)]
    return Given(
        dict(zip(names, item_in.astype(float).tolist(), strict=True)),
        {row: item_out[at].astype(float).tolist() for row, at in places.items()},
        {row: float(bias[at]) for row, at in places.items()},
        ENCODERS[name],
        network.astype(float).tolist(),
    )


def feed(
    driver: Driver, names: Sequence[str], cuts: Sequence[int] = ()
) -> tuple[list[int], dict[int, Given]]:
    """Feed the stream with two versions adopted on the way; returns the ranks, and what was adopted where."""
    ranks: list[int] = []
    adopted: dict[int, Given] = {}
    edges = sorted({0, FIRST, SECOND, *cuts, len(STREAM)})
    model = driver.model
    assert isinstance(model, Batch)
    for first, last in itertools.pairwise(edges):
        if first in (FIRST, SECOND):
            number = 1 + (first == SECOND)
            adopted[first] = adopt(model, first, number, names[number - 1])
        ranks += driver.feed(STREAM[first:last]).tolist()
    return ranks, adopted


class _Counting(BatchOracle):
    """The position of an adoption counts repeats too, which the walk does not give to the oracle."""

    def __init__(self, stream: Sequence[Event], adopted: dict[int, Given]) -> None:
        super().__init__(adopted)
        first: dict[tuple[int, int], int] = {}
        for at, event in enumerate(stream):
            first.setdefault((event.user, event.item), at)
        self.order = sorted(first.values())
        self.learned = 0

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        self.events = now  # the clock is the count of events
        return super().scores(user, trace, now, time_ms)


@pytest.mark.parametrize("ties_against", [True, False])
@pytest.mark.parametrize("name", ENCODERS)
def test_ranks_are_those_of_the_oracle(name: str, ties_against: bool) -> None:
    from online_models.model import Situation

    driver = Driver(Batch(None, Situation(ties_against=ties_against)), "event_count")
    ranks, adopted = feed(driver, [name, "sum"], [7, FIRST + 3])
    oracle = _Counting(STREAM, adopted)
    expected = list(walk(oracle, STREAM, "event_count", ties_against=ties_against))
    wrong = [
        (at, rank, one)
        for at, (rank, one) in enumerate(zip(ranks, expected, strict=True))
        if not min(one.lowest, one.highest) <= rank <= max(one.lowest, one.highest)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ENCODERS)
def test_cuts_change_nothing_and_a_restored_model_goes_on_the_same(name: str) -> None:
    whole, cut = (Driver(Batch(), "event_count") for _ in range(2))
    expected, _ = feed(whole, ["mean", name])
    found, _ = feed(cut, ["mean", name], [1, FIRST - 1, FIRST + 1, SECOND - 2, SECOND + 9])
    assert found == expected
    assert bits(cut.model) == bits(whole.model)
    restored = Batch()
    restored.restore({key: array.copy() for key, array in whole.model.arrays().items()})
    assert restored.version == Version(2, f"{2:064x}", SECOND)
    assert restored.digest() == whole.model.digest()
    late = [Event(event.user, (event.item + 7) % 20, event.time_ms + 10**6) for event in STREAM[:40]]
    before = whole.feed(late).tolist()
    cut.model = restored
    assert cut.feed(late).tolist() == before
    assert bits(restored) == bits(whole.model)


def test_the_rank_is_that_of_the_scores() -> None:
    driver = Driver(Batch(), "event_count")
    feed(driver, ["ridge", "mean"])
    for event in STREAM[:30]:
        late = Event(event.user, (event.item * 3 + 1) % 25, STREAM[-1].time_ms + 5)
        histories = driver.histories
        moment = driver.moment(late.time_ms)
        scores = driver.model.scores(late.user, histories, moment)
        start, length = int(histories.start[late.user]), int(histories.length[late.user])
        had = set(histories.items[start : start + length].tolist())
        others = [item for item in range(moment.items) if item not in had and item != late.item]
        expected = 0 if late.item in had else 1 + sum(scores[item] >= scores[late.item] for item in others)
        assert driver.feed([late]).tolist() == [expected]


def test_items_without_vectors_are_below_all_others_by_how_many_had_them() -> None:
    driver = Driver(Batch(), "event_count")
    feed(driver, ["mean", "mean"])
    scores = driver.model.scores(0, driver.histories, driver.moment())
    arrays = driver.model.arrays()
    has = arrays["has"].astype(bool)
    assert has.any()
    assert not has.all()
    assert scores[~has].max() < scores[has].min()
    count = arrays["count"][~has]
    assert (np.argsort(scores[~has], kind="stable") == np.argsort(count, kind="stable")).all()


def test_rows_that_stay_keep_their_vectors() -> None:
    driver = Driver(Batch(), "event_count")
    feed(driver, ["ridge", "ridge"])
    before = {name: array.copy() for name, array in driver.model.arrays().items()}
    items = np.arange(0, len(before["count"]), 3, dtype=np.int32)
    driver.model.keep(np.arange(5, dtype=np.int32), items, driver.histories)
    after = driver.model.arrays()
    for name in ("count", "item_in", "item_out", "bias", "has"):
        assert (after[name] == before[name][items]).all()
    # The sum over the training's items is of the version, not of the rows.
    assert (after["gram"] == before["gram"]).all()


def test_prepared_beforehand_is_the_same_as_adopted_at_once() -> None:
    at_once, later = (Driver(Batch(), "event_count") for _ in range(2))
    for driver in (at_once, later):
        driver.feed(STREAM[:FIRST])
    factors = Factors.made(*vectors(1, 45, D), encoder_of(ENCODERS["mean"]))
    early = rows_at(FIRST, 1, 45)
    assert isinstance(later.model, Batch)
    assert isinstance(at_once.model, Batch)
    prepared = prepare(factors, early, later.model.room)
    for driver in (at_once, later):
        driver.feed(STREAM[FIRST:SECOND])
    rows = rows_at(SECOND, 1, 45)
    version = Version(1, "0" * 64, SECOND)
    at_once.model.adopt(factors, rows, version)
    later.model.install(factors, prepared, np.where(early < 0, rows, -1).astype(np.int32), version)
    assert bits(later.model) == bits(at_once.model)
    assert later.feed(STREAM[SECOND:]).tolist() == at_once.feed(STREAM[SECOND:]).tolist()


def test_the_champion_takes_over_what_the_challenger_has() -> None:
    challenger, champion = (Driver(model(), "event_count") for model in (Batch, BatchChampion))
    feed(challenger, ["mean", "ridge"])
    champion.feed(STREAM)
    assert isinstance(challenger.model, Batch)
    assert isinstance(champion.model, Batch)
    assert champion.model.version == NO_VERSION
    champion.model.take_over(challenger.model, len(STREAM))
    assert champion.model.version == Version(2, f"{2:064x}", len(STREAM))
    late = [Event(event.user, (event.item + 7) % 20, event.time_ms + 10**6) for event in STREAM[:40]]
    assert champion.feed(late).tolist() == challenger.feed(late).tolist()
