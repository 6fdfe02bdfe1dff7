"""Popularity, in numpy alone: what checks the exchange, for the same figures come out as of our own `popularity`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main


class Popularity:
    """How many events an item has had."""

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, task: Task) -> None:
        self._counts = np.zeros(task.items)
        self.state_bytes = self._counts.nbytes

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """See `Ranker`."""
        return self._counts[candidates]

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """See `Ranker`."""
        self._counts[item] += 1.0


if __name__ == "__main__":
    main({"popularity": Popularity}, {"numpy": np.__version__})
