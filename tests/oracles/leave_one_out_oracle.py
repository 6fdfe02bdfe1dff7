"""Leave one out as the authors' code has it: a map from items to scores, and a ranked list (He et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def above_target(scores: Mapping[int, float], target: int, candidates: Iterable[int]) -> int:
    """Candidates other than the target with score >= its own; the keys of a map are distinct."""
    of = {item: scores[item] for item in candidates}
    of.pop(target, None)
    return sum(score >= scores[target] for score in of.values())


def hit_and_gain(above: int, cutoff: int = 10) -> tuple[float, float]:
    """The authors' getHitRatio and getNDCG of evaluate.py, for a place in the ranked list."""
    for place in range(cutoff):
        if place == above:
            return 1.0, math.log(2) / math.log(place + 2)
    return 0.0, 0.0
