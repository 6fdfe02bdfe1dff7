"""What has been taken already, as sets."""

from __future__ import annotations

from collections import deque


class SequencesOracle:
    """An event of a source is fresh above every sequence taken; a key is fresh outside the last `window` keys."""

    def __init__(self, window: int) -> None:
        self.taken: dict[tuple[str, int], set[int]] = {}
        self.keys: deque[str] = deque(maxlen=window)

    def fresh(self, source: str | None, partition: int, seq: int, key: str | None) -> bool:
        """Whether the event is taken for the first time; it counts as taken from now on."""
        if source is None:
            if key in self.keys:
                return False
            self.keys.append(key or "")
            return True
        taken = self.taken.setdefault((source, partition), set())
        if any(seq <= other for other in taken):
            return False
        taken.add(seq)
        return True
