"""What each user has had, in a dict of lists."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event by rows: a row is the order of first appearance. time_ms: event time."""

    user: int
    item: int
    time_ms: int


class HistoryOracle:
    """Histories as {user: [(item, time_ms), ...]}, oldest first, without repeats."""

    def __init__(self) -> None:
        self.of: dict[int, list[tuple[int, int]]] = {}
        self.known: set[int] = set()

    def had(self, user: int) -> list[int]:
        """Items that `user` has had."""
        return [item for item, _ in self.of.get(user, [])]

    def take(self, event: Event) -> tuple[bool, bool, bool, int, int]:
        """Append; returns (repeat, new item, new user, items had before, items known before)."""
        had = self.had(event.user)
        found = (
            event.item in had,
            event.item not in self.known,
            event.user not in self.of,
            len(had),
            len(self.known),
        )
        if event.item not in had:
            self.of.setdefault(event.user, []).append((event.item, event.time_ms))
        self.known.add(event.item)
        return found
