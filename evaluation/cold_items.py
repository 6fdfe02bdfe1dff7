"""Cold items: how well a model ranks an item that nobody has had yet, among all items of the catalogue.

Protocol P counts an item's first event as a miss for every model, for its candidates are the items seen so far and a
candidate that can only be the target would be a hint. A model that knows items by their content can rank the whole
catalogue, less what the user had: those ranks are kept apart here (Schein et al. 2002, "Methods and metrics for
cold-start recommendations", SIGIR). Measures are those of `evaluation.ranking`, over the first events that the model
said something of; how many those are of all first events is given with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.named_arrays import Arrays
from evaluation.ranking import clip_ranks, count_ranks, empty_histogram, ranking_figures


class ColdRanking:
    """Ranks of first events in one lane, for the models of `models` (kept sorted) that can rank the catalogue.

    histograms: int64[M, 2, 22], models, all and last 70 %; index 0 counts first events of which nothing was said.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self.models = tuple(sorted(set(models)))
        self.histograms = empty_histogram(len(self.models), 2)

    def check(self, ranks: Mapping[str, NDArray[np.int32]], new_item: NDArray[np.bool_]) -> None:
        """Raise `ValueError` for other models than before, a wrong length, or a rank where there is none.

        ranks: {model: int32[n]}, 1 = best, 0 = not said, and 0 for every event that is not an item's first.
        new_item: bool[n].
        """
        if tuple(sorted(ranks)) != self.models:
            raise ValueError(f"cold ranks are of models {sorted(ranks)}, expected {list(self.models)}")
        for model, column in ranks.items():
            if len(column) != len(new_item):
                raise ValueError(f"{model} has {len(column)} cold ranks, expected {len(new_item)}")
            wrong = (column < 0) | ((column != 0) & ~new_item)
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValueError(
                    f"{model} gives cold rank {column[at]} to event {at} of the block (new item: "
                    f"{bool(new_item[at])}), expected 0, or at least 1 for a new item"
                )

    def update(
        self, ranks: Mapping[str, NDArray[np.int32]], new_item: NDArray[np.bool_], first_counted: int
    ) -> None:
        """Take a block, which `check` has passed; first_counted: its first event of the last 70 %."""
        if not self.models:
            return
        at = np.flatnonzero(new_item)
        counted = int(np.searchsorted(at, first_counted))
        for row, model in enumerate(self.models):
            clipped = clip_ranks(ranks[model][at])
            self.histograms[row, 0] += count_ranks(clipped)
            self.histograms[row, 1] += count_ranks(clipped[counted:])

    def arrays(self) -> Arrays:
        """Return the state's arrays by name: the arrays themselves."""
        return {"histograms": self.histograms}


def cold_figures(lanes: Sequence[ColdRanking], span: int, model: str) -> dict[str, Any] | None:
    """Return {"new_items": first events, "said": those ranked, "figures": measures or None}, of lanes together.

    None where no lane has the model. span: 0 for all, 1 for the last 70 %.
    """
    parts = [lane.histograms[lane.models.index(model), span] for lane in lanes if model in lane.models]
    if not parts:
        return None
    total = np.sum(parts, axis=0)
    return {
        "new_items": int(total.sum()),
        "said": int(total[1:].sum()),
        "figures": ranking_figures(total),
    }
