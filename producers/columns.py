"""Ratings as columns: what readers, streams and the replay hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class RatingColumns(NamedTuple):
    """n ratings as columns.

    users, items: `S<width>`[n], UTF-8, zero-padded. ratings: float64[n], in the source's scale.
    event_time_ms: int64[n], UTC.
    """

    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]
    ratings: NDArray[np.float64]
    event_time_ms: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The number of ratings (`len` of a NamedTuple counts its fields)."""
        return len(self.event_time_ms)

    def take(self, rows: slice | NDArray[Any]) -> RatingColumns:
        """The ratings at `rows` (a slice, an integer or a boolean array), in that order."""
        return RatingColumns(self.users[rows], self.items[rows], self.ratings[rows], self.event_time_ms[rows])

    @classmethod
    def concat(cls, parts: Sequence[RatingColumns]) -> RatingColumns:
        """Join parts in order; none gives columns of no ratings."""
        if not parts:
            return cls(np.zeros(0, "S1"), np.zeros(0, "S1"), np.zeros(0, np.float64), np.zeros(0, np.int64))
        return cls(
            np.concatenate([part.users for part in parts]),
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.ratings for part in parts]),
            np.concatenate([part.event_time_ms for part in parts]),
        )
