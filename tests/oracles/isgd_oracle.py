"""ISGD in lists, one number at a time.

    e = 1 - p . q        p += rate * (e q - regularization p)        q += rate * (e p - regularization q)

Before that, p alone steps towards 0 on each negative: the items longest out of use. The first `fit_events` events are
learned again, `fit_epochs` - 1 times, when the last of them has come, each time shuffled once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.oracles.history_oracle import Event
from tests.oracles.random_scores_oracle import uniform

Vector = list[float]


class ISGDOracle:
    """parameters: those of the model's configuration."""

    def __init__(self, parameters: Mapping[str, Any], seed: int) -> None:
        self.p = parameters
        self.seed = seed
        self.users: dict[int, Vector] = {}
        self.items: dict[int, Vector] = {}
        self.queue: list[int] = []
        self.first: list[Event] = []

    def start(self, side: int, row: int) -> Vector:
        """Draw a new vector; side: 0 users, 1 items."""
        found = []
        for factor in range(self.p["factors"]):
            u = uniform(self.seed, 2 * row + side, 2 * factor)
            angle = 2 * math.pi * uniform(self.seed, 2 * row + side, 2 * factor + 1)
            found.append(self.p["deviation"] * math.sqrt(-2 * math.log(1 - u)) * math.cos(angle))
        return found

    def scores(self, user: int, items: int, now: int) -> list[float]:
        """Return p . q of each item; an unknown user is as the next new one."""
        mine = self.users.get(user) or self.start(0, len(self.users))
        return [sum(p * q for p, q in zip(mine, self.items[item], strict=True)) for item in range(items)]

    def learn(self, event: Event, tick: int, now: int) -> None:
        """Learn an event, and the beginning again when it is the last of it."""
        self.learn_once(event)
        if len(self.first) == self.p["fit_events"]:
            return
        self.first.append(event)
        if len(self.first) == self.p["fit_events"]:
            order = list(self.first)
            for epoch in range(self.p["fit_epochs"] - 1):
                for last in reversed(range(1, len(order))):
                    chosen = int(uniform(self.seed, -1, epoch * len(order) + last) * (last + 1))
                    order[last], order[chosen] = order[chosen], order[last]
                for again in order:
                    self.learn_once(again)

    def learn_once(self, event: Event) -> None:
        """Step towards 0 on negatives, then towards 1."""
        mine = self.users.setdefault(event.user, self.start(0, event.user))
        item = self.items.setdefault(event.item, self.start(1, event.item))
        if self.p["negatives"]:
            if event.item in self.queue:
                self.queue.remove(event.item)
            negatives = self.queue[: self.p["negatives"]]
            self.queue = [*self.queue[len(negatives) :], event.item, *negatives]
            for negative in negatives:
                mine = self.moved(mine, self.items[negative], 0.0)
        self.users[event.user] = self.moved(mine, item, 1.0)
        self.items[event.item] = self.moved(item, mine, 1.0)

    def moved(self, vector: Vector, other: Vector, wanted: float) -> Vector:
        """Return `vector` after one step."""
        error = wanted - sum(a * b for a, b in zip(vector, other, strict=True))
        return [
            a + self.p["rate"] * (error * b - self.p["regularization"] * a)
            for a, b in zip(vector, other, strict=True)
        ]
