"""Prequential rating prediction: figures by hand and by oracle, and equality for any cut of the stream."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.rating import (
    BINS,
    PrequentialRating,
    RatingFigures,
    like_cut,
    rating_figures,
    rating_figures_of,
)
from tests.oracles.rating_oracle import (
    Rated,
    like_figures_by_definition,
    rating_figures_by_definition,
)

pytestmark = pytest.mark.oracle

SCALE = (1.0, 5.0)
NAN = float("nan")


def feed(
    state: PrequentialRating,
    events: Sequence[Rated],
    *,
    scale: tuple[float, float] = SCALE,
    first_counted: int | None = None,
    model: str = "m",
) -> None:
    """Take a block of one model's events."""
    columns = np.array(events, np.float64).reshape(len(events), 2)
    rating, predicted = np.ascontiguousarray(columns.T)
    state.update(rating, {model: predicted}, scale, first_counted)


def figures(state: PrequentialRating, span: str = "all") -> RatingFigures | None:
    return rating_figures([state.errors(state.models[0])], span)


def random_events(seed: int, events: int, scale: tuple[float, float] = SCALE) -> list[Rated]:
    """Half-star ratings, predictions around them and beyond the scale, and some of either missing."""
    rng = np.random.default_rng(seed)
    rating = rng.integers(0, 9, events) / 8 * (scale[1] - scale[0]) + scale[0]
    predicted = rating + rng.normal(0.0, (scale[1] - scale[0]) / 4, events)
    rating[rng.random(events) < 0.1] = NAN
    predicted[rng.random(events) < 0.1] = NAN
    return [Rated(*pair) for pair in zip(rating.tolist(), predicted.tolist(), strict=True)]


def test_figures_by_hand() -> None:
    state = PrequentialRating(["m"])
    # Errors 1, -1, 2, 0; a like from 4 on, called from 3.5 on. Right: 5 as 4 (a like), 1 as 3 and 3 as 3 (dislikes);
    # wrong: 4 as 3.
    feed(state, [Rated(5, 4), Rated(1, 3), Rated(4, 3), Rated(3, 3)])
    found = figures(state)
    assert found is not None
    assert found["rmse"] == pytest.approx(math.sqrt((1 + 4 + 1 + 0) / 4))
    assert found["mae"] == (1 + 2 + 1 + 0) / 4
    assert found["accuracy"] == 3 / 4
    # Pairs of a like and a dislike: 4 beats 3 and 3; 3 equals 3 and 3.
    assert found["auc"] == (2 + 2 * 0.5) / 4


def test_predictions_are_clipped_to_the_scale() -> None:
    state = PrequentialRating(["m"])
    feed(state, [Rated(5, 9), Rated(1, -3), Rated(4, 7.5)])
    found = figures(state)
    assert found == {"rmse": pytest.approx(math.sqrt(1 / 3)), "mae": 1 / 3, "auc": 1.0, "accuracy": 1.0}


@pytest.mark.parametrize(
    ("scale", "like", "dislike", "cut"),
    [
        ((1.0, 5.0), 4.0, 3.0, 3.5),
        ((0.5, 5.0), 4.0, 3.5, 3.75),
        ((0.0, 10.0), 8.0, 7.0, 7.5),
        ((-1.0, 1.0), 1.0, 0.0, 0.5),
        ((0.0, 1.0), 1.0, 0.0, 0.5),
    ],
)
def test_a_prediction_says_like_from_the_middle_of_the_grades_at_the_boundary(
    scale: tuple[float, float], like: float, dislike: float, cut: float
) -> None:
    assert like_cut(scale) == cut
    for rating, predicted, right in (
        (like, cut, True),
        (like, cut - 0.01, False),
        (dislike, cut - 0.01, True),
        (dislike, cut, False),
    ):
        state = PrequentialRating(["m"])
        feed(state, [Rated(rating, predicted)], scale=scale)
        found = figures(state)
        assert found is not None
        assert found["accuracy"] == right


def test_a_rating_is_a_like_from_three_quarters_of_the_scale_up() -> None:
    for scale, like_from in (((1.0, 5.0), 4.0), ((0.5, 5.0), 3.875), ((0.0, 10.0), 7.5)):
        for rating, right in ((like_from, True), (like_from - 0.001, False)):
            state = PrequentialRating(["m"])
            feed(state, [Rated(rating, scale[1])], scale=scale)
            found = figures(state)
            assert found is not None
            assert found["accuracy"] == right


