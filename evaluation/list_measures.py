"""What lists of ten hold: hits of the event's own item, and measures beyond accuracy, over sampled events.

Unlike the ranks of a run, a list may have been put in order anew, so the target's place in it is looked up. The measures
are those of `ranking`, `diversity`, `coverage` and `novelty` at 10, and

    genres@10   mean over lists of how many genres their items have together, the subtopic recall of Zhai, Cohen &
                Lafferty (2003), "Beyond independent relevance", SIGIR, without its division by all genres
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.coverage import Recommended, coverage, gini
from evaluation.diversity import add_diversity
from evaluation.novelty import add_information
from evaluation.ranking import MISS, clip_ranks, count_ranks, empty_histogram, ranking_figures

LENGTH: Final = 10
LIST_MEASURES: Final = (
    "recall@10", "ndcg@10", "mrr@10", "diversity@10", "genres@10", "coverage@10", "gini@10", "novelty@10",
)  # fmt: skip


class Lists(NamedTuple):
    """s lists of one model, best first.

    items: uint64[s, 10], hashes of item ids. item_seen: int32[s, 10], how many users had had the item then, -1 where
    the list is at its end. genres: uint64[s, 10], bit masks, 0 where unknown. target: uint64[s], hash of the event's
    own item; learned: int64[s], events before it.
    """

    items: NDArray[np.uint64]
    item_seen: NDArray[np.int32]
    genres: NDArray[np.uint64]
    target: NDArray[np.uint64]
    learned: NDArray[np.int64]


class PairedDifference(NamedTuple):
    """Hits of a list beside those of another on the same events.

    gained, lost: events that this list alone hit, and that the other alone hit. difference: of Recall@10;
    margin: 1.96 standard errors of it, events being taken as independent.
    """

    gained: int
    lost: int
    difference: float
    margin: float


class ListMeasures:
    """Measures of one way of making lists, over all sampled events and over those of the last 70 %."""

    def __init__(self) -> None:
        self._histogram = empty_histogram(2)
        self._recommended = Recommended()
        self._bits, self._bit_items = np.zeros(2), np.zeros(2, np.int64)
        self._diversity, self._diverse_lists = np.zeros(2), np.zeros(2, np.int64)
        self._genres, self._lists = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self._hits: tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]] = ([], [])

    def update(self, lists: Lists, first_counted: int) -> None:
        """Take s lists; first_counted: index of the first one of the last 70 %."""
        found = (lists.items == lists.target[:, None]) & (lists.item_seen >= 0)
        place = np.where(found.any(axis=1), found.argmax(axis=1) + 1, MISS).astype(np.int32)
        self._recommended.update(lists.items, lists.item_seen, first_counted)
        add_information(lists.item_seen, lists.learned, first_counted, self._bits, self._bit_items)
        add_diversity(lists.genres, lists.item_seen, first_counted, self._diversity, self._diverse_lists)
        together = np.bitwise_or.reduce(np.where(lists.item_seen >= 0, lists.genres, np.uint64(0)), axis=1)
        distinct = np.bitwise_count(together).astype(np.int64)
        for span, first in enumerate((0, first_counted)):
            self._histogram[span] += count_ranks(clip_ranks(place[first:]))
            self._genres[span] += distinct[first:].sum()
            self._lists[span] += len(distinct[first:])
            self._hits[span].append(place[first:] != MISS)

    def figures(self, known_items: int, span: int) -> dict[str, float | None]:
        """Return `LIST_MEASURES` and "lists", how many there were; None where there is nothing to take one of.

        known_items: that were seen in the stream. span: 0 for all, 1 for the last 70 %.
        """
        frequencies = self._recommended.frequencies(span)
        ranking = ranking_figures(self._histogram[span]) or {}

        def mean(total: float, count: int) -> float | None:
            return total / count if count else None

        return {
            "lists": int(self._lists[span]),
            "recall@10": ranking.get("recall@10"),
            "ndcg@10": ranking.get("ndcg@10"),
            "mrr@10": ranking.get("mrr@10"),
            "diversity@10": mean(float(self._diversity[span]), int(self._diverse_lists[span])),
            "genres@10": mean(int(self._genres[span]), int(self._lists[span])),
            "coverage@10": coverage(frequencies, known_items),
            "gini@10": gini(frequencies, known_items),
            "novelty@10": mean(float(self._bits[span]), int(self._bit_items[span])),
        }

    def beside(self, other: ListMeasures, span: int) -> PairedDifference | None:
        """Return how the hits differ from those of `other`, taken of the same events; None without events."""
        ours, theirs = (np.concatenate([*of._hits[span], np.zeros(0, np.bool_)]) for of in (self, other))
        n = len(ours)
        if not n:
            return None
        gained, lost = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
        difference = (gained - lost) / n
        variance = ((gained + lost) / n - difference * difference) / n
        return PairedDifference(gained, lost, difference, 1.96 * math.sqrt(variance))
