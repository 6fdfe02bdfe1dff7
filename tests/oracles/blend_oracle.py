"""The blend in dicts: every decayed number is kept with its tick, every logarithm and sum is Python's own.

    score(c) = sum_j w_j f_j(c) + fade v_correction(c) + b_age(c) + b_gap(c)

Only the direct layout of synapses. Parts, potentials and learning rules are those of `online_models/blend.py`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.oracles.history_oracle import Event

PARTS = 6
SHORT, LONG, LIFT, CORRECTION = range(4)


class Fading:
    """Numbers by key that halve each half-life."""

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.of: dict[Any, tuple[float, int]] = {}

    def at(self, key: Any, now: int) -> float:
        """What is left at `now`."""
        value, tick = self.of.get(key, (0.0, now))
        return value * 2.0 ** (-(now - tick) / self.half_life)

    def add(self, key: Any, amount: float, now: int) -> None:
        """Add `amount` at `now`."""
        self.of[key] = (self.at(key, now) + amount, now)

    def total(self, now: int) -> float:
        """Sum over all keys."""
        return sum(self.at(key, now) for key in self.of)


class BlendOracle:
    """parameters: those of the model's configuration; half_life and trend_half_lives in ticks.

    Events must be fed with the user: see `learn`. A user is known by the trace's length and times alone, so `scores`
    asks for the user whose turn it is through `whose`.
    """

    def __init__(
        self, parameters: Mapping[str, Any], half_life: float, trend_half_lives: Sequence[float]
    ) -> None:
        self.p = parameters
        self.half_life = half_life
        self.activity = Fading(half_life)
        self.weights = (Fading(half_life), Fading(half_life))  # SHORT, LONG: by (pre, post)
        self.sums = (Fading(half_life), Fading(half_life))  # by pre
        self.correction: dict[tuple[int, int], float] = defaultdict(float)
        self.trends = [Fading(h) for h in trend_half_lives]
        self.share = [1.0 / (len(self.trends) + 2)] * (len(self.trends) + 2)
        self.value: dict[Any, list[float]] = {"all": list(parameters["first_weights"])}
        self.squares: dict[Any, list[float]] = {}
        self.bias: dict[tuple[str, int, int], float] = defaultdict(float)
        self.taken: dict[tuple[int, int], float] = defaultdict(float)
        self.last: dict[int, int] = {}
        self.learned = 0
        self.lane_tick: Callable[[float], float] = lambda now: (
            now
        )  # on the clock of the trends, which do not age
        # user: [{item: value of SHORT and LONG at the tick of the last charge}, ...], tick.
        self.slots: dict[int, list[dict[int, float]]] = {}
        self.charged: dict[int, int] = {}

    # What the user's situation is.

    def contexts(self, trace: Sequence[tuple[int, int]], time_ms: int) -> tuple[int, int]:
        """Classes of age and gap."""
        age = min(len(trace).bit_length(), 8)
        if not trace:
            return age, 0
        gap_s = self.gap_ms(trace, time_ms) / 1000
        return age, 1 + sum(gap_s >= limit for limit in (0.001, 15, 60, 300, 3600, 86400))

    def gap_ms(self, trace: Sequence[tuple[int, int]], time_ms: int) -> int:
        """Time since the user's last item."""
        return max(time_ms - trace[-1][1], 0) if trace else 0

    def fade(self, kind: int, gap_ms: float) -> float:
        """What a gap leaves of a potential."""
        return float((1 + gap_ms / (self.p["gap_scale_s"] * 1000)) ** -self.p["gap_exponent"][kind])

    # Potentials.

    def row(self, kind: int, pre: int, now: int) -> dict[int, float]:
        """What item `pre` charges a potential with."""
        if kind == CORRECTION:
            return {post: self.correction[pre, post] for post in self.activity.of}
        if kind == LIFT:
            total = self.activity.total(now)
            return {
                post: math.log(
                    1
                    + self.weights[SHORT].at((pre, post), now)
                    * total
                    / (self.p["lift_prior"] * (self.activity.at(post, now) + 0.1))
                )
                for post in self.activity.of
            }
        whole = self.sums[kind].at(pre, now)
        return {
            post: self.weights[kind].at((pre, post), now) / whole**0.5 if whole else 0.0
            for post in self.activity.of
        }

    def charge(self, value: list[dict[int, float]], item: int, gap_ms: float, now: int) -> None:
        """Leak by a step and a gap, then add the item's row."""
        for kind in range(4):
            left = self.p["leak"][kind] * self.fade(kind, gap_ms)
            row = self.row(kind, item, now)
            value[kind] = {post: left * value[kind].get(post, 0.0) + row[post] for post in row}

    def potentials(self, user: int, trace: Sequence[tuple[int, int]], now: int) -> list[dict[int, float]]:
        """The user's potentials at `now`: those of the slot, or integrated anew."""
        if user in self.slots:
            # SHORT and LONG go by the square root of the synapses' scale.
            fallen = 2.0 ** (-(now - self.charged[user]) / self.half_life / 2)
            value = [dict(potential) for potential in self.slots[user]]
            for kind in (SHORT, LONG):
                value[kind] = {post: fallen * v for post, v in value[kind].items()}
            return value
        value = [{}, {}, {}, {}]
        recalled = list(trace)[-self.p["recall_length"] :]
        for at, (item, then_ms) in enumerate(recalled):
            gap_ms = max(then_ms - recalled[at - 1][1], 0) if at else 0
            self.charge(value, item, gap_ms, now)
        return value

    # Test.

    def trend(self, item: int, now: int) -> list[float]:
        """P(item) of each part of the mixture."""
        lane = int(self.lane_tick(now))
        parts = [(fading.at(item, lane), fading.total(lane)) for fading in self.trends]
        parts.append((self.activity.at(item, now), self.activity.total(now)))
        return [level / total if total else 0.0 for level, total in parts] + [1 / len(self.activity.of)]

    def features(
        self, value: list[dict[int, float]], contexts: tuple[int, int], gap_ms: float, now: int
    ) -> dict[int, list[float]]:
        """{item: its parts}."""
        total = self.activity.total(now)
        found = {}
        for item in self.activity.of:
            expected = (self.activity.at(item, now) + 0.1) / total
            counts = [
                math.log(
                    1 + self.fade(kind, gap_ms) * value[kind].get(item, 0.0) / (self.p[prior] * expected)
                )
                for kind, prior in ((SHORT, "short_prior"), (LONG, "long_prior"))
            ]
            since = self.learned - self.last[item]
            power = math.floor(math.log2(since))
            found[item] = [
                *counts,
                self.fade(LIFT, gap_ms) * value[LIFT].get(item, 0.0),
                math.log(sum(m * p for m, p in zip(self.share, self.trend(item, now), strict=True))),
                power + since / 2**power - 1,
                math.log(1 + self.taken[contexts[0], item]),
            ]
        return found

    def weight(self, contexts: tuple[int, int], part: int) -> float:
        """Weight of a part in a context."""
        return sum(
            self.value.get(key, [0.0] * PARTS)[part]
            for key in ("all", ("age", contexts[0]), ("gap", contexts[1]))
        )

    def scores_of(
        self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int
    ) -> dict[int, float]:
        """Score every known item."""
        gap_ms, contexts = self.gap_ms(trace, time_ms), self.contexts(trace, time_ms)
        value = self.potentials(user, trace, now) if trace else [{}, {}, {}, {}]
        return {
            item: sum(self.weight(contexts, part) * f for part, f in enumerate(parts))
            + self.fade(CORRECTION, gap_ms) * value[CORRECTION].get(item, 0.0)
            + self.bias["age", contexts[0], item]
            + self.bias["gap", contexts[1], item]
            for item, parts in self.features(value, contexts, gap_ms, now).items()
        }

    # Learn.

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Learn one event that is no repeat."""
        user, target, time_ms = event
        gap_ms, contexts = self.gap_ms(trace, time_ms), self.contexts(trace, time_ms)
        left = 2.0 ** (-(now - tick) / self.half_life)
        value = self.potentials(user, trace, now) if trace else [{}, {}, {}, {}]
        if trace and user not in self.slots and len(self.slots) == self.p["slots"]:
            del self.slots[next(iter(self.slots))]
        if target in self.activity.of:
            self._learn_from_errors(user, value, target, trace, time_ms, left, now)
        self._wire(target, trace, time_ms, left, now)
        self.activity.add(target, left, now)
        for fading in self.trends:
            fading.add(target, 2.0 ** (-(now - tick) / fading.half_life), int(self.lane_tick(now)))
        self.last[target] = self.learned
        self.learned += 1
        self.taken[contexts[0], target] += 1
        if trace:
            self.charge(value, target, gap_ms, now)
            self.slots.pop(user, None)  # the last used comes last
            self.slots[user] = value
            self.charged[user] = now

    def unlearn(self, left: float) -> None:
        """Let what errors taught fade, and counts by age; users are integrated anew."""
        for learned in (self.correction, self.bias, self.taken):
            for key in learned:
                learned[key] *= left
        self.slots.clear()

    def _learn_from_errors(
        self,
        user: int,
        value: list[dict[int, float]],
        target: int,
        trace: Sequence[tuple[int, int]],
        time_ms: int,
        left: float,
        now: int,
    ) -> None:
        gap_ms, contexts = self.gap_ms(trace, time_ms), self.contexts(trace, time_ms)
        scores = self.scores_of(user, trace, now, time_ms)
        features = self.features(value, contexts, gap_ms, now)
        had = {item for item, _ in trace}
        odds = {item: math.exp(score - scores[target]) for item, score in scores.items() if item not in had}
        whole = sum(odds.values())
        chance = {item: odd / whole for item, odd in odds.items()}
        for part in range(PARTS):
            gradient = features[target][part] - sum(p * features[item][part] for item, p in chance.items())
            for key in ("all", ("age", contexts[0]), ("gap", contexts[1])):
                squares = self.squares.setdefault(key, [0.0] * PARTS)
                squares[part] += gradient**2
                weights = self.value.setdefault(key, [0.0] * PARTS)
                weights[part] += self.p["weight_rate"] * gradient / (squares[part] ** 0.5 + 1)
        likely = self.trend(target, now)
        whole = sum(m * p for m, p in zip(self.share, likely, strict=True))
        step = max(self.p["share_rate"], 1 / (self.learned + 20))
        self.share = [
            m + step * (0.99 * m * p / whole + 0.01 / len(self.share) - m)
            for m, p in zip(self.share, likely, strict=True)
        ]
        error = {item: -p for item, p in chance.items() if p > self.p["correction_least"] and item != target}
        error[target] = 1 - chance[target]
        rate = self.p["correction_rate"] * left
        gain, energy = self.fade(CORRECTION, gap_ms), 0.0
        for k in range(min(len(trace), self.p["correction_length"])):
            at = len(trace) - 1 - k
            for item, amount in error.items():
                self.correction[trace[at][0], item] += rate * gain * amount
            energy += gain**2
            if at:
                between_ms = max(trace[at][1] - trace[at - 1][1], 0)
                gain *= self.p["leak"][CORRECTION] * self.fade(CORRECTION, between_ms)
        for item, amount in error.items():
            own = value[CORRECTION].get(item, 0.0)
            value[CORRECTION][item] = own + rate * energy * amount / self.fade(CORRECTION, gap_ms)
            for name, context in (("age", contexts[0]), ("gap", contexts[1])):
                self.bias[name, context, item] += rate * self.p["bias_share"] * amount

    def _wire(
        self, target: int, trace: Sequence[tuple[int, int]], time_ms: int, left: float, now: int
    ) -> None:
        for kind, name in ((SHORT, "short"), (LONG, "long")):
            for k, (before, then_ms) in enumerate(list(reversed(trace))[: self.p[f"{name}_length"]]):
                gap = max(time_ms - then_ms, 0) / (self.p["gap_scale_s"] * 1000)
                gain = left * self.p[f"{name}_step_decay"] ** k * (1 + gap) ** -self.p[f"{name}_gap_exponent"]
                for pre, post, amount in (
                    (before, target, gain),
                    (target, before, self.p[f"{name}_reverse"] * gain),
                ):
                    self.weights[kind].add((pre, post), amount, now)
                    self.sums[kind].add(pre, amount, now)
