"""Decayed popularity: score(item, now) = sum over its events of 2^(-(now - tick) / half_life).

All scores fade at the same pace, so their order changes only where an event falls. They are kept on a forward
scale, score * 2^((now - base) / half_life): an event adds 2^((tick - base) / half_life), which gives a late event
the weight that it has left. Before that number could overflow, everything is rebased; where, depends on ticks alone. Ticks are those of
the clock of memory, which runs faster for a while after a drift (`ageing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ageing import AdaptiveDecayConfig, Ageing
from online_models.drift import Drift
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
from online_models.ranking import rank_among

_REBASE_AFTER = 256.0  # half-lives; float64 overflows at 1,024


@dataclass(frozen=True)
class DecayedPopularityConfig(AdaptiveDecayConfig):
    """See `AdaptiveDecayConfig`; 2,000 events is what the literature's streams like best.

    So short a half-life forgets soon enough: adaptation gained nothing on any stream, and is off.
    """

    half_life_events: float = 2_000.0
    drift_pace: int = 1


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    weight: NDArray[np.float64],
    base: NDArray[np.int64],
    half_life: float,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """weight: float64[items] on the forward scale from base[0]; half_life in ticks."""
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target, known = events.item[i], events.items[i]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            start = histories.start[events.user[i]]
            had = histories.items[start : start + events.seen[i]]
            ranks[i] = rank_among(weight, known, target, had, ties_against)
        if (events.now[i] - base[0]) / half_life > _REBASE_AFTER:
            weight[:known] *= np.exp2(-((events.now[i] - base[0]) / half_life))
            base[0] = events.now[i]
        weight[target] += np.exp2((events.tick[i] - base[0]) / half_life)


class DecayedPopularity(Model):
    """Popularity that forgets: what is trending now."""

    name: ClassVar[str] = "decayed_popularity"
    reads_ratings: ClassVar[bool] = False
    axes: ClassVar[Axes] = {"weight": ("item",)}
    shares_items: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = DecayedPopularityConfig
    config: DecayedPopularityConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._weight = np.zeros(256, np.float64)
        self._base = np.zeros(1, np.int64)
        self._ageing = Ageing(self.config, self.situation.clock)
        self._items = 0
        self._shares: ItemShares | None = None

    @property
    def _half_life(self) -> float:
        return self.config.half_life_ticks(self.situation.clock)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        events = self._ageing.age(events)
        if self._shares is not None:
            self._shares.learn(events, histories)
        if not self._items:
            self._base[0] = events.now[0]
        self._items = max(self._items, int(events.item.max()) + 1)
        self._weight = grown(self._weight, self._items)
        _test_then_learn(
            events,
            histories,
            self._weight,
            self._base,
            self._half_life,
            self.situation.ties_against,
            out.ranks,
        )

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the decayed count at `moment`, whoever asks."""
        elapsed = (self._ageing.at(moment.now) - int(self._base[0])) / self._half_life
        faded: NDArray[np.float64] = self._weight[: moment.items] * 2.0**-elapsed
        return faded

    def adapt(self, drift: Drift) -> None:
        """See `Model.adapt` and `Ageing.adapt`."""
        self._ageing.adapt(drift)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        if self._shares is not None:
            self._shares.keep(items)
        super().keep(users, items, histories)

    def share(self) -> None:
        """See `Model.share`."""
        self._shares = ItemShares(self._half_life)

    @property
    def shares(self) -> ItemShares | None:
        """See `Model.shares`."""
        return self._shares

    def clock_ahead(self, now: int) -> int:
        """See `Model.clock_ahead`."""
        return self._ageing.at(now) - now

    def adopt_items(self, items: int, rows: NDArray[np.int32]) -> None:
        """See `Model.adopt_items`."""
        assert self._shares is not None
        self._shares.reserve(items)
        if not self._items:
            self._base[0] = self._shares.newest_base(rows)
        self._items = items
        self._weight = grown(self._weight, items)
        self._shares.mix(rows, Whole(self._weight, None, int(self._base[0])))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """weight: float64[items] on the forward scale; base: int64[1], its tick; ageing: see `Ageing`.

        What is shared, as `ItemShares.arrays` with share_ before the name.
        """
        return {
            "weight": self._weight[: self._items],
            "base": self._base,
            "ageing": self._ageing.state,
            **shared_arrays(self._shares),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._items = len(arrays["weight"])
        self._weight = grown(np.zeros(256, np.float64), self._items)
        self._weight[: self._items] = arrays["weight"]
        self._base = arrays["base"].copy()
        self._ageing.state[:] = arrays["ageing"]
        restore_shared(self._shares, arrays)
