"""Popularity: how many users have had an item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.oracles.history_oracle import Event


class PopularityOracle:
    """Counts in a dict."""

    def __init__(self) -> None:
        self.count: Counter[int] = Counter()

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        """Count of each item."""
        return {item: float(count) for item, count in self.count.items()}

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Count the event."""
        self.count[event.item] += 1
