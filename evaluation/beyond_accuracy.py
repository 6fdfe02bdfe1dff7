"""Beyond accuracy: coverage, Gini index, novelty and diversity of sampled top lists, and serendipity, by model.

Each measure has a file of its own, with its formula and source. Sums are taken in the order of events, and the rest is
integers: the state is bit-identical however the stream is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.coverage import Recommended, coverage, gini
from evaluation.diversity import add_diversity
from evaluation.named_arrays import Arrays, refill, under
from evaluation.novelty import add_information
from evaluation.serendipity import PRIMITIVE, count_unexpected
from evaluation.top_lists import TopLists

BEYOND_MEASURES = ("coverage@20", "gini@20", "novelty@20", "diversity@20", "serendipity@10")

BeyondFigures = dict[str, float | int | None]


class BeyondAccuracy:
    """State of one lane, for M ranking models (sorted, as in `PrequentialRanking`)."""

    def __init__(self, models: Sequence[str]) -> None:
        self.models = tuple(models)
        count = len(self.models)
        self._recommended = [Recommended() for _ in self.models]
        # By model, over all and the last 70 %.
        self._lists = np.zeros((count, 2), np.int64)
        self._bits = np.zeros((count, 2), np.float64)
        self._bit_items = np.zeros((count, 2), np.int64)
        self._diversity = np.zeros((count, 2), np.float64)
        self._diverse_lists = np.zeros((count, 2), np.int64)
        self._unexpected = np.zeros((count, 2), np.int64)
        self._ranked = np.zeros(2, np.int64)

    def check(self, top: TopLists | None) -> None:
        """Raise `ValueError` for lists of a model that does not rank."""
        unknown = sorted(set(top.models) - set(self.models)) if top is not None else []
        if unknown:
            raise ValueError(f"top lists are of models {unknown}, expected some of {list(self.models)}")

    def update(
        self, clipped: NDArray[np.uint8], top: TopLists | None, learned_before: int, first_counted: int
    ) -> None:
        """Take a block of n events, before whose first the lane's state had learned `learned_before`.

        clipped: uint8[M, n], histogram indices. top: its sampled lists, None without. first_counted: its first event
        of the last 70 %.
        """
        if PRIMITIVE in self.models:
            row = self.models.index(PRIMITIVE)
            count_unexpected(clipped, row, first_counted, self._unexpected, self._ranked)
        if top is None or not len(top.at):
            return
        learned = learned_before + top.at.astype(np.int64)
        counted = int(np.searchsorted(top.at, first_counted))
        for row, model in enumerate(self.models):
            if (lists := top.models.get(model)) is None:
                continue
            self._recommended[row].update(lists.items, lists.item_seen, counted)
            add_information(lists.item_seen, learned, counted, self._bits[row], self._bit_items[row])
            add_diversity(
                lists.genres, lists.item_seen, counted, self._diversity[row], self._diverse_lists[row]
            )
            given = lists.item_seen[:, 0] >= 0
            self._lists[row] += (np.count_nonzero(given), np.count_nonzero(given[counted:]))

    def arrays(self) -> Arrays:
        """Return the state's arrays by name."""
        tables = {
            f"recommended.{row}.{name}": array
            for row, table in enumerate(self._recommended)
            for name, array in table.arrays().items()
        }
        return self._sums() | tables

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays()` gave. Raises `ValueError` if they do not fit."""
        refill(self._sums(), arrays)
        for row, table in enumerate(self._recommended):
            table.restore(under(f"recommended.{row}.", arrays))

    def _sums(self) -> Arrays:
        return {
            "lists": self._lists,
            "bits": self._bits,
            "bit_items": self._bit_items,
            "diversity": self._diversity,
            "diverse_lists": self._diverse_lists,
            "unexpected": self._unexpected,
            "ranked": self._ranked,
        }

    @staticmethod
    def figures(
        lanes: Sequence[BeyondAccuracy], known_items: Sequence[int], span: int, row: int
    ) -> BeyondFigures:
        """Return `BEYOND_MEASURES` and "lists", how many were sampled, of one model over lanes together.

        known_items: that the lanes have seen. span: 0 for all, 1 for the last 70 %. row: of the model. A measure is
        None where there is nothing to take it of; coverage and Gini index also where there are several lanes, as
        nobody knows which of their items are the same.
        """

        def total(name: str) -> Any:
            return sum(lane._sums()[name][row, span].item() for lane in lanes)

        def mean(summed: str, counted: str) -> float | None:
            return total(summed) / total(counted) if total(counted) else None

        frequencies = (
            lanes[0]._recommended[row].frequencies(span) if len(lanes) == 1 else np.zeros(0, np.int64)
        )
        ranked = sum(int(lane._ranked[span]) for lane in lanes)
        return {
            "lists": total("lists"),
            "coverage@20": coverage(frequencies, known_items[0]),
            "gini@20": gini(frequencies, known_items[0]),
            "novelty@20": mean("bits", "bit_items"),
            "diversity@20": mean("diversity", "diverse_lists"),
            "serendipity@10": total("unexpected") / ranked if ranked else None,
        }
