"""User-user Hebbian synapses in dicts, with the decay of each weight written out.

w(u, v) += 1 and w(v, u) += reverse for each v of the item's audience, newest first;  a(x) += 1
score(c) = (a(c) / A)^-q * sum of voice(v) * step_decay^k + popularity_weight * a(c) / A
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.oracles.history_oracle import Event


@dataclass
class Synapse:
    """What w(u, post) was at a tick, when u had had `count` items."""

    post: int
    weight: float
    tick: int
    count: int


class UserHebbianOracle:
    """parameters: those of the model's configuration; half_life in ticks. No synapse is kept beyond `row_synapses`."""

    def __init__(self, parameters: Mapping[str, Any], half_life: float) -> None:
        self.p = parameters
        self.half_life = half_life
        self.rows: dict[int, list[Synapse]] = {}
        self.had: dict[int, list[int]] = {}
        self.audience: dict[int, list[int]] = {}
        self.events: dict[int, list[tuple[float, int]]] = {}
        self.evicted = 0

    def weight(self, user: int, synapse: Synapse, now: int) -> float:
        """What is left of w(user, post)."""
        own = (len(self.had[user]) - synapse.count) / self.p["own_half_life_events"]
        return synapse.weight * 2.0 ** -((now - synapse.tick) / self.half_life + own)

    def activity(self, item: int, now: int) -> float:
        """a(item): what is left of its events."""
        return sum(left * 2.0 ** -((now - tick) / self.half_life) for left, tick in self.events[item])

    def scores(self, user: int, items: int, now: int) -> list[float]:
        """Score by the formula above."""
        excited = [0.0] * items
        heard = 0.0
        for synapse in self.rows.get(user, []):
            had = self.had[synapse.post]
            voice = self.weight(user, synapse, now) / len(had) ** self.p["source_power"]
            heard += voice
            for k, item in enumerate(had[::-1][: self.p["recent_items"]]):
                excited[item] += voice * self.p["step_decay"] ** k
        activity = [self.activity(item, now) for item in range(items)]
        total = sum(activity)
        return [
            (excited[c] / heard if heard else 0.0) * (activity[c] / total) ** -self.p["target_power"]
            + self.p["popularity_weight"] * activity[c] / total
            for c in range(items)
        ]

    def learn(self, event: Event, tick: int, now: int) -> None:
        """Wire the user with the item's audience, with the weight that the event has left at `now`."""
        self.had.setdefault(event.user, [])
        left = 2.0 ** (-(now - tick) / self.half_life)
        audience = self.audience.setdefault(event.item, [])
        for other in audience[: -self.p["audience"] - 1 : -1]:
            self._add(event.user, other, left, now)
            if self.p["reverse"] > 0:
                self._add(other, event.user, self.p["reverse"] * left, now)
        audience.append(event.user)
        self.had[event.user].append(event.item)
        self.events.setdefault(event.item, []).append((left, now))

    def _add(self, user: int, other: int, amount: float, now: int) -> None:
        row = self.rows.setdefault(user, [])
        weights = [self.weight(user, synapse, now) for synapse in row]
        for synapse, weight in zip(row, weights, strict=True):
            if synapse.post == other:
                synapse.weight, synapse.tick, synapse.count = weight + amount, now, len(self.had[user])
                return
        new = Synapse(other, amount, now, len(self.had[user]))
        if len(row) < self.p["row_synapses"]:
            row.append(new)
        else:
            row[weights.index(min(weights))] = new
            self.evicted += 1
