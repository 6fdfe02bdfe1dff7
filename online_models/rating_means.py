"""Rating baselines: the mean of all ratings, and the mean plus shrunken offsets of user and item.

    offset(item) = sum(rating - mean) / (count + item_shrinkage)
    offset(user) = sum(rating - mean - offset(item)) / (count + user_shrinkage)
    rating = mean + offset(user) + offset(item)

with the residuals as they were when each rating came (Koren 2010, "Factor in the neighbors", section 2.1, online).
Before the first rating the mean is the middle of the scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import REPEAT, Histories, Interactions, Moment, Predictions
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range


@dataclass(frozen=True)
class RatingMeansConfig(ModelConfig):
    """Shrinkage in ratings: that many imaginary ratings at offset 0."""

    item_shrinkage: float = 5.0
    user_shrinkage: float = 5.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a shrinkage that is not positive."""
        check_range(self, "item_shrinkage", "user_shrinkage", above=0)


@dataclass(frozen=True)
class RatingMeanConfig(ModelConfig):
    """No parameters."""


@numba.njit(cache=True)
def _mean(total: NDArray[np.float64], middle: float) -> float:
    """Mean of total float64[1, 2], sum and count; `middle` before the first rating."""
    return total[0, 0] / total[0, 1] if total[0, 1] > 0 else middle


@numba.njit(cache=True)
def _offset(residuals: NDArray[np.float64], row: int, shrinkage: float) -> float:
    """Shrunken offset of one user or item; residuals: float64[rows, 2], sums and counts."""
    return float(residuals[row, 0] / (residuals[row, 1] + shrinkage))


@numba.njit(cache=True)
def _means_test_then_learn(
    events: Interactions,
    sums: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    shrinkage: tuple[float, float],
    middle: float,
    ratings: NDArray[np.float64],
) -> None:
    """sums: float64[1, 2], float64[users, 2], float64[items, 2]; sum and count of residuals."""
    total, users, items = sums
    for i in range(len(ratings)):
        rating = events.rating[i]
        if events.flags[i] & REPEAT or np.isnan(rating):
            continue
        user, item = events.user[i], events.item[i]
        mean = _mean(total, middle)
        of_item = _offset(items, item, shrinkage[1])
        ratings[i] = mean + _offset(users, user, shrinkage[0]) + of_item
        total[0, 0] += rating
        total[0, 1] += 1.0
        items[item, 0] += rating - mean
        items[item, 1] += 1.0
        users[user, 0] += rating - mean - of_item
        users[user, 1] += 1.0


@numba.njit(cache=True)
def _mean_test_then_learn(
    events: Interactions, total: NDArray[np.float64], middle: float, ratings: NDArray[np.float64]
) -> None:
    for i in range(len(ratings)):
        rating = events.rating[i]
        if events.flags[i] & REPEAT or np.isnan(rating):
            continue
        ratings[i] = _mean(total, middle)
        total[0, 0] += rating
        total[0, 1] += 1.0


class RatingMean(Model):
    """The mean of all ratings so far, whoever asks: the floor of rating prediction."""

    name: ClassVar[str] = "rating_mean"
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = RatingMeanConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._middle = sum(self.situation.scale) / 2
        self._total = np.zeros((1, 2))

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        _mean_test_then_learn(events, self._total, self._middle, out.ratings)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating."""
        return np.full(moment.items, _mean(self._total, self._middle))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Total float64[1, 2]: sum and count."""
        return {"total": self._total}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._total = arrays["total"].copy()


class RatingMeans(Model):
    """Mean, user offset and item offset."""

    name: ClassVar[str] = "rating_means"
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    axes: ClassVar[Axes] = {"users": ("user", None), "items": ("item", None)}
    config_type: ClassVar[type[ModelConfig]] = RatingMeansConfig
    config: RatingMeansConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._middle = sum(self.situation.scale) / 2
        self._shrinkage = float(self.config.user_shrinkage), float(self.config.item_shrinkage)
        self._total = np.zeros((1, 2))
        self._users = np.zeros((0, 2))
        self._items = np.zeros((0, 2))
        self._known = (0, 0)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        users, items = int(events.user.max()) + 1, int(events.item.max()) + 1
        self._known = (max(self._known[0], users), max(self._known[1], items))
        self._users = grown(self._users, self._known[0])
        self._items = grown(self._items, self._known[1])
        sums = (self._total, self._users, self._items)
        _means_test_then_learn(events, sums, self._shrinkage, self._middle, out.ratings)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating."""
        of_user = _offset(self._users, user, self._shrinkage[0]) if 0 <= user < self._known[0] else 0.0
        items = grown(self._items, moment.items)[: moment.items]
        of_items = items[:, 0] / (items[:, 1] + self._shrinkage[1])
        expected: NDArray[np.float64] = _mean(self._total, self._middle) + of_user + of_items
        return expected

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Total float64[1, 2], users float64[users, 2], items float64[items, 2]: sums and counts of residuals."""
        users, items = self._known
        return {"total": self._total, "users": self._users[:users], "items": self._items[:items]}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._total = arrays["total"].copy()
        self._users, self._items = arrays["users"].copy(), arrays["items"].copy()
        self._known = (len(self._users), len(self._items))
