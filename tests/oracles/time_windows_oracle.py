"""Windows of event time in plain Python: which events are in the window at the end, from all of them at once."""

from __future__ import annotations

from collections.abc import Sequence


def in_time_window(times_ms: Sequence[int], duration_s: int) -> list[bool]:
    """Whether each event, in the lane's order, is within the window after the last one."""
    pane_ms = -(-duration_s * 1000 // 64)
    panes = [max(times_ms[: at + 1]) // pane_ms for at in range(len(times_ms))]
    return [pane > panes[-1] - 64 for pane in panes]
