"""The retina of `wisard`: what is seen of a user and an item before an event, as bits.

A number becomes a thermometer: bit k is on where the number lies above the k-th of its quantiles, which are learned
online. With s the mean distance of the number from its mean, after n events, for the quantile q at share p:

    q += s * max(4 / (n + 10)^0.7, 0.01) * (p - [number <= q])

(Robbins & Monro 1951). The other bits are the item's genres, and whether its language is another than the first that
was met.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.rating_signals import SIGNALS

LEVELS: Final = 16  # of the expected rating
_SEEN: Final = (1, 2, 3, 4, 5, 6, 7, 8, 12)  # signals with a thermometer
_STEPS: Final = 3  # bits of a thermometer
_GENRE_BITS: Final = 20
_FASTEST, _WARM_UP, _FADE, _SLOWEST = 4.0, 10.0, 0.7, 0.01
_EXPECTED: Final = len(SIGNALS)  # column of the expected rating

BITS: Final = (
    *(
        f"{SIGNALS[signal]} above quantile {step + 1}/{_STEPS + 1}"
        for signal in _SEEN
        for step in range(_STEPS)
    ),
    *(f"genre {genre}" for genre in range(_GENRE_BITS)),
    "another language",
)
_COLUMNS = np.array(_SEEN)


class Thermometers(NamedTuple):
    """Learned quantiles.

    events: int64[1]. middle: float64[1 + numbers, 2], mean and mean distance from it, of the expected rating
    and of each number. level: float64[LEVELS - 1], quantiles of the expected rating; quantile: float64[numbers, steps].
    """

    events: NDArray[np.int64]
    middle: NDArray[np.float64]
    level: NDArray[np.float64]
    quantile: NDArray[np.float64]


def no_thermometers() -> Thermometers:
    """Thermometers that have seen nothing."""
    n = len(_SEEN)
    return Thermometers(
        np.zeros(1, np.int64), np.zeros((1 + n, 2)), np.zeros(LEVELS - 1), np.zeros((n, _STEPS))
    )


@numba.njit(cache=True, inline="always")
def see(
    thermometers: Thermometers,
    numbers: NDArray[np.float64],
    genres: np.uint64,
    language: int,
    bits: NDArray[np.int64],
) -> int:
    """Fill bits (int64[len(BITS)], 0 or 1) and return the level of the expected rating, 0 to LEVELS - 1.

    numbers: float64[signals + 2], a row of `RatingSynapses.read`. genres: mask of the catalogue; language: its number.
    Before the first event no bit of a thermometer is on.
    """
    cold = thermometers.events[0] == 0
    level = 0
    for k in range(len(thermometers.level)):
        level += 1 if numbers[_EXPECTED] > thermometers.level[k] and not cold else 0
    at = 0
    for column in range(len(_COLUMNS)):
        number = numbers[_COLUMNS[column]]
        for k in range(_STEPS):
            bits[at] = 1 if number > thermometers.quantile[column, k] and not cold else 0
            at += 1
    for genre in range(_GENRE_BITS):
        bits[at] = np.int64((genres >> np.uint64(genre)) & np.uint64(1))
        at += 1
    bits[at] = 1 if language > 1 else 0
    return level


@numba.njit(cache=True, inline="always")
def _follow(
    middle: NDArray[np.float64], quantile: NDArray[np.float64], number: float, count: int, pace: float
) -> None:
    if count == 0:
        middle[0], middle[1] = number, 0.5
        for k in range(len(quantile)):
            quantile[k] = number
    rate = max(1.0 / (count + 1), 0.0005)
    middle[1] += rate * (abs(number - middle[0]) - middle[1])
    middle[0] += rate * (number - middle[0])
    step = middle[1] * pace
    steps = len(quantile)
    for k in range(steps):
        below = 0.0 if number > quantile[k] else 1.0
        quantile[k] += step * ((k + 1.0) / (steps + 1.0) - below)


@numba.njit(cache=True, inline="always")
def adapt(thermometers: Thermometers, numbers: NDArray[np.float64]) -> None:
    """Move the quantiles towards one event's numbers; see `see`."""
    count = thermometers.events[0]
    pace = max(_FASTEST / (count + _WARM_UP) ** _FADE, _SLOWEST)
    _follow(thermometers.middle[0], thermometers.level, numbers[_EXPECTED], count, pace)
    for column in range(len(_COLUMNS)):
        _follow(
            thermometers.middle[column + 1],
            thermometers.quantile[column],
            numbers[_COLUMNS[column]],
            count,
            pace,
        )
    thermometers.events[0] = count + 1
