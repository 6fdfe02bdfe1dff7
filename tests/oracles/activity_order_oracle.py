"""A multiset of levels as a sorted list."""

from __future__ import annotations

from bisect import bisect_left, insort


class ActivityOrderOracle:
    """Levels in ascending order."""

    def __init__(self) -> None:
        self.levels: list[float] = []

    def insert(self, level: float) -> None:
        """Take a level in."""
        insort(self.levels, level)

    def remove(self, level: float) -> None:
        """Take out one level equal to `level`."""
        self.levels.remove(level)

    def count_from(self, level: float) -> int:
        """How many are as high, or higher."""
        return len(self.levels) - bisect_left(self.levels, level)
