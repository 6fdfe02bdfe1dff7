"""A batch model's scores in lists, from the formulas of `eventlog.artefact`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tests.oracles.attention_oracle import attended
from tests.oracles.history_oracle import Event

Vector = list[float]


class Given(NamedTuple):
    """Vectors by item, bias by item, and the encoder's parameters; ridge where they have `regularization`.

    network: of attention, where they have `blocks`.
    """

    item_in: Mapping[int, Vector]
    item_out: Mapping[int, Vector]
    bias: Mapping[int, float]
    parameters: Mapping[str, float]
    network: Sequence[float] = ()


class BatchOracle:
    """adopted: {number of events learned: what is adopted there}."""

    def __init__(self, adopted: Mapping[int, Given]) -> None:
        self.adopted = adopted
        self.events = 0
        self.count: dict[int, int] = {}

    @property
    def given(self) -> Given | None:
        """What is scored with now."""
        at = [events for events in self.adopted if events <= self.events]
        return self.adopted[max(at)] if at else None

    def user(self, given: Given, trace: Sequence[tuple[int, int]], time_ms: int) -> Vector:
        """Make the user's vector of a trace, oldest first."""
        p, d = given.parameters, len(next(iter(given.item_in.values())))
        if "blocks" in p:
            times = [then for _, then in trace]
            between = ((then - before) / 1000 for before, then in itertools.pairwise(times))
            gaps = [None, *between] if times else []
            had_all = [(given.item_in.get(item), gap) for (item, _), gap in zip(trace, gaps, strict=True)]
            return attended(had_all, p, (d - 1) // int(p["parts"]), given.network)
        newest = list(reversed(trace))[: int(p["length"]) or None]
        had = [(k, item, then) for k, (item, then) in enumerate(newest) if item in given.item_in]
        if "regularization" in p:
            if not had:
                return [0.0] * d
            mine = np.array([given.item_in[item] for _, item, _ in had])
            every = np.array(list(given.item_in.values()))
            weight = len(had) + p["unobserved_weight"] * len(every)
            matrix = mine.T @ mine + p["unobserved_weight"] * every.T @ every
            matrix += p["regularization"] * weight ** p["exponent"] * np.eye(d)
            return list(np.linalg.solve(matrix, mine.sum(axis=0)))
        gains = [
            p["step_decay"] ** k
            * (1 + max(time_ms - then, 0) / 1000 / p["gap_scale_s"]) ** -p["gap_exponent"]
            for k, _, then in had
        ]
        total = [
            sum(gain * given.item_in[item][f] for gain, (_, item, _) in zip(gains, had, strict=True))
            for f in range(d)
        ]
        return [value / sum(gains) for value in total] if p["normalize"] and had else total

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        """Score every item that anybody has had."""
        given = self.given
        if given is None:
            return {item: float(count) for item, count in self.count.items()}
        mine = self.user(given, trace, time_ms)
        scores = {
            item: sum(a * b for a, b in zip(mine, given.item_out[item], strict=True)) + given.bias[item]
            for item in self.count
            if item in given.item_out
        }
        lowest = min([0.0, *scores.values()])
        rest = {
            item: lowest - 2 + count / (1 + count) for item, count in self.count.items() if item not in scores
        }
        return scores | rest

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Count the user."""
        self.count[event.item] = self.count.get(event.item, 0) + 1
