"""Prequential rating prediction (protocol R): RMSE, MAE, and like/dislike AUC and accuracy, for several models.

Predictions are clipped to the scale. A rating is a like from three quarters of the scale up (4 on 1 to 5), and a
prediction from there up predicts one. AUC is the probability that a like is predicted above a dislike, equal
predictions counting half (Mann & Whitney 1947); it is exact and pooled over all users, for predictions rounded to
1/`BINS` of the scale, so that memory is bounded. Sums are taken in the order of events: the state is bit-identical
however the stream is cut into blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

BINS: Final = 1 << 14
LIKE_FROM: Final = 0.75  # of the scale
SPANS: Final = ("all", "last_70")

RatingFigures = dict[str, float]


class Errors(NamedTuple):
    """Of one model, by span (all, last 70 %).

    sums: float64[2, 2], squared and absolute errors. counts: int64[2, 2], events and correct like/dislike calls.
    bins: int64[2, 2, BINS], predictions of dislikes and of likes by place in the scale.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    bins: NDArray[np.int64]


@numba.njit(cache=True)
def _count(
    rating: NDArray[np.float64],
    predicted: NDArray[np.float64],
    scale: tuple[float, float],
    first_counted: int,
    errors: Errors,
) -> None:
    """Count events in order; those before `first_counted` are not of the last 70 %."""
    least, most = scale
    like_from = least + LIKE_FROM * (most - least)
    last_bin = errors.bins.shape[2] - 1
    for i in range(len(rating)):
        if np.isnan(rating[i]) or np.isnan(predicted[i]):
            continue
        said = min(max(predicted[i], least), most)
        error = said - rating[i]
        like = 1 if rating[i] >= like_from else 0
        right = 1 if (said >= like_from) == (like == 1) else 0
        place = int((said - least) / (most - least) * last_bin + 0.5)
        for span in range(2):
            if span == 1 and i < first_counted:
                continue
            errors.sums[span, 0] += error * error
            errors.sums[span, 1] += abs(error)
            errors.counts[span, 0] += 1
            errors.counts[span, 1] += right
            errors.bins[span, like, place] += 1


class PrequentialRating:
    """Errors of one lane's rating predictions, for the models of `models` (kept sorted)."""

    def __init__(self, models: Iterable[str]) -> None:
        self.models = tuple(sorted(set(models)))
        self._errors = {
            name: Errors(
                np.zeros((2, 2), np.float64), np.zeros((2, 2), np.int64), np.zeros((2, 2, BINS), np.int64)
            )
            for name in self.models
        }

    def update(
        self,
        rating: NDArray[np.float64],
        predicted: Mapping[str, NDArray[np.float64]],
        scale: tuple[float, float],
        first_counted: int | None,
    ) -> None:
        """Take a block.

        rating: float64[n], NaN without one. predicted: {model: float64[n]}, NaN where nothing was said.
        first_counted: first event of the block that is of the last 70 %, n for none, None where that is unknown.
        Raises `ValueError`, and then changes nothing, for other models than before, a column of another length, or
        an empty scale.
        """
        if tuple(sorted(predicted)) != self.models:
            raise ValueError(f"models are {sorted(predicted)}, expected {list(self.models)}")
        if not scale[0] < scale[1]:
            raise ValueError(f"scale is {scale}, expected the least rating below the greatest")
        for name, ratings in predicted.items():
            if len(ratings) != len(rating):
                raise ValueError(f"{name} has {len(ratings)} predicted ratings, expected {len(rating)}")
        first = len(rating) if first_counted is None else first_counted
        for name, ratings in predicted.items():
            _count(rating, ratings, (float(scale[0]), float(scale[1])), first, self._errors[name])

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
    def restore(cls, models: Iterable[str], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Become what `arrays` describes."""
        state = cls(models)
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

    auc is .5 where there are no likes or no dislikes.
    """
    row = SPANS.index(span)
    events, correct = np.sum([part.counts[row] for part in parts], axis=0).tolist()
    if not events:
        return None
    squared, absolute = np.sum([part.sums[row] for part in parts], axis=0).tolist()
    dislikes, likes = np.sum([part.bins[row] for part in parts], axis=0)
    return {
        "rmse": (squared / events) ** 0.5,
        "mae": absolute / events,
        "auc": _auc(dislikes, likes),
        "accuracy": correct / events,
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
