"""Sliding windows of event time: rank histograms of the last day, week, month of the stream, in bounded memory.

A window of D is 64 panes of D/64 of event time (rounded up to a millisecond), after Li et al. (2005), "No pane, no
gain: efficient evaluation of sliding-window aggregates over data streams", SIGMOD Record 34(1). It holds the pane
that the clock is in and the 63 before: between 63/64 D and D of event time, which is its granularity.

The clock is the greatest event time so far. A late event counts in the pane that the clock is in, as it is only then
that it was tested; so a window depends on the order of the lane alone. Repeats are counted at index 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from evaluation.named_arrays import Arrays
from evaluation.ranking import BUCKETS, empty_histogram

PANES: Final = 64
_UNITS_S: Final = (("d", 86_400), ("h", 3_600), ("m", 60))


def duration_name(seconds: int) -> str:
    """Write a duration in the largest unit that is exact: 1d, 36h, 90m, 45s."""
    for unit, size in _UNITS_S:
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@njit(cache=True)
def slide_time(clipped, time_ms, clock, pane_ms, current, panes, windows):  # type: ignore[no-untyped-def]
    """Slide all windows of all models over a block of events, in order.

    clipped: uint8[M, n], histogram indices. time_ms: int64[n]. clock: int64[2], whether there was an event and the
    greatest time so far. pane_ms, current: int64[T], length of a pane, and number of the pane that the clock is in.
    panes: int32[T, 64, M, 22], pane p at p % 64. windows: int64[M, T, 22], their sums. The last four are updated.
    """
    models, n = clipped.shape
    for i in range(n):
        if clock[0] == 0:
            clock[0] = 1
            clock[1] = time_ms[i]
            for w in range(len(pane_ms)):
                current[w] = clock[1] // pane_ms[w]
        clock[1] = max(clock[1], time_ms[i])
        for w in range(len(pane_ms)):
            if clock[1] >= (current[w] + 1) * pane_ms[w]:
                now = clock[1] // pane_ms[w]
                # Each pane that begins takes the place of the one 64 before it.
                for begun in range(max(current[w] + 1, now - PANES + 1), now + 1):
                    old = panes[w, begun & (PANES - 1)]
                    for m in range(models):
                        for bucket in range(BUCKETS):
                            windows[m, w, bucket] -= old[m, bucket]
                            old[m, bucket] = 0
                current[w] = now
            place = current[w] & (PANES - 1)
            for m in range(models):
                panes[w, place, m, clipped[m, i]] += 1
                windows[m, w, clipped[m, i]] += 1


class TimeWindows:
    """Histograms of M models over windows of event time.

    durations_s: whole seconds. windows: int64[M, T, 22], of now. Not valid before the first event.
    """

    def __init__(self, models: int, durations_s: Sequence[int]) -> None:
        count = len(durations_s)
        self.windows = empty_histogram(models, count)
        self._pane_ms = np.array([-(-seconds * 1000 // PANES) for seconds in durations_s], np.int64)
        self._clock = np.zeros(2, np.int64)
        self._current = np.zeros(count, np.int64)
        self._panes = np.zeros((count, PANES, models, BUCKETS), np.int32)

    @property
    def clock_ms(self) -> int | None:
        """The greatest event time so far; None before the first event, or without windows."""
        return int(self._clock[1]) if self._clock[0] else None

    def update(self, clipped: NDArray[np.uint8], time_ms: NDArray[np.int64]) -> None:
        """Take events. clipped: uint8[M, n], histogram indices; time_ms: int64[n], event time."""
        if len(self._pane_ms):
            slide_time(
                np.ascontiguousarray(clipped),
                time_ms,
                self._clock,
                self._pane_ms,
                self._current,
                self._panes,
                self.windows,
            )

    def arrays(self) -> Arrays:
        """Return the state's arrays by name: the arrays themselves."""
        return {
            "time_clock": self._clock,
            "time_current": self._current,
            "time_panes": self._panes,
            "time_windows": self.windows,
        }
