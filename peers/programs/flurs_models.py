"""FluRS: matrix factorisation, BPR and a factorisation machine of positive feedback (1 an event); nearest users by rating.

Its sketching (`SketchRecommender`) is left out: it knows users and items by vectors of features alone, and a task has ids.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
from flurs.data.entity import Event, Item, User
from flurs.recommender import BPRMFRecommender, FMRecommender, MFRecommender, UserKNNRecommender
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main


class _Flurs:
    """smaller: whether FluRS's score is a distance, so that the smallest is the best."""

    def __init__(self, task: Task, model: Any, *, smaller: bool, settings: dict[str, Any]) -> None:
        np.random.seed(task.seed)
        self._model = model
        self._sign = -1.0 if smaller else 1.0
        self._rated = isinstance(model, UserKNNRecommender)
        self.settings = settings
        # Of the factorisation machine, whose features are then the ids.
        model.initialize(**({"use_index": True} if isinstance(model, FMRecommender) else {}))

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """See `Ranker`."""
        if self._model.is_new_user(user):
            self._model.register(User(user))
        scores: NDArray[Any] = self._sign * self._model.score(User(user), candidates)
        return scores

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """See `Ranker`."""
        if self._model.is_new_user(user):
            self._model.register(User(user))
        if self._model.is_new_item(item):
            self._model.register(Item(item))
        self._model.update(Event(User(user), Item(item), rating if self._rated else 1.0))


def _maker(model: Callable[[], Any], smaller: bool, settings: dict[str, Any]) -> Callable[[Task], _Flurs]:
    return lambda task: _Flurs(task, model(), smaller=smaller, settings=settings)


if __name__ == "__main__":
    main(
        {
            "MF": _maker(lambda: MFRecommender(k=40), True, {"k": 40}),
            "BPRMF": _maker(lambda: BPRMFRecommender(k=40), False, {"k": 40}),
            "FM": _maker(lambda: FMRecommender(p=0, k=40), True, {"k": 40, "features": "ids"}),
            "UserKNN": _maker(lambda: UserKNNRecommender(k=5), False, {"k": 5}),
        },
        {"flurs": importlib.metadata.version("flurs")},
    )
