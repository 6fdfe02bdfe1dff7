"""Item-item Hebbian synapses in dicts, with the decay of each weight written out.

Trace y_1 (newest) ... y_L with gains g_k = step_decay^(k-1) * fade(gap_k), fade(gap) = (1 + gap / gap_scale)^(-gap_exponent).

    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1
    score(c) = fade(gap) v(c) / (a(c)^q A^(r-p-q)) + popularity_weight * (a(c) / A)^r

where v, the user's potential, is charged at each event by the item before, y:

    v(c) <- step_decay * fade(gap between y and the item before it) * v(c) + w(y, c)^r / a(y)^p

and is that sum over the last `recall_length` items, all with the synapses of the moment, for a user who is not among the
last `slots` ones, or has charged it `recall_every` times, or of which 2^-30 is left; and for all with bounded rows.
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
        # user: ({item: potential}, tick of it, charges, what is left of the first); the last used comes last.
        self.slots: dict[int, tuple[dict[int, float], float, int, float]] = {}

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
            (item, self.p["step_decay"] ** k * self.fade(time_ms - then_ms))
            for k, (item, then_ms) in enumerate(newest_first)
        ]

    def fade(self, gap_ms: float) -> float:
        """What a gap leaves."""
        return float((1 + max(gap_ms, 0) / (self.p["gap_scale_s"] * 1000)) ** -self.p["gap_exponent"])

    def charged(
        self, user: int, trace: Sequence[tuple[int, int]], now: float
    ) -> tuple[dict[int, float], float, int, float]:
        """The user's slot as it is when the newest item has charged, at `now`."""
        value, then, charges, left = self.slots.get(user, ({}, now, 0, 0.0))
        leak = self.leak(trace, len(trace) - 1)
        if self.bounded or charges >= self.p["recall_every"] or left * leak < 2.0**-30:
            value, charges, left = {}, 0, 1.0
            first = max(len(trace) - self.p["recall_length"], 0)
            for at in range(first, len(trace)):
                value = self.charge(value, self.leak(trace, at) if at > first else 1.0, trace[at][0], now)
        else:
            left *= leak
            p, r = self.p["source_power"], self.p["synapse_power"]
            leak *= 2.0 ** (-(now - then) / self.half_life * (r - p))  # potentials go by w^r / a^p
            value = self.charge(value, leak, trace[-1][0], now)
        return value, now, charges + 1, left

    def leak(self, trace: Sequence[tuple[int, int]], at: int) -> float:
        """What is left at the trace's item `at` of what was at the one before."""
        return self.p["step_decay"] * self.fade(trace[at][1] - trace[at - 1][1]) if at else 1.0

    def charge(self, value: Mapping[int, float], leak: float, item: int, now: float) -> dict[int, float]:
        """Leaking v + the row of `item`."""
        norm = self.at(self.activity[item], now) ** -self.p["source_power"]
        after = {post: leak * old for post, old in value.items()}
        for post, weight in self.rows.get(item, []):
            after[post] = after.get(post, 0.0) + norm * self.at(weight, now) ** self.p["synapse_power"]
        return after

    def scores(
        self, user: int, trace: Sequence[tuple[int, int]], now: float, time_ms: int
    ) -> dict[int, float]:
        """Score every item by the formula above."""
        p, q, r = self.p["source_power"], self.p["target_power"], self.p["synapse_power"]
        a = {item: self.at(value, now) for item, value in self.activity.items()}
        total = sum(a.values())
        value = self.charged(user, trace, now)[0] if trace else {}
        fade = self.fade(time_ms - trace[-1][1]) if trace else 1.0
        return {
            item: fade * value.get(item, 0.0) / (own**q * total ** (r - p - q))
            + self.p["popularity_weight"] * (own / total) ** r
            for item, own in a.items()
        }

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: float, now: float) -> None:
        """Potentiate along the trace with the weight that the event has left at `now`."""
        if event.item >= self.p["direct_neurons"] and not self.bounded:
            self._bound(now)
        if trace:
            slot = self.charged(event.user, trace, now)
            if event.user not in self.slots and len(self.slots) == self.p["slots"]:
                del self.slots[next(iter(self.slots))]
            self.slots.pop(event.user, None)
            self.slots[event.user] = slot
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
