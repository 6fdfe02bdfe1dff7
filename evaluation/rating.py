"""Prequential rating prediction (protocol R): RMSE, MAE, and like/dislike AUC and accuracy, for several models.

Predictions are clipped to the scale. A rating is a like from three quarters of the scale up (4 on 1 to 5). A predicted
rating says like from half a grade below the least grade that is one (3.5 on 1 to 5, 3.75 on 0.5 to 5): predictions are
means, and a mean above the midpoint of the grades on both sides of the boundary lies nearer to the like. A model may
state a probability of like instead, which says like from 1/2 up; then AUC and accuracy are of that alone.

AUC is the probability that a like is predicted above a dislike, equal predictions counting half (Mann & Whitney 1947);
it is exact and pooled over all users, for predictions rounded to 1/`BINS` of their range, so that memory is bounded.
Sums are taken in the order of events: the state is bit-identical however the stream is cut into blocks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

BINS: Final = 1 << 14
LIKE_FROM: Final = 0.75  # of the scale
SPANS: Final = ("all", "last_70")

RatingFigures = dict[str, float | None]


def like_cut(scale: tuple[float, float]) -> float:
    """Return the predicted rating from which on a like is predicted: half a grade below the least grade that is one.

    Grades are whole numbers up from the least, or halves where an end of the scale is no whole number.
    """
    least, most = scale
    grade = 1.0 if float(least).is_integer() and float(most).is_integer() else 0.5
    return least + (math.ceil(LIKE_FROM * (most - least) / grade - 1e-9) - 0.5) * grade


class Errors(NamedTuple):
    """Of one model, by span (all, last 70 %).

    sums: float64[2, 2], squared and absolute errors. counts: int64[2, 3], predicted ratings, like/dislike calls, and
    correct ones of these. bins: int64[2, 2, BINS], calls of dislikes and of likes by place in their range.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    bins: NDArray[np.int64]


@numba.njit(cache=True)
def _count_errors(
    rating: NDArray[np.float64],
    predicted: NDArray[np.float64],
    scale: tuple[float, float],
    first_counted: int,
    errors: Errors,
) -> None:
    """Add up errors in order; events before `first_counted` are not of the last 70 %."""
    least, most = scale
    for i in range(len(rating)):
        if np.isnan(rating[i]) or np.isnan(predicted[i]):
            continue
        error = min(max(predicted[i], least), most) - rating[i]
        for span in range(2 if i >= first_counted else 1):
            errors.sums[span, 0] += error * error
            errors.sums[span, 1] += abs(error)
            errors.counts[span, 0] += 1


@numba.njit(cache=True)
def _count_calls(
    rating: NDArray[np.float64],
    said: NDArray[np.float64],
    like_from: float,
    scale: tuple[float, float, float],
    first_counted: int,
    errors: Errors,
) -> None:
    """Count calls. scale: least and greatest value of `said`, and the one from which on it says like."""
    least, most, cut = scale
    last_bin = errors.bins.shape[2] - 1
    for i in range(len(rating)):
        if np.isnan(rating[i]) or np.isnan(said[i]):
            continue
        call = min(max(said[i], least), most)
        like = 1 if rating[i] >= like_from else 0
        right = 1 if (call >= cut) == (like == 1) else 0
        place = int((call - least) / (most - least) * last_bin + 0.5)
        for span in range(2 if i >= first_counted else 1):
            errors.counts[span, 1] += 1
            errors.counts[span, 2] += right
            errors.bins[span, like, place] += 1


