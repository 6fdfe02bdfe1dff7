"""The content scorer from its formulas, in dicts: features of items, tastes of traces, log-likelihood ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from online_models.catalogue import ItemFacts
from tests.oracles.history_oracle import Event

Features = dict[tuple[str, Any], float]
# Group: how many features it has.
SIZES = {"genre": 64, "year": 28, "language": 32}


def features(facts: ItemFacts | None) -> Features:
    """{(group, feature): x_f}; a year lies between two multiples of five from 1900 to 2035."""
    found: Features = {}
    if facts is None:
        return found
    for genre in facts.genres:
        found["genre", genre] = 1 / len(facts.genres)
    if facts.year:
        year = min(max(facts.year, 1900), 2035)
        lower = min(year - year % 5, 2030)
        found["year", lower] = 1 - (year - lower) / 5
        found["year", lower + 5] = (year - lower) / 5
    if facts.language:
        found["language", facts.language] = 1.0
    return found


class ContentOracle:
    """parameters: those of the model's configuration. facts: {item: what is known of it}."""

    def __init__(self, parameters: Mapping[str, Any], facts: Mapping[int, ItemFacts]) -> None:
        self.p = parameters
        self.facts = facts
        self.base: Features = {}

    def score(self, trace: Sequence[tuple[int, int]], facts: ItemFacts | None, time_ms: int) -> float:
        """Score at `time_ms` of one item, whether or not anybody has had it."""
        taste: Features = {}
        for k, (item, _) in enumerate(reversed(trace[-self.p["trace_length"] :])):
            for f, x in features(self.facts.get(item)).items():
                taste[f] = taste.get(f, 0.0) + self.p["step_decay"] ** k * x
        total = self.of_tags(trace, facts, time_ms)
        for (group, name), x in features(facts).items():
            of_base = sum(value for (other, _), value in self.base.items() if other == group)
            of_taste = sum(value for (other, _), value in taste.items() if other == group)
            usual = (self.base.get((group, name), 0.0) + 1 / SIZES[group]) / (of_base + 1)
            likely = (taste.get((group, name), 0.0) + self.p["prior"] * usual) / (of_taste + self.p["prior"])
            total += self.p[f"{group}_weight"] * x * math.log(likely / usual)
        return total

    def of_tags(self, trace: Sequence[tuple[int, int]], facts: ItemFacts | None, time_ms: int) -> float:
        """What the tags that were given before `time_ms` say of an item."""

        def shares(*of: ItemFacts | None) -> dict[str, float]:
            known = [
                " ".join(text.lower().split())
                for one in of
                for given_ms, text in (one.tags if one else ())
                if given_ms < time_ms
            ]
            return {text: known.count(text) / len(known) for text in known}

        usual, taste = shares(*self.facts.values()), dict[str, float]()
        for k, (item, _) in enumerate(reversed(trace[-self.p["trace_length"] :])):
            for text, share in shares(self.facts.get(item)).items():
                taste[text] = taste.get(text, 0.0) + self.p["step_decay"] ** k * share
        of_taste, prior = sum(taste.values()), self.p["prior"]
        return sum(
            self.p["tag_weight"]
            * share
            * math.log((taste[text] + prior * usual[text]) / (of_taste + prior) / usual[text])
            for text, share in shares(facts).items()
            if text in taste
        )

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        """Score of every item of which something is known."""
        return {item: self.score(trace, facts, time_ms) for item, facts in self.facts.items()}

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Count the item's features."""
        for f, x in features(self.facts.get(event.item)).items():
            self.base[f] = self.base.get(f, 0.0) + x