def test_a_stated_probability_of_like_is_what_auc_and_accuracy_are_of() -> None:
    state = PrequentialRating(["both", "rates"], ["both", "likes"])
    assert state.models == ("both", "likes", "rates")
    rating = np.array([5.0, 4.0, 1.0, 3.0, NAN, 5.0])
    predicted = np.array([5.0, 1.0, 1.0, 4.0, 3.0, NAN])
    # Likes .5 and .9 against dislikes .5 and .2: of four pairs three are won and one is a tie.
    liked = np.array([0.5, 0.9, 0.5, 0.2, 0.7, NAN])
    state.update(rating, {"both": predicted, "rates": predicted}, SCALE, 0, {"both": liked, "likes": liked})
    found = rating_figures_of([state])
    errors = {"rmse": math.sqrt((0 + 9 + 0 + 1) / 4), "mae": (0 + 3 + 0 + 1) / 4}
    # .5 says like: right of the first, wrong of the third.
    assert found["both"]["all"] == {**errors, "auc": (3 + 0.5) / 4, "accuracy": 3 / 4}
    assert found["likes"]["all"] == {"rmse": None, "mae": None, "auc": 3.5 / 4, "accuracy": 3 / 4}
    # From the ratings: likes 5 and 1 against dislikes 1 and 4; 4 -> 1 and 3 -> 4 are wrong.
    assert found["rates"]["all"] == {**errors, "auc": (2 + 0.5) / 4, "accuracy": 2 / 4}


@pytest.mark.parametrize("seed", [0, 1])
def test_stated_likes_agree_with_the_oracle(seed: int) -> None:
    events = [Rated(one.rating, one.predicted / 5) for one in random_events(seed, 200)]
    rating, liked = (np.array(column) for column in zip(*events, strict=True))
    state = PrequentialRating([], ["m"])
    state.update(rating, {}, SCALE, 60, {"m": liked})
    for span, kept in (("all", events), ("last_70", events[60:])):
        expected = like_figures_by_definition(kept, SCALE, (0.0, 1.0), 0.5, BINS)
        assert expected is not None
        assert figures(state, span) == {"rmse": None, "mae": None, **expected}


def test_what_is_not_given_or_not_predicted_is_left_out() -> None:
    state = PrequentialRating(["m"])
    feed(state, [Rated(NAN, 3), Rated(3, NAN), Rated(NAN, NAN)])
    assert figures(state) is None
    feed(state, [Rated(2, 4)])
    assert figures(state) == {"rmse": 2.0, "mae": 2.0, "auc": 0.5, "accuracy": 0.0}


