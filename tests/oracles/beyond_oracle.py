"""Measures beyond accuracy in plain Python, from their definitions: sets of genres, all pairs, logarithms."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Listed(NamedTuple):
    """An item of a list: its id, how many users had had it (-1: padding), and its genres as a bit mask."""

    item: int
    seen: int
    genres: int


def coverage_by_definition(lists: Sequence[Sequence[Listed]], known: int) -> float | None:
    """Distinct items over items known."""
    distinct = {one.item for row in lists for one in row if one.seen >= 1}
    return len(distinct) / known if distinct else None


def gini_by_definition(lists: Sequence[Sequence[Listed]], known: int) -> float | None:
    """Mean absolute difference of all pairs of frequencies over twice their mean."""
    counts = Counter(one.item for row in lists for one in row if one.seen >= 1)
    if not counts:
        return None
    frequencies = [*counts.values(), *[0] * (known - len(counts))]
    n, mean = len(frequencies), sum(frequencies) / len(frequencies)
    apart = sum(abs(a - b) for a in frequencies for b in frequencies)
    return apart / (2 * n * n * mean)


def novelty_by_definition(lists: Sequence[Sequence[Listed]], learned: Sequence[int]) -> float | None:
    """Mean bits of the items."""
    bits = [
        math.log2(events) - math.log2(one.seen)
        for row, events in zip(lists, learned, strict=True)
        for one in row
        if one.seen >= 1
    ]
    return sum(bits) / len(bits) if bits else None


def genres_of(mask: int) -> set[int]:
    """The genres whose bits are set."""
    return {bit for bit in range(64) if mask >> bit & 1}


def diversity_by_definition(lists: Sequence[Sequence[Listed]]) -> float | None:
    """Mean over lists of the mean Jaccard distance of pairs."""
    of_lists = []
    for row in lists:
        sets = [genres_of(one.genres) for one in row if one.seen >= 0 and one.genres]
        distances = [1 - len(a & b) / len(a | b) for a, b in itertools.combinations(sets, 2)]
        if distances:
            of_lists.append(sum(distances) / len(distances))
    return sum(of_lists) / len(of_lists) if of_lists else None


def serendipity_by_definition(ranks: Sequence[int], popularity: Sequence[int]) -> float | None:
    """Hits at 10 that popularity misses, over ranked events (rank 0 is none, -1 a miss)."""
    ranked = [(ours, theirs) for ours, theirs in zip(ranks, popularity, strict=True) if ours != 0]
    if not ranked:
        return None
    return sum(1 <= ours <= 10 and not 1 <= theirs <= 10 for ours, theirs in ranked) / len(ranked)
