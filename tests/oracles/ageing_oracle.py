"""Fading with a half-life that drifts shorten for a while, written out as tau, the half-lives that have gone by."""

from __future__ import annotations

from collections.abc import Sequence


class AgeingOracle:
    """half_life and ticks (how long it is `pace` times as short) in ticks."""

    def __init__(self, half_life: float, pace: int, ticks: int) -> None:
        self.half_life = half_life
        self.pace = pace
        self.ticks = ticks
        self.drifts: list[int] = []

    def tau(self, now: int) -> float:
        """Half-lives from tick 0 to `now`: a drift ends the adaptation of the one before."""
        ends = [*self.drifts[1:], now][: len(self.drifts)]
        fast = sum(
            max(min(self.ticks, end - start, now - start), 0)
            for start, end in zip(self.drifts, ends, strict=True)
        )
        return (now + (self.pace - 1) * fast) / self.half_life

    def tau_of_event(self, tick: int, now: int) -> float:
        """Tau of an event of `tick` that is learned at `now`: as late as it would be without any drift."""
        return self.tau(now) - (now - tick) / self.half_life


def decayed_counts(
    oracle: AgeingOracle, events: Sequence[tuple[int, float]], items: int, now: int
) -> list[float]:
    """Count of each item at `now`; events: (item, tau of the event)."""
    counts = [0.0] * items
    for item, tau in events:
        counts[item] += 2.0 ** -(oracle.tau(now) - tau)
    return counts