class PrequentialRating:
    """Errors of one lane's predictions, for the models of `rating` and of `liking` (both kept sorted).

    rating: those that predict ratings; liking: those that state a probability of like. models: all of them.
    """

    def __init__(self, rating: Iterable[str], liking: Iterable[str] = ()) -> None:
        self.rating = tuple(sorted(set(rating)))
        self.liking = tuple(sorted(set(liking)))
        self.models = tuple(sorted({*self.rating, *self.liking}))
        self._errors = {
            name: Errors(
                np.zeros((2, 2), np.float64), np.zeros((2, 3), np.int64), np.zeros((2, 2, BINS), np.int64)
            )
            for name in self.models
        }

    def update(
        self,
        rating: NDArray[np.float64],
        predicted: Mapping[str, NDArray[np.float64]],
        scale: tuple[float, float],
        first_counted: int | None,
        liked: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Take a block.

        rating: float64[n], NaN without one. predicted: {model: float64[n]}, NaN where nothing was said.
        first_counted: first event of the block that is of the last 70 %, n for none, None where that is unknown.
        liked: {model: float64[n]}, probability of like in [0, 1], NaN where nothing was said.
        Raises `ValueError`, and then changes nothing, for other models than before, a column of another length, or
        an empty scale.
        """
        liked = liked or {}
        for said, before in ((predicted, self.rating), (liked, self.liking)):
            if tuple(sorted(said)) != before:
                raise ValueError(f"models are {sorted(said)}, expected {list(before)}")
        if not scale[0] < scale[1]:
            raise ValueError(f"scale is {scale}, expected the least rating below the greatest")
        for said, what in ((predicted, "predicted ratings"), (liked, "probabilities of like")):
            for name, column in said.items():
                if len(column) != len(rating):
                    raise ValueError(f"{name} has {len(column)} {what}, expected {len(rating)}")
        first = len(rating) if first_counted is None else first_counted
        least, most = float(scale[0]), float(scale[1])
        like_from, cut = least + LIKE_FROM * (most - least), like_cut((least, most))
        for name, column in predicted.items():
            _count_errors(rating, column, (least, most), first, self._errors[name])
            if name not in liked:
                _count_calls(rating, column, like_from, (least, most, cut), first, self._errors[name])
        for name, column in liked.items():
            _count_calls(rating, column, like_from, (0.0, 1.0, 0.5), first, self._errors[name])

    def errors(self, model: str) -> Errors:
        """Return the state of one model."""
        return self._errors[model]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays: <model>.sums, <model>.counts, <model>.bins."""
        return {
            f"{name}.{field}": array
            for name, errors in self._errors.items()
            for field, array in errors._asdict().items()
        }

    @classmethod
    def restore(
        cls, rating: Iterable[str], arrays: Mapping[str, NDArray[Any]], liking: Iterable[str] = ()
    ) -> Self:
        """Become what `arrays` describes, of the same models."""
        state = cls(rating, liking)
        for name, errors in state._errors.items():
            for field, array in errors._asdict().items():
                array[:] = arrays[f"{name}.{field}"]
        return state

    def digest(self) -> str:
        """Sha256 of the state."""
        total = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            total.update(name.encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


def rating_figures(parts: Sequence[Errors], span: str) -> RatingFigures | None:
    """Return {rmse, mae, auc, accuracy} of one model over lanes; None when nothing was predicted.

    rmse and mae are None of a model that predicts no ratings. auc is .5 where there are no likes or no dislikes.
    """
    row = SPANS.index(span)
    events, calls, correct = np.sum([part.counts[row] for part in parts], axis=0).tolist()
    if not events and not calls:
        return None
    squared, absolute = np.sum([part.sums[row] for part in parts], axis=0).tolist()
    dislikes, likes = np.sum([part.bins[row] for part in parts], axis=0)
    return {
        "rmse": (squared / events) ** 0.5 if events else None,
        "mae": absolute / events if events else None,
        "auc": _auc(dislikes, likes) if calls else None,
        "accuracy": correct / calls if calls else None,
    }


def _auc(dislikes: NDArray[np.int64], likes: NDArray[np.int64]) -> float:
    """Probability that a like lies above a dislike, ties half; in integers until the last division."""
    pairs = int(dislikes.sum()) * int(likes.sum())
    if not pairs:
        return 0.5
    below = np.cumsum(dislikes) - dislikes
    twice = int((likes * (2 * below + dislikes)).sum())
    return twice / (2 * pairs)


def rating_figures_of(lanes: Sequence[PrequentialRating]) -> dict[str, dict[str, RatingFigures | None]]:
    """Return {model: {all, last_70: figures}}; the last 70 % of several lanes have no common order: None."""
    return {
        model: {
            span: rating_figures([lane.errors(model) for lane in lanes], span)
            if span == "all" or len(lanes) == 1
            else None
            for span in SPANS
        }
        for model in lanes[0].models
    }
