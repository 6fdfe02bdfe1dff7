"""Windows, fading factors, the last 70 %, curves, and equality for any cut of the stream."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.prequential import PrequentialConfig, PrequentialRanking
from evaluation.ranking import ranking_figures
from tests.oracles.ranking_oracle import faded_recall, mean_figures, window_figures

pytestmark = pytest.mark.oracle

SMALL = PrequentialConfig(
    windows=(3, 10), time_windows_s=(64,), fading_factors=(0.5, 0.9), curve_interval=2, curve_points=4
)


def feed(
    state: PrequentialRanking,
    ranks: dict[str, list[int]],
    *,
    total: int | None = None,
    new_users: list[int] | None = None,
    times_ms: list[int] | None = None,
) -> None:
    """Take events whose repeats and new items follow from their ranks."""
    columns = {model: np.array(column, np.int32) for model, column in ranks.items()}
    first = next(iter(columns.values()))
    state.update(
        columns,
        event_time_ms=np.array(times_ms or [0] * len(first), np.int64),
        repeat=first == 0,
        new_item=first == -1,
        new_user=np.array(new_users or [0] * len(first), bool),
        total_events=total,
    )


def random_ranks(events: int, seed: int) -> dict[str, list[int]]:
    """Two models that agree about repeats and new items."""
    rng = np.random.default_rng(seed)
    one = rng.integers(-1, 25, events)
    other = np.where(one > 0, rng.integers(1, 60, events), one)
    return {"one": one.tolist(), "other": other.tolist()}


def test_counts_and_cumulative_figures_by_hand() -> None:
    state = PrequentialRanking(["m"], SMALL)
    feed(state, {"m": [-1, 1, 0, 12]}, new_users=[1, 0, 0, 1])
    assert (state.events, state.repeats, state.new_items, state.new_users) == (4, 1, 1, 2)
    figures = ranking_figures(state.cumulative[0])
    assert figures is not None
    assert figures["recall@10"] == 1 / 3  # miss, hit, beyond; the repeat is left out
    assert figures["recall@20"] == 2 / 3
    assert state.last_70 is None
    assert state.last_70_from is None


def test_last_70_percent_begins_at_the_floor_of_30() -> None:
    # floor(.3 * 9) = 2: events 2..8 count.
    state = PrequentialRanking(["m"], SMALL)
    feed(state, {"m": [1, 1, 2, 2, 2, 2, 2, 2, 2]}, total=9)
    assert state.last_70_from == 2
    assert state.last_70 is not None
    assert state.last_70[0, 1] == 0
    assert state.last_70[0, 2] == 7
    # The published counts: 21,201 and 226,310 events leave 14,841 and 158,417.
    for total, kept in ((21_201, 14_841), (226_310, 158_417)):
        feed(fresh := PrequentialRanking(["m"], SMALL), {"m": []}, total=total)
        assert fresh.last_70_from is not None
        assert total - fresh.last_70_from == kept


def test_last_70_percent_is_unknown_when_announced_too_late_or_changed() -> None:
    late = PrequentialRanking(["m"], SMALL)
    feed(late, {"m": [1, 1, 1, 1]})
    feed(late, {"m": [1]}, total=10)  # event 3 should have counted already
    assert late.last_70 is None
    in_time = PrequentialRanking(["m"], SMALL)
    feed(in_time, {"m": [1, 1, 1]})
    feed(in_time, {"m": [1, 2]}, total=10)
    feed(in_time, {"m": [1, 1]}, total=None)
    assert in_time.last_70 is not None
    assert in_time.last_70[0, 1:3].tolist() == [3, 1]
    feed(in_time, {"m": [1]}, total=20)
    assert in_time.last_70 is None


@pytest.mark.parametrize("seed", [0, 1])
def test_windows_and_fading_agree_with_the_oracle_after_every_event(seed: int) -> None:
    ranks = random_ranks(40, seed)
    state = PrequentialRanking(ranks, SMALL)
    for upto in range(1, 41):
        feed(state, {model: column[upto - 1 : upto] for model, column in ranks.items()})
        for row, model in enumerate(state.models):
            seen = ranks[model][:upto]
            assert ranking_figures(state.cumulative[row]) == pytest.approx(mean_figures(seen))
            for window, size in enumerate(SMALL.windows):
                expected = window_figures(seen, size)
                assert ranking_figures(state.windows[row, window]) == (
                    None if expected is None else pytest.approx(expected)
                )
            for index, factor in enumerate(SMALL.fading_factors):
                figures = ranking_figures(state.faded[row, index])
                if figures is not None:
                    assert figures["recall@10"] == pytest.approx(faded_recall(seen, factor, 10))


def test_fading_by_hand() -> None:
    # Hit, beyond, (repeat), hit with a = 1/2: S = 1, 1/2, 5/4; N = 1, 3/2, 7/4.
    state = PrequentialRanking(["m"], SMALL)
    feed(state, {"m": [4, 30, 0, 2]})
    figures = ranking_figures(state.faded[0, 0])
    assert figures is not None
    assert figures["recall@5"] == (5 / 4) / (7 / 4)


def test_curve_points_stand_at_multiples_of_the_interval_and_are_thinned() -> None:
    state = PrequentialRanking(["m"], SMALL)  # every 2 events, 4 points at most
    feed(state, {"m": [1] * 7})
    assert [point.events for point in state.curve] == [2, 4, 6]
    feed(state, {"m": [1]})  # the fourth point: every second goes, the interval doubles
    assert [point.events for point in state.curve] == [4, 8]
    assert state.curve_interval == 4
    feed(state, {"m": [30] * 9})
    assert [point.events for point in state.curve] == [8, 16]
    assert state.curve_interval == 8
    last = state.curve[-1]
    assert last.cumulative[0, [1, 21]].tolist() == [8, 8]
    assert last.windows[0, :, [1, 21]].tolist() == [[0, 2], [3, 8]]  # [bucket][window of 3, of 10]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    interrupted_at=st.integers(0, 60),
    total=st.sampled_from([None, 60, 10]),
)
def test_any_cut_and_any_interruption_give_the_same_state(
    seed: int, cuts: list[int], interrupted_at: int, total: int | None
) -> None:
    ranks = random_ranks(60, seed)
    # Events half a second apart on average, some of them late.
    times = np.random.default_rng(seed).integers(0, 30_000, 60).tolist()
    whole = PrequentialRanking(ranks, SMALL)
    feed(whole, ranks, total=total, times_ms=times)
    cut = PrequentialRanking(reversed(list(ranks)), SMALL)
    edges = sorted({0, 60, interrupted_at, *cuts})
    for start, end in itertools.pairwise(edges):
        if start == interrupted_at:
            meta = json.loads(json.dumps(cut.meta()))
            cut = PrequentialRanking.restore(cut.arrays(), meta)
        part = {model: column[start:end] for model, column in ranks.items()}
        feed(cut, part, total=total, times_ms=times[start:end])
    assert cut.digest() == whole.digest()
    assert cut.meta() == whole.meta()
    for name, array in whole.arrays().items():
        assert array.tobytes() == cut.arrays()[name].tobytes(), name


def test_the_digest_sees_one_rank() -> None:
    ranks = random_ranks(60, 4)
    whole, other = PrequentialRanking(ranks, SMALL), PrequentialRanking(ranks, SMALL)
    feed(whole, ranks)
    at = next(index for index, rank in enumerate(ranks["one"]) if rank > 1)
    feed(other, {**ranks, "one": [*ranks["one"][:at], 1, *ranks["one"][at + 1 :]]})
    assert whole.digest() != other.digest()


def test_memory_is_bounded() -> None:
    state = PrequentialRanking(["m"], SMALL)
    sizes = set()
    for _ in range(50):
        feed(state, {"m": [3] * 37})
        sizes.add(len(state.curve))
    assert max(sizes) < SMALL.curve_points
    assert sum(array.nbytes for array in state.arrays().values()) < 20_000


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ({"other": [1]}, r"models \['other'\], expected \['m'\]"),
        ({"m": [-2]}, "rank -2 to lane_seq 2"),
        ({"m": [1, 2]}, "has 2 ranks, expected 1"),
    ],
)
def test_bad_blocks_are_named_and_change_nothing(ranks: dict[str, list[int]], said: str) -> None:
    state = PrequentialRanking(["m"], SMALL)
    feed(state, {"m": [1, 0]})
    before = state.digest()
    no = np.zeros(1, bool)
    columns = {model: np.array(column, np.int32) for model, column in ranks.items()}
    with pytest.raises(ValueError, match=said):
        state.update(
            columns,
            event_time_ms=np.zeros(1, np.int64),
            repeat=no,
            new_item=no,
            new_user=no,
            total_events=5,
        )
    assert state.digest() == before


def test_ranks_must_agree_with_the_flags() -> None:
    state = PrequentialRanking(["m"], SMALL)
    yes, no = np.ones(1, bool), np.zeros(1, bool)
    for rank, repeat, new_item in ((0, no, no), (3, yes, no), (3, no, yes)):
        with pytest.raises(ValueError, match="expected 0 exactly for a repeat"):
            state.update(
                {"m": np.array([rank], np.int32)},
                event_time_ms=np.zeros(1, np.int64),
                repeat=repeat,
                new_item=new_item,
                new_user=no,
                total_events=None,
            )


@pytest.mark.parametrize(
    "values",
    [
        {"windows": ()},
        {"windows": (0,)},
        {"time_windows_s": (60, 0)},
        {"fading_factors": (1.0,)},
        {"curve_interval": 0},
        {"curve_points": 3},
    ],
)
def test_bad_configurations_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        PrequentialConfig(**values)  # type: ignore[arg-type]


def test_restore_refuses_what_does_not_fit() -> None:
    state = PrequentialRanking(["m"], SMALL)
    with pytest.raises(ValueError, match="cumulative is int64"):
        PrequentialRanking.restore(state.arrays(), {**state.meta(), "models": ["a", "b"]})
    with pytest.raises(ValueError, match="state_version is 99"):
        PrequentialRanking.restore(state.arrays(), {**state.meta(), "state_version": 99})
