"""scikit-learn's logistic regression on the same bits: by stochastic gradient an event, and fitted anew every 1,000."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, SGDClassifier

from peers.files import Task
from peers.prequential import main
from peers.refitted import EVERY


class Sgd:
    """One model for all users, learned event by event (`partial_fit`)."""

    settings: ClassVar[dict[str, Any]] = {"loss": "log_loss"}

    def __init__(self, task: Task) -> None:
        self._model = SGDClassifier(loss="log_loss", random_state=task.seed)
        self._ready = False

    def says(self, user: int, bits: NDArray[np.uint8]) -> float:
        """See `Caller`."""
        return float(self._model.predict_proba(bits[None].astype(float))[0, 1]) if self._ready else 0.5

    def learn(self, user: int, bits: NDArray[np.uint8], like: int) -> None:
        """See `Caller`."""
        self._model.partial_fit(bits[None].astype(float), [like], classes=[0, 1])
        self._ready = True


class Logistic:
    """One model for all users, fitted anew to all events so far every `EVERY` events."""

    settings: ClassVar[dict[str, Any]] = {"refitted_every": EVERY, "C": 1.0}

    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen = 0
        self._weights: tuple[NDArray[Any], float] | None = None

    def says(self, user: int, bits: NDArray[np.uint8]) -> float:
        """See `Caller`."""
        if self._weights is None:
            return 0.5
        return float(1.0 / (1.0 + np.exp(-(bits @ self._weights[0] + self._weights[1]))))

    def learn(self, user: int, bits: NDArray[np.uint8], like: int) -> None:
        """See `Caller`."""
        self._seen += 1
        seen = self._task.like[: self._seen]
        if self._seen % EVERY == 0 and 0 < seen.mean() < 1:
            model = LogisticRegression(C=1.0, max_iter=200)
            model.fit(self._task.bits[: self._seen].astype(np.float32), seen)
            self._weights = (model.coef_[0], float(model.intercept_[0]))


if __name__ == "__main__":
    main({"SGDClassifier": Sgd, "LogisticRegression": Logistic}, {"scikit-learn": sklearn.__version__})
