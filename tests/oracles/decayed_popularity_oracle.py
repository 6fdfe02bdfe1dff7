"""Decayed popularity, unscaled: the sum over an item's events of 2^(-(now - tick) / half_life)."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracles.history_oracle import Event


class DecayedPopularityOracle:
    """Keeps every event; half_life in ticks."""

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.ticks: dict[int, list[int]] = {}

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        """Sum up each item's events as they have faded by `now`."""
        return {
            item: sum(2.0 ** (-(now - tick) / self.half_life) for tick in ticks)
            for item, ticks in self.ticks.items()
        }

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Remember the event."""
        self.ticks.setdefault(event.item, []).append(tick)
