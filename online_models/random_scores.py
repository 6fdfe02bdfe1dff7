"""Scores by chance: a hash of user, item and seed. What a model must be better than to have learned anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NEW_USER,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.model import Model, ModelConfig, Situation
from online_models.ranking import rank_among

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True)
def splitmix64(state: np.uint64) -> np.uint64:
    """Return the SplitMix64 output after `state` (Steele, Lea & Flood 2014)."""
    z = state + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def uniform(seed: int, row: int, column: int) -> float:
    """Draw number (row, column) of a seed, in [0, 1): it depends on nothing else. row may be -1."""
    bits = splitmix64(splitmix64(splitmix64(np.uint64(seed)) ^ np.uint64(row + 1)) ^ np.uint64(column))
    return float((bits >> np.uint64(11)) * 2.0**-53)


@numba.njit(cache=True)
def _score_all(seed: int, user: int, known: int, out: NDArray[np.float64]) -> None:
    for item in range(known):
        out[item] = uniform(seed, user, item)


@numba.njit(cache=True)
def _test(
    events: Interactions,
    histories: Histories,
    seed: int,
    ties_against: bool,
    scores: NDArray[np.float64],
    ranks: NDArray[np.int32],
) -> None:
    """scores: float64[items], scratch."""
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
        elif events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            user = -1 if events.flags[i] & NEW_USER else events.user[i]
            start = histories.start[events.user[i]]
            had = histories.items[start : start + events.seen[i]]
            _score_all(seed, user, events.items[i], scores)
            ranks[i] = rank_among(scores, events.items[i], events.item[i], had, ties_against)


class RandomScores(Model):
    """The chance level: uniform scores in [0, 1), always the same for a user, an item and a seed. Learns nothing."""

    name: ClassVar[str] = "random"
    draws: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._scores = np.zeros(256, np.float64)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        self._scores = grown(self._scores, int(events.items.max()))
        situation = self.situation
        _test(events, histories, situation.seed, situation.ties_against, self._scores, out.ranks)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`; all unknown users have the same scores."""
        out = np.empty(moment.items, np.float64)
        _score_all(self.situation.seed, user, moment.items, out)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing: there is no state."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
