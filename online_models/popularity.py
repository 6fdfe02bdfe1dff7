"""Popularity: an item's score is the number of users who have had it. The floor that every model must beat.

The rank needs no pass over the catalogue: `at_least[c]`, how many items have a count of c or more, changes in one
place per event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.item_shares import ItemShares, Whole, restore_shared, shared_arrays
from online_models.model import Axes, Model, ModelConfig, Situation


@dataclass(frozen=True)
class PopularityConfig(ModelConfig):
    """Popularity has no parameters."""


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    count: NDArray[np.int64],
    at_least: NDArray[np.int64],
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target = events.item[i]
        own = count[target]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            # The first count that is above the target's, or equal where ties count against it.
            bar = own if ties_against else own + 1
            above = at_least[bar] - (1 if ties_against else 0)
            start = histories.start[events.user[i]]
            for place in range(start, start + events.seen[i]):
                above -= count[histories.items[place]] >= bar
            ranks[i] = above + 1
        count[target] = own + 1
        at_least[own + 1] += 1


class Popularity(Model):
    """Count of users per item, since the beginning, without forgetting."""

    name: ClassVar[str] = "popularity"
    reads_ratings: ClassVar[bool] = False
    axes: ClassVar[Axes] = {"count": ("item",)}
    shares_items: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = PopularityConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._count = np.zeros(256, np.int64)
        self._at_least = np.zeros(256, np.int64)
        self._items = 0
        self._shares: ItemShares | None = None

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        if self._shares is not None:
            self._shares.learn(events, histories)
        self._items = max(self._items, int(events.item.max()) + 1)
        self._count = grown(self._count, self._items)
        # No count can rise by more than the events of this block.
        highest = int(self._count[: self._items].max()) + len(events.user)
        self._at_least = grown(self._at_least, highest + 2)
        _test_then_learn(
            events, histories, self._count, self._at_least, self.situation.ties_against, out.ranks
        )

    def retract(self, user: int, item: int) -> None:
        """See `Model.retract`: the user counts no more."""
        self._at_least[self._count[item]] -= 1
        self._count[item] -= 1
        if self._shares is not None:
            self._shares.take_back(item)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        if self._shares is not None:
            self._shares.keep(items)
        super().keep(users, items, histories)

    def share(self) -> None:
        """See `Model.share`."""
        self._shares = ItemShares(half_life=np.inf)

    @property
    def shares(self) -> ItemShares | None:
        """See `Model.shares`."""
        return self._shares

    def adopt_items(self, items: int, rows: NDArray[np.int32]) -> None:
        """See `Model.adopt_items`."""
        assert self._shares is not None
        self._shares.reserve(items)
        count = np.zeros(items)
        count[: self._items] = self._count[: self._items]
        self._shares.mix(rows, Whole(count, None, 0))
        self._set_count(np.rint(count).astype(np.int64))

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the count, whoever asks."""
        return self._count[: moment.items].astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """count: int64[items]; what is shared, as `ItemShares.arrays` with share_ before the name."""
        return {"count": self._count[: self._items], **shared_arrays(self._shares)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._set_count(arrays["count"])
        restore_shared(self._shares, arrays)

    def _set_count(self, count: NDArray[np.int64]) -> None:
        self._items = len(count)
        self._count = grown(np.zeros(256, np.int64), len(count))
        self._count[: len(count)] = count
        of_count = np.bincount(count[count > 0], minlength=1).astype(np.int64)
        self._at_least = grown(np.zeros(256, np.int64), len(of_count) + 1)
        self._at_least[: len(of_count)] = np.cumsum(of_count[::-1])[::-1]
