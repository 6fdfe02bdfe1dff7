"""Coverage, Gini index, novelty, diversity and serendipity: by hand, by oracle, and for any cut of the stream."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.beyond_accuracy import BeyondAccuracy
from evaluation.coverage import Recommended, coverage, gini
from evaluation.ranking import clip_ranks
from evaluation.top_lists import TopItems, TopLists
from tests.consumers.prediction_stream import lists_within, random_lists, random_ranks
from tests.oracles.beyond_oracle import (
    Listed,
    coverage_by_definition,
    diversity_by_definition,
    gini_by_definition,
    novelty_by_definition,
    serendipity_by_definition,
)

pytestmark = pytest.mark.oracle

MODELS = ("hebbian", "popularity")
EVENTS = 120


def top_of(rows: list[list[Listed]], *, at: list[int], every: int, model: str = "hebbian") -> TopLists:
    """Lists of one model, padded."""
    padded = [[*row, *[Listed(0, -1, 0)] * (20 - len(row))] for row in rows]
    columns = np.array(padded, np.int64).reshape(len(rows), 20, 3)
    items = TopItems(
        columns[..., 0].astype(np.uint64), columns[..., 1].astype(np.int32), columns[..., 2].astype(np.uint64)
    )
    return TopLists(np.array(at, np.int32), every, {model: items})


def clipped(ranks: dict[str, list[int]]) -> np.ndarray:
    return np.array([clip_ranks(np.array(ranks[model], np.int32)) for model in sorted(ranks)])


def rows_of(top: TopLists, model: str) -> list[list[Listed]]:
    lists = top.models[model]
    return [
        [Listed(*one) for one in zip(*(column[row].tolist() for column in lists), strict=True)]
        for row in range(len(top.at))
    ]


def test_figures_by_hand() -> None:
    state = BeyondAccuracy(("hebbian", "popularity"))
    # Events 0 and 8 of a lane; at event 8 eight events were learned. Genres: {0, 1}, {1, 2}, {3}, unknown.
    lists = [[], [Listed(5, 4, 0b11), Listed(6, 2, 0b110), Listed(7, 1, 0b1000), Listed(9, 1, 0)]]
    ranks = {"hebbian": [1, 10, 11, 0, -1, 3, 2, 9, 1], "popularity": [2, 11, 1, 0, -1, 30, 10, 11, 1]}
    state.update(clipped(ranks), top_of(lists, at=[0, 8], every=8), 0, 9)
    found = BeyondAccuracy.figures([state], [10], 0, 0)
    assert found["lists"] == 1  # the first has nothing to recommend
    assert found["coverage@20"] == 4 / 10
    # Four of ten once, six never: 2 (7 + 8 + 9 + 10) / (10 * 4) - 11 / 10.
    assert found["gini@20"] == pytest.approx(0.6)
    # 8/4, 8/2, 8/1, 8/1: 1, 2, 3, 3 bits.
    assert found["novelty@20"] == (1 + 2 + 3 + 3) / 4
    # {0,1} and {1,2}: 1 - 1/3; both and {3}: 1.
    assert found["diversity@20"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    # Eight ranked; hit by hebbian and not by popularity: events 1, 5, 7.
    assert found["serendipity@10"] == 3 / 8
    assert BeyondAccuracy.figures([state], [10], 0, 1)["serendipity@10"] == 0.0
    assert BeyondAccuracy.figures([state], [10], 1, 0) == {
        "lists": 0,
        "coverage@20": None,
        "gini@20": None,
        "novelty@20": None,
        "diversity@20": None,
        "serendipity@10": None,
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_figures_agree_with_the_oracle(seed: int) -> None:
    ranks = random_ranks(EVENTS, seed, MODELS)
    top = random_lists(EVENTS, seed, MODELS, 3)
    state = BeyondAccuracy(MODELS)
    state.update(clipped(ranks), top, 0, 36)
    for row, model in enumerate(MODELS):
        rows = rows_of(top, model)
        for span, kept in enumerate((rows, rows[12:])):  # event 36 is the 13th list
            found = BeyondAccuracy.figures([state], [61], span, row)
            learned = top.at.tolist()[-len(kept) :]
            assert found["coverage@20"] == pytest.approx(coverage_by_definition(kept, 61))
            assert found["gini@20"] == pytest.approx(gini_by_definition(kept, 61))
            assert found["novelty@20"] == pytest.approx(novelty_by_definition(kept, learned))
            assert found["diversity@20"] == pytest.approx(diversity_by_definition(kept))
            events = slice(0, None) if span == 0 else slice(36, None)
            assert found["serendipity@10"] == pytest.approx(
                serendipity_by_definition(ranks[model][events], ranks["popularity"][events])
            )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(0, EVENTS), max_size=8),
    interrupted_at=st.integers(0, EVENTS),
)
def test_any_cut_and_any_interruption_give_the_same_state(
    seed: int, cuts: list[int], interrupted_at: int
) -> None:
    ranks = random_ranks(EVENTS, seed, MODELS)
    columns, top = clipped(ranks), random_lists(EVENTS, seed, MODELS, 5)
    whole, cut = BeyondAccuracy(MODELS), BeyondAccuracy(MODELS)
    whole.update(columns, top, 0, 36)
    for start, end in itertools.pairwise(sorted({0, EVENTS, interrupted_at, *cuts})):
        if start == interrupted_at:
            saved = {name: array.copy() for name, array in cut.arrays().items()}
            cut = BeyondAccuracy(MODELS)
            cut.restore(saved)
        cut.update(columns[:, start:end], lists_within(top, start, end), start, max(0, 36 - start))
    for name, array in whole.arrays().items():
        assert array.tobytes() == cut.arrays()[name].tobytes(), name
    assert BeyondAccuracy.figures([whole], [60], 1, 0) == BeyondAccuracy.figures([cut], [60], 1, 0)


def test_gini_is_0_for_equal_and_near_1_for_one_item() -> None:
    assert gini(np.array([3, 3, 3, 3]), 4) == 0.0
    assert gini(np.array([7]), 100) == pytest.approx(0.99)
    assert gini(np.zeros(0, np.int64), 100) is None
    assert coverage(np.array([1, 2]), 8) == 0.25
    assert coverage(np.zeros(0, np.int64), 8) is None


def test_the_table_of_items_grows_and_keeps_its_counts() -> None:
    state = Recommended()
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 5_000, (400, 20)).astype(np.uint64) << np.uint64(32)  # low bits alike
    for part in np.split(drawn, 8):
        state.update(part, np.ones(part.shape, np.int32), len(part))
    values, counts = np.unique(drawn, return_counts=True)
    arrays = state.arrays()
    assert np.array_equal(arrays["keys"], values)
    assert np.array_equal(arrays["counts"][:, 0], counts)
    assert not arrays["counts"][:, 1].any()
    assert np.array_equal(state.frequencies(0), np.sort(counts))


def test_without_popularity_there_is_no_serendipity_and_without_lists_nothing_else() -> None:
    state = BeyondAccuracy(("hebbian",))
    state.update(clipped({"hebbian": [1, 2]}), None, 0, 0)
    assert set(BeyondAccuracy.figures([state], [3], 0, 0).values()) == {0, None}


def test_several_lanes_have_no_coverage_but_their_sums() -> None:
    lanes = []
    for lists in ([[Listed(1, 1, 1), Listed(2, 2, 2)]], [[Listed(1, 4, 1), Listed(3, 4, 1)]]):
        state = BeyondAccuracy(("hebbian", "popularity"))
        ranks = {"hebbian": [1], "popularity": [50]}
        # Of event 4 of the lane.
        state.update(clipped(ranks), top_of(lists, at=[0], every=4), 4, 1)
        lanes.append(state)
    found = BeyondAccuracy.figures(lanes, [2, 2], 0, 0)
    assert found["coverage@20"] is found["gini@20"] is None
    assert found["novelty@20"] == (2 + 1 + 0 + 0) / 4
    assert found["diversity@20"] == (1 + 0) / 2
    assert found["serendipity@10"] == 1.0
    assert found["lists"] == 2


def test_lists_of_other_models_are_refused() -> None:
    state = BeyondAccuracy(("hebbian",))
    with pytest.raises(ValueError, match=r"of models \['magic'\], expected some of \['hebbian'\]"):
        state.check(top_of([[]], at=[0], every=1, model="magic"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"at": np.array([1, 5], np.int32)},
            r"at \[1, 5\] of a block from lane_seq 3 on, expected \[1, 5, 9\]",
        ),
        ({"top_every": 0}, "top_every is 0"),
        ({"items": np.zeros((3, 19), np.uint64)}, r"items of shape \(3, 19\), expected \(3, 20\)"),
        ({"item_seen": np.full((3, 20), -2, np.int32)}, "below -1"),
        ({"item_seen": np.array([[-1, 1] * 10] * 3, np.int32)}, "items after the padding"),
        ({"item_seen": np.full((3, 20), 5, np.int32)}, "above the events learned by then"),
    ],
)
def test_what_is_wrong_with_lists_is_named(change: dict[str, object], message: str) -> None:
    good = top_of([[Listed(1, 1, 1)]] * 3, at=[1, 5, 9], every=4)
    good.check(3, 10)
    lists = good.models["hebbian"]._replace(
        **{name: value for name, value in change.items() if name in TopItems._fields}
    )
    own = {name: value for name, value in change.items() if name not in TopItems._fields}
    bad = good._replace(models={"hebbian": lists})._replace(**own)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        bad.check(3, 10)


def test_bits_are_of_base_two() -> None:
    state = BeyondAccuracy(("hebbian",))
    state.update(clipped({"hebbian": [1]}), top_of([[Listed(1, 3, 0)]], at=[0], every=1), 7, 0)
    assert BeyondAccuracy.figures([state], [9], 1, 0)["novelty@20"] == pytest.approx(math.log(7 / 3, 2))