@pytest.mark.parametrize("scale", [SCALE, (0.5, 5.0), (0.0, 10.0), (-1.0, 1.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_figures_agree_with_the_oracle(seed: int, scale: tuple[float, float]) -> None:
    events = random_events(seed, 300, scale)
    state = PrequentialRating(["m"])
    feed(state, events, scale=scale, first_counted=90)
    assert figures(state) == pytest.approx(rating_figures_by_definition(events, scale, BINS))
    assert figures(state, "last_70") == pytest.approx(rating_figures_by_definition(events[90:], scale, BINS))


def test_predictions_of_one_bin_are_equal_and_of_two_bins_are_not() -> None:
    step = (SCALE[1] - SCALE[0]) / (BINS - 1)
    for apart, auc in ((0.4 * step, 0.5), (1.0 * step, 1.0)):
        state = PrequentialRating(["m"])
        feed(state, [Rated(5, 1 + 8 * step + apart), Rated(1, 1 + 8 * step)])
        found = figures(state)
        assert found is not None
        assert found["auc"] == auc


def test_the_auc_of_many_events_is_exact() -> None:
    """More pairs than float64 counts exactly: 2 ** 54 of them, all won but one tie."""
    state = PrequentialRating(["m"])
    errors = state.errors("m")
    errors.counts[0, 1] = 1
    errors.bins[0, 0, 7] = 1 << 27
    errors.bins[0, 1, 9] = (1 << 27) - 1
    errors.bins[0, 1, 7] = 1
    found = figures(state)
    assert found is not None
    assert found["auc"] == 1 - (1 << 26) / (1 << 54)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    interrupted_at=st.integers(0, 60),
    last_70_from=st.sampled_from([None, 0, 18, 60]),
)
def test_any_cut_and_any_interruption_give_the_same_state(
    seed: int, cuts: list[int], interrupted_at: int, last_70_from: int | None
) -> None:
    events = random_events(seed, 60)
    whole = PrequentialRating(["m"])
    feed(whole, events, first_counted=last_70_from)
    cut = PrequentialRating(["m"])
    for start, end in itertools.pairwise(sorted({0, 60, interrupted_at, *cuts})):
        if start == interrupted_at:
            saved = {name: array.copy() for name, array in cut.arrays().items()}
            cut = PrequentialRating.restore(["m"], saved)
            for array in saved.values():
                array.fill(0)  # what was given is not kept
        first = None if last_70_from is None else max(0, last_70_from - start)
        feed(cut, events[start:end], first_counted=first)
    assert cut.digest() == whole.digest()
    for name, array in whole.arrays().items():
        assert array.tobytes() == cut.arrays()[name].tobytes(), name


def test_several_lanes_add_up_and_have_no_last_70_percent() -> None:
    one, two = random_events(1, 50), random_events(2, 80)
    lanes = [PrequentialRating(["m"]), PrequentialRating(["m"])]
    feed(lanes[0], one, first_counted=15)
    feed(lanes[1], two, first_counted=24)
    found = rating_figures_of(lanes)["m"]
    assert found["all"] == pytest.approx(rating_figures_by_definition([*one, *two], SCALE, BINS))
    assert found["last_70"] is None
    alone = rating_figures_of(lanes[:1])["m"]
    assert alone["last_70"] == pytest.approx(rating_figures_by_definition(one[15:], SCALE, BINS))


def test_where_the_last_70_percent_begin_is_unknown_there_are_none() -> None:
    state = PrequentialRating(["m"])
    feed(state, random_events(1, 50), first_counted=None)
    assert figures(state, "last_70") is None


def test_models_are_kept_apart() -> None:
    events = random_events(3, 40)
    rating, predicted = (np.array(column) for column in zip(*events, strict=True))
    state = PrequentialRating(["b", "a"])
    assert state.models == ("a", "b")
    state.update(rating, {"a": predicted, "b": np.full(40, 3.0)}, SCALE, 0)
    found = rating_figures_of([state])
    assert found["a"]["all"] == pytest.approx(rating_figures_by_definition(events, SCALE, BINS))
    constant = [Rated(event.rating, 3.0) for event in events]
    assert found["b"]["all"] == pytest.approx(rating_figures_by_definition(constant, SCALE, BINS))
    assert found["b"]["all"] is not None
    assert found["b"]["all"]["auc"] == 0.5


def test_the_digest_sees_one_rating_and_memory_is_bounded() -> None:
    events = random_events(4, 60)
    one, other = PrequentialRating(["m"]), PrequentialRating(["m"])
    feed(one, [*events, Rated(3, 3)])
    feed(other, [*events, Rated(3, 3.25)])
    assert one.digest() != other.digest()
    before = sum(array.nbytes for array in one.arrays().values())
    feed(one, events * 10)
    assert sum(array.nbytes for array in one.arrays().values()) == before


@pytest.mark.parametrize(
    ("model", "scale", "message"),
    [
        ("other", SCALE, r"models are \['other'\], expected \['m'\]"),
        ("m", (5.0, 5.0), r"scale is \(5.0, 5.0\)"),
    ],
)
def test_bad_blocks_are_named_and_change_nothing(
    model: str, scale: tuple[float, float], message: str
) -> None:
    state = PrequentialRating(["m"])
    feed(state, random_events(5, 20))
    before = state.digest()
    with pytest.raises(ValueError, match=message):
        feed(state, [Rated(3, 3)], scale=scale, model=model)
    assert state.digest() == before


def test_a_column_of_another_length_is_named_and_changes_nothing() -> None:
    state = PrequentialRating(["a", "b"])
    before = state.digest()
    with pytest.raises(ValueError, match="b has 2 predicted ratings, expected 3"):
        state.update(np.ones(3), {"a": np.ones(3), "b": np.ones(2)}, SCALE, None)
    assert state.digest() == before
