"""Rating prediction in plain Python: errors one event at a time, AUC over all pairs, and the means by their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Rated(NamedTuple):
    """What was given and what had been predicted, NaN for neither."""

    rating: float
    predicted: float


def rating_figures_by_definition(
    events: Sequence[Rated], scale: tuple[float, float], bins: int
) -> dict[str, float] | None:
    """RMSE, MAE, AUC and accuracy; None when nothing was both given and predicted.

    bins: predictions are rounded to so many places of the scale for the AUC, as the tested ones are.
    """
    least, greatest = scale
    like_from = least + 0.75 * (greatest - least)
    said = [
        (event.rating, min(max(event.predicted, least), greatest))
        for event in events
        if not math.isnan(event.rating) and not math.isnan(event.predicted)
    ]
    if not said:
        return None
    errors = [predicted - rating for rating, predicted in said]

    def place(predicted: float) -> int:
        return math.floor((predicted - least) / (greatest - least) * (bins - 1) + 0.5)

    likes = [place(predicted) for rating, predicted in said if rating >= like_from]
    dislikes = [place(predicted) for rating, predicted in said if rating < like_from]
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in likes for b in dislikes)
    right = [(rating >= like_from) == (predicted >= like_from) for rating, predicted in said]
    return {
        "rmse": math.sqrt(sum(error * error for error in errors) / len(errors)),
        "mae": sum(abs(error) for error in errors) / len(errors),
        "auc": won / (len(likes) * len(dislikes)) if likes and dislikes else 0.5,
        "accuracy": sum(right) / len(right),
    }


class RatingMeansOracle:
    """Mean, item offset and user offset from lists of residuals; `middle` before the first rating."""

    def __init__(self, middle: float, shrinkage: float) -> None:
        self.middle = middle
        self.shrinkage = shrinkage
        self.ratings: list[float] = []
        self.of_items: dict[int, list[float]] = {}
        self.of_users: dict[int, list[float]] = {}

    def mean(self) -> float:
        """Mean of all ratings so far."""
        return sum(self.ratings) / len(self.ratings) if self.ratings else self.middle

    def offset(self, residuals: Sequence[float]) -> float:
        """Mean of the residuals and as many zeros as the shrinkage says."""
        return sum(residuals) / (len(residuals) + self.shrinkage)

    def test_then_learn(self, user: int, item: int, rating: float) -> float:
        """Return the prediction, then learn the rating."""
        mean = self.mean()
        of_user, of_item = self.of_users.setdefault(user, []), self.of_items.setdefault(item, [])
        item_offset = self.offset(of_item)
        predicted = mean + self.offset(of_user) + item_offset
        self.ratings.append(rating)
        of_item.append(rating - mean)
        of_user.append(rating - mean - item_offset)
        return predicted
