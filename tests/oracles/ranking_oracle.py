"""Ranking measures in plain Python, one event at a time, straight from their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_figures(ranks: Sequence[int]) -> dict[str, float] | None:
    """Figures of the events of `ranks` (1 = best, 0 = repeat, -1 = miss); None when nothing was ranked."""
    ranked = [rank for rank in ranks if rank != 0]
    if not ranked:
        return None
    figures = {}
    for cutoff in (5, 10, 20):
        hits = [rank for rank in ranked if 1 <= rank <= cutoff]
        figures[f"recall@{cutoff}"] = len(hits) / len(ranked)
        figures[f"ndcg@{cutoff}"] = sum(math.log(2) / math.log(r + 1) for r in hits) / len(ranked)
        figures[f"precision@{cutoff}"] = sum(1 / cutoff for _ in hits) / len(ranked)
        figures[f"hr@{cutoff}"] = sum(bool(1 <= rank <= cutoff) for rank in ranked) / len(ranked)
        figures[f"mrr@{cutoff}"] = sum(1 / rank for rank in hits) / len(ranked)
    return figures


def window_figures(ranks: Sequence[int], size: int) -> dict[str, float] | None:
    """Figures of the last `size` events."""
    return mean_figures(ranks[-size:])


def faded_recall(ranks: Sequence[int], factor: float, cutoff: int) -> float:
    """Recall@cutoff with a fading factor: S = x + factor S, N = 1 + factor N, over ranked events."""
    total = count = 0.0
    for rank in ranks:
        if rank != 0:
            total = (1.0 if 1 <= rank <= cutoff else 0.0) + factor * total
            count = 1.0 + factor * count
    return total / count
