"""The difference of two models' hits with users as clusters, as plainly as it can be written."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence


def mean_by_user(values: Sequence[float], users: Sequence[int]) -> tuple[float, float]:
    """Return the mean over events, and its standard error that is robust to dependence within users."""
    sums: dict[int, float] = defaultdict(float)
    counts: dict[int, int] = defaultdict(int)
    for value, user in zip(values, users, strict=True):
        sums[user] += value
        counts[user] += 1
    mean = sum(sums.values()) / sum(counts.values())
    spread = sum((sums[user] - mean * counts[user]) ** 2 for user in sums)
    clusters = len(sums)
    return mean, math.sqrt(clusters / (clusters - 1) * spread) / sum(counts.values())
