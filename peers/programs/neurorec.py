"""The rule of source system 1, scored: users are neurons, and +1 for each item that two of them have both had.

It has no scores of its own; here an item's is the sum of the user's synapses to those who have had it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main


class CoActivation:
    """Synapses between users, without decay and without normalisation."""

    settings: ClassVar[dict[str, Any]] = {"decay": "none"}

    def __init__(self, task: Task) -> None:
        self._synapses = np.zeros((task.users, task.users), np.float32)
        self._had = np.zeros((task.users, task.items), np.float32)
        self.state_bytes = self._synapses.nbytes

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """See `Ranker`."""
        every: NDArray[Any] = self._synapses[user] @ self._had
        return every[candidates]

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """See `Ranker`."""
        if self._had[user, item]:
            return
        others = np.flatnonzero(self._had[:, item])
        self._synapses[user, others] += 1.0
        self._synapses[others, user] += 1.0
        self._had[user, item] = 1.0


if __name__ == "__main__":
    main({"co-activation": CoActivation}, {"numpy": np.__version__})
