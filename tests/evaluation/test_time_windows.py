"""Windows of event time: by hand, by oracle, for late events and for any cut of the stream."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.time_windows import TimeWindows, duration_name
from tests.oracles.time_windows_oracle import in_time_window

pytestmark = pytest.mark.oracle

DURATIONS_S = (64, 100, 640)  # panes of 1,000, 1,563 and 10,000 ms


def taken(times_ms: list[int], ranks: list[int], cuts: list[int]) -> TimeWindows:
    """One model's windows after the events, given in parts."""
    state = TimeWindows(1, DURATIONS_S)
    columns = np.array([ranks], np.uint8)
    times = np.array(times_ms, np.int64)
    for start, end in itertools.pairwise([0, *cuts, len(ranks)]):
        state.update(columns[:, start:end], times[start:end])
    return state


def test_durations_are_named_in_the_largest_exact_unit() -> None:
    named = {86_400: "1d", 30 * 86_400: "30d", 90_000: "25h", 5_400: "90m", 45: "45s", 3_661: "3661s"}
    assert {seconds: duration_name(seconds) for seconds in named} == named


def test_an_event_leaves_when_64_panes_have_begun_after_its_own() -> None:
    # Panes of a second: the event of pane 0 is in the window up to pane 63, and no longer.
    at_63 = taken([500, 63_999], [1, 2], [])
    assert at_63.windows[0, 0, 1:3].tolist() == [1, 1]
    at_64 = taken([500, 64_000], [1, 2], [])
    assert at_64.windows[0, 0, 1:3].tolist() == [0, 1]
    # Of ten seconds: it stays.
    assert at_64.windows[0, 2, 1:3].tolist() == [1, 1]


def test_a_late_event_counts_in_the_pane_of_the_clock() -> None:
    # The second is of long ago, but was tested when the clock stood at 100 s.
    state = taken([100_000, 0, 163_000], [1, 2, 3], [])
    assert state.windows[0, 0, 1:4].tolist() == [1, 1, 1]
    assert taken([100_000, 0, 164_000], [1, 2, 3], []).windows[0, 0, 1:4].tolist() == [0, 0, 1]


def test_after_a_long_pause_only_what_came_then_is_there() -> None:
    state = taken([0, 1, 10**15, 10**15 + 1], [1, 2, 3, 4], [])
    assert state.windows[0, :, 1:5].tolist() == [[0, 0, 1, 1]] * 3
    assert state.windows.sum() == 6


@settings(max_examples=60, deadline=None)
@given(
    steps_ms=st.lists(st.integers(-20_000, 60_000), min_size=1, max_size=80),
    start_ms=st.sampled_from([0, -(10**12), 10**12]),
    cuts=st.lists(st.integers(0, 80), max_size=6),
)
def test_windows_are_those_of_the_oracle_for_any_cut(
    steps_ms: list[int], start_ms: int, cuts: list[int]
) -> None:
    times = list(itertools.accumulate(steps_ms, initial=start_ms))
    ranks = [at % 22 for at in range(len(times))]
    state = taken(times, ranks, sorted(min(cut, len(times)) for cut in cuts))
    for window, duration_s in enumerate(DURATIONS_S):
        kept = [rank for rank, inside in zip(ranks, in_time_window(times, duration_s), strict=True) if inside]
        assert state.windows[0, window].tolist() == np.bincount(kept, minlength=22).tolist()
    whole = taken(times, ranks, [])
    for name, array in whole.arrays().items():
        assert array.tobytes() == state.arrays()[name].tobytes(), name


def test_models_are_kept_apart_and_memory_is_bounded() -> None:
    state = TimeWindows(2, (64,))
    before = sum(array.nbytes for array in state.arrays().values())
    for second in range(200):
        state.update(np.array([[1], [2]], np.uint8), np.array([second * 1000], np.int64))
    assert state.windows[:, 0, 1:3].tolist() == [[64, 0], [0, 64]]
    assert sum(array.nbytes for array in state.arrays().values()) == before


def test_no_windows_of_time_are_no_windows() -> None:
    state = TimeWindows(1, ())
    state.update(np.array([[1]], np.uint8), np.array([7], np.int64))
    assert state.windows.shape == (1, 0, 22)


@pytest.mark.parametrize("duration_s", [1, 3, 86_400, 30 * 86_400])
def test_a_window_spans_63_to_64_panes(duration_s: int) -> None:
    pane_ms = -(-duration_s * 1000 // 64)
    times = list(range(0, duration_s * 2000, max(1, duration_s * 1000 // 500)))
    kept = [time for time, inside in zip(times, in_time_window(times, duration_s), strict=True) if inside]
    assert 0 <= times[-1] - kept[0] < 64 * pane_ms
    assert times[-1] - kept[0] >= 63 * pane_ms - duration_s * 1000 // 500 - 1
