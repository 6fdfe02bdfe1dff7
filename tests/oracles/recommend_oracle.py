"""Lists as the formulas of `similarity`, `rerank` and `running_session` say it, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Known(NamedTuple):
    """What is known of an item: genres, empty where none are; year, 0 where it is not."""

    genres: frozenset[int] = frozenset()
    year: int = 0


def similarity(a: Known, b: Known) -> float:
    parts = []
    if a.genres and b.genres:
        parts.append((3.0, len(a.genres & b.genres) / len(a.genres | b.genres)))
    if a.year and b.year:
        parts.append((1.0, 2.0 ** (-abs(a.year - b.year) / 10)))
    if not parts:
        return 0.5
    return sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)


def relevance(scores: Sequence[float]) -> list[float]:
    return [1 / math.log2(2 + sum(other > score for other in scores)) for score in scores]


def mmr(
    relevances: Sequence[float],
    similarities: Sequence[Sequence[float]],
    genres: Sequence[frozenset[int]],
    k: int,
    diversity: float,
    covering: bool,
) -> list[int]:
    picks: list[int] = []
    while len(picks) < min(k, len(relevances)):
        left = [i for i in range(len(relevances)) if i not in picks]
        have = frozenset().union(*(genres[i] for i in picks))
        if covering and len(picks) >= k / 2:
            left = [i for i in left if genres[i] - have] or left

        def value(i: int) -> float:
            nearest = max((similarities[i][p] for p in picks), default=0.0)
            return (1 - diversity) * relevances[i] - diversity * nearest

        picks.append(max(left, key=value))
    return picks


def session(times_ms: Sequence[int], now_ms: int, pause_ms: int, most: int) -> int:
    """How many of the last items are of the running session."""
    moments = [*times_ms, now_ms]
    count = 0
    while (
        count < min(len(times_ms), most) and moments[len(times_ms) - count] - times_ms[-1 - count] < pause_ms
    ):
        count += 1
    return count
