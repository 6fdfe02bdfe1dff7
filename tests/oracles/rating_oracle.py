"""Rating prediction in plain Python: errors one event at a time, AUC over all pairs, and the means by their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Rated(NamedTuple):
    """What was given and what had been predicted, NaN for neither."""

    rating: float
    predicted: float


def call_from(scale: tuple[float, float]) -> float:
    """The middle between the least grade that is a like and the grade below it."""
    least, greatest = scale
    step = 1.0 if least == int(least) and greatest == int(greatest) else 0.5
    grades = [least + step * at for at in range(round((greatest - least) / step) + 1)]
    likes = [grade for grade in grades if grade >= least + 0.75 * (greatest - least)]
    return (likes[0] + grades[grades.index(likes[0]) - 1]) / 2


def like_figures_by_definition(
    events: Sequence[Rated], scale: tuple[float, float], said_of: tuple[float, float], cut: float, bins: int
) -> dict[str, float] | None:
    """AUC and accuracy; `Rated.predicted` is in the range `said_of`, and says like from `cut` on."""
    least, greatest = scale
    like_from = least + 0.75 * (greatest - least)
    low, high = said_of
    said = [
        (event.rating >= like_from, min(max(event.predicted, low), high))
        for event in events
        if not math.isnan(event.rating) and not math.isnan(event.predicted)
    ]
    if not said:
        return None

    def place(predicted: float) -> int:
        return math.floor((predicted - low) / (high - low) * (bins - 1) + 0.5)

    likes = [place(predicted) for liked, predicted in said if liked]
    dislikes = [place(predicted) for liked, predicted in said if not liked]
    won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in likes for b in dislikes)
    return {
        "auc": won / (len(likes) * len(dislikes)) if likes and dislikes else 0.5,
        "accuracy": sum(liked == (predicted >= cut) for liked, predicted in said) / len(said),
    }


def rating_figures_by_definition(
    events: Sequence[Rated], scale: tuple[float, float], bins: int
) -> dict[str, float] | None:
    """RMSE, MAE, AUC and accuracy; None when nothing was both given and predicted.

    bins: predictions are rounded to so many places of the scale for the AUC, as the tested ones are.
    """
    least, greatest = scale
    errors = [
        min(max(event.predicted, least), greatest) - event.rating
        for event in events
        if not math.isnan(event.rating) and not math.isnan(event.predicted)
    ]
    likes = like_figures_by_definition(events, scale, scale, call_from(scale), bins)
    return likes and {
        "rmse": math.sqrt(sum(error * error for error in errors) / len(errors)),
        "mae": sum(abs(error) for error in errors) / len(errors),
        **likes,
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
