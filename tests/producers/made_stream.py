"""Streams of made-up events for the replay, a clock that only moves when it is told, and a sudden end."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.replay import Replay

SOURCE = "made:1"


class ListStream:
    """A stream of given events; see `producers.stream.EventStream`."""

    def __init__(self, columns: RatingColumns) -> None:
        self._columns = columns
        self.source_id = SOURCE
        self.total_events = columns.size
        self.rating_min = 1.0
        self.rating_max = 5.0

    def block(self, first: int, size: int) -> RatingColumns:
        return self._columns.take(slice(first, first + size))

    def items(self) -> Iterable[ItemMetadata]:
        return ()

    def users(self) -> Iterable[UserMetadata]:
        return ()

    def digest(self) -> str:
        return ""


class FakeClock:
    """Stands still unless it is told, or somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_s += seconds


def made_events(count: int, seed: int = 0) -> RatingColumns:
    """Make events of 50 users in order of time, many at equal times."""
    rng = np.random.default_rng(seed)
    return RatingColumns(
        np.array([b"u%d" % user for user in rng.integers(50, size=count)], "S4"),
        np.array([b"i%d" % item for item in rng.integers(200, size=count)], "S6"),
        rng.integers(1, 6, count).astype(np.float64),
        np.cumsum(rng.random(count) < 0.3).astype(np.int64) * 1000,
    )


def abandon(replay: Replay) -> None:
    """Let go without a flush, as a killed process does; closing the connection is only for the warnings' sake."""
    replay._writer._database.close()  # type: ignore[attr-defined]
