"""Item-item Hebbian synapses in dicts, with the decay of each weight written out.

Trace y_1 (newest) ... y_L with gains g_k = step_decay^(k-1) * (1 + gap_k / gap_scale)^(-gap_exponent).

    score(c) = sum_k g_k w(y_k, c)^r / (a(y_k)^p a(c)^q A^(r-p-q)) + popularity_weight * (a(c) / A)^r
    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracles.history_oracle import Event

Decayed = tuple[float, float]  # (value, tick at which it was that)


class HebbianOracle:
    """parameters: those of the model's configuration; half_life in ticks.

    A row is a list of (post, weight): unbounded until item number `direct_neurons` comes, then it keeps its
    `row_synapses` strongest (of equal ones the older item) in order of their items; a newcomer takes the place of
    the weakest (of equal ones the first), whose weight is lost.
    """

    def __init__(self, parameters: Mapping[str, Any], half_life: float) -> None:
        self.p = parameters
        self.half_life = half_life
        self.rows: dict[int, list[tuple[int, Decayed]]] = {}
        self.lost: dict[int, Decayed] = {}
        self.activity: dict[int, Decayed] = {}
        self.bounded = False

    def at(self, value: Decayed | None, now: float) -> float:
        """What is left of a value at `now`."""
        return value[0] * 2.0 ** (-(now - value[1]) / self.half_life) if value else 0.0

    def weights(self, now: float) -> dict[tuple[int, int], float]:
        """{(pre, post): w} at `now`."""
        return {(pre, post): self.at(w, now) for pre, row in self.rows.items() for post, w in row}

    def gains(self, trace: Sequence[tuple[int, int]], time_ms: int) -> list[tuple[int, float]]:
        """(item, gain) of the trace, newest first."""
        newest_first = list(reversed(trace))[: self.p["trace_length"]]
        return [
            (
                item,
                self.p["step_decay"] ** k
                * (1 + max(time_ms - then_ms, 0) / (self.p["gap_scale_s"] * 1000)) ** -self.p["gap_exponent"],
            )
            for k, (item, then_ms) in enumerate(newest_first)
        ]

    def scores(self, trace: Sequence[tuple[int, int]], now: float, time_ms: int) -> dict[int, float]:
        """Score every item by the formula above."""
        p, q, r = self.p["source_power"], self.p["target_power"], self.p["synapse_power"]
        a = {item: self.at(value, now) for item, value in self.activity.items()}
        total = sum(a.values())
        excited: dict[int, float] = {}  # what does not depend on c is divided by once: exact sums stay exact
        for pre, gain in self.gains(trace, time_ms):
            for post, weight in self.rows.get(pre, []):
                excited[post] = excited.get(post, 0.0) + gain * self.at(weight, now) ** r / a[pre] ** p
        return {
            item: excited.get(item, 0.0) / (own**q * total ** (r - p - q))
            + self.p["popularity_weight"] * (own / total) ** r
            for item, own in a.items()
        }

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: float, now: float) -> None:
        """Potentiate along the trace with the weight that the event has left at `now`."""
        if event.item >= self.p["direct_neurons"] and not self.bounded:
            self._bound(now)
        left = 2.0 ** (-(now - tick) / self.half_life)
        for before, gain in self.gains(trace, event.time_ms):
            self._add(before, event.item, gain * left, now)
            self._add(event.item, before, self.p["reverse"] * gain * left, now)
        self.activity[event.item] = (self.at(self.activity.get(event.item), now) + left, now)

    def _add(self, pre: int, post: int, amount: float, now: float) -> None:
        row = self.rows.setdefault(pre, [])
        posts = [other for other, _ in row]
        if post in posts:
            place = posts.index(post)
            row[place] = (post, (self.at(row[place][1], now) + amount, now))
        elif not self.bounded or len(row) < self.p["row_synapses"]:
            row.append((post, (amount, now)))
        else:
            left = [self.at(weight, now) for _, weight in row]
            weakest = left.index(min(left))
            self.lost[pre] = (self.at(self.lost.get(pre), now) + left[weakest], now)
            row[weakest] = (post, (amount, now))

    def _bound(self, now: float) -> None:
        self.bounded = True
        for pre, row in self.rows.items():
            strongest = sorted(row, key=lambda one: (-self.at(one[1], now), one[0]))
            kept, dropped = strongest[: self.p["row_synapses"]], strongest[self.p["row_synapses"] :]
            self.rows[pre] = sorted(kept)
            if dropped:
                self.lost[pre] = (sum(self.at(weight, now) for _, weight in dropped), now)
