"""wisardpkg: a WiSARD a user over the same bits, trained event by event; the share of active nodes says how surely."""

from __future__ import annotations

import importlib.metadata
from typing import Any, ClassVar

import numpy as np
import wisardpkg
from numpy.typing import NDArray

from peers.files import Task
from peers.prequential import main

TUPLE = 6


class PerUser:
    """A network a user, as in source system 5; before both labels were met it says a half."""

    settings: ClassVar[dict[str, Any]] = {"tuple": TUPLE, "networks": "one a user"}

    def __init__(self, task: Task) -> None:
        self._networks: dict[int, Any] = {}
        self._met: dict[int, set[int]] = {}

    def says(self, user: int, bits: NDArray[np.uint8]) -> float:
        """See `Caller`."""
        met = self._met.get(user, set())
        if len(met) < 2:
            return float(next(iter(met))) if met else 0.5
        [found] = self._networks[user].classify([bits.tolist()])
        degrees = {int(one["class"]): float(one["degree"]) for one in found["classesDegrees"]}
        total = sum(degrees.values())
        return degrees.get(1, 0.0) / total if total else 0.5

    def learn(self, user: int, bits: NDArray[np.uint8], like: int) -> None:
        """See `Caller`."""
        if user not in self._networks:
            self._networks[user] = wisardpkg.Wisard(
                TUPLE, returnActivationDegree=True, returnConfidence=True, returnClassesDegrees=True
            )
        self._networks[user].train([bits.tolist()], [str(like)])
        self._met.setdefault(user, set()).add(like)


if __name__ == "__main__":
    main({"Wisard": PerUser}, {"wisardpkg": importlib.metadata.version("wisardpkg")})
