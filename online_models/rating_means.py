"""Rating baselines: the mean of all ratings, and the mean shrunk towards by user and item offsets.

    offset(item) = sum(rating - mean) / (count + item_shrinkage)
    offset(user) = sum(rating - mean - offset(item)) / (count + user_shrinkage)
    rating = mean + offset(user) + offset(item)

with the residuals as they were when each rating came (Koren 2010, "Factor in the neighbors", section 2.1, online).
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
from online_models.model import Model, ModelConfig, Situation


@dataclass(frozen=True)
class RatingMeansConfig(ModelConfig):
    """Shrinkage in ratings: that many imaginary ratings at offset 0."""

    item_shrinkage: float = 5.0
    user_shrinkage: float = 5.0


@numba.njit(cache=True)
def _expect(
    total: NDArray[np.float64],
    user: NDArray[np.float64],
    item: NDArray[np.float64],
    shrinkage: tuple[float, float],
    offsets: bool,
) -> tuple[float, float, float]:
    """Mean, user offset and item offset; each argument: float64[2], sum and count."""
    mean = total[0] / total[1] if total[1] > 0 else np.nan
    if not offsets:
        return mean, 0.0, 0.0
    return mean, user[0] / (user[1] + shrinkage[0]), item[0] / (item[1] + shrinkage[1])


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    sums: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    shrinkage: tuple[float, float],
    offsets: bool,
    ratings: NDArray[np.float64],
) -> None:
    """sums: float64[1, 2], float64[users, 2], float64[items, 2]; sum and count of residuals."""
    total, users, items = sums
    for i in range(len(ratings)):
        rating = events.rating[i]
        if events.flags[i] & REPEAT or np.isnan(rating):
            continue
        user, item = users[events.user[i]], items[events.item[i]]
        mean, of_user, of_item = _expect(total[0], user, item, shrinkage, offsets)
        ratings[i] = mean + of_user + of_item
        total[0, 0] += rating
        total[0, 1] += 1.0
        if np.isnan(mean):
            mean = rating
        item[0] += rating - mean
        item[1] += 1.0
        user[0] += rating - mean - of_item
        user[1] += 1.0


class RatingMeans(Model):
    """Mean, user offset and item offset."""

    name: ClassVar[str] = "rating_means"
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = RatingMeansConfig
    config: RatingMeansConfig
    offsets: ClassVar[bool] = True

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._total = np.zeros((1, 2))
        self._users = np.zeros((0, 2))
        self._items = np.zeros((0, 2))
        self._known = (0, 0)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`; the very first rating is not predicted."""
        if not len(events.user):
            return
        self._reserve(int(events.user.max()) + 1, int(events.item.max()) + 1)
        sums = (self._total, self._users, self._items)
        _test_then_learn(events, sums, self._shrinkage, self.offsets, out.ratings)

    @property
    def _shrinkage(self) -> tuple[float, float]:
        return float(self.config.user_shrinkage), float(self.config.item_shrinkage)

    def _reserve(self, users: int, items: int) -> None:
        self._known = (max(self._known[0], users), max(self._known[1], items))
        self._users = grown(self._users, self._known[0])
        self._items = grown(self._items, self._known[1])

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating."""
        mine = self._users[user] if 0 <= user < self._known[0] else np.zeros(2)
        mean, of_user, _ = _expect(self._total[0], mine, np.zeros(2), self._shrinkage, self.offsets)
        theirs = np.zeros((moment.items, 2))
        theirs[: self._known[1]] = self._items[: moment.items]
        of_items = theirs[:, 0] / (theirs[:, 1] + self.config.item_shrinkage) if self.offsets else 0.0
        expected: NDArray[np.float64] = np.nan_to_num(mean) + of_user + of_items + np.zeros(moment.items)
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


class RatingMean(RatingMeans):
    """The mean of all ratings so far, whoever asks: the floor of rating prediction."""

    name: ClassVar[str] = "rating_mean"
    offsets: ClassVar[bool] = False
