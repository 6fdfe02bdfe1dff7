"""What the model `rating_synapses` knows, and the signals that it reads for one user and one item.

Ratings are in units in which the scale is 4 wide, from 0 (`to_units`). With n(.) counts of ratings, m the mean,
b(i) and b(u) shrunken offsets of item and user, and y_1 (newest) ... y_L the user's last items, rated r(y):

    residual(y) = r(y) - m - b(y) - b(u)
    resonance = sum_k step_decay^(k-1) w(i, y_k) residual(y_k) / (sqrt(n(i)) + synapse_shrinkage)
    preference = mean over i's genres of a shrunken mean of u's residuals in the genre
    session = fading mean of u's residuals / (1 + gap / session_gap)
    taste = <taste(u), neuron(i)>

An item's neuron starts as what is known of it - a constant, year, popularity, offset, genres - and then learns
(Koren, Bell & Volinsky 2009, with a start that is not random).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import Histories

GENRES: Final = 32  # of the catalogue's 64; later ones are rare
NEURON: Final = 4 + GENRES  # constant, year, popularity, offset, genres
SIGNALS: Final = (
    "constant",
    "item offset",
    "user offset",
    "resonance",
    "preference",
    "session",
    "taste",
    "year",
    "popularity",
    "genre offset",
    "item offset x popularity",
    "user offset x experience",
    "like share",
)
LIKE_FROM: Final = 3.0  # three quarters of the scale, in units
_MIDDLE: Final = 2.0
_GENRE_SHRINKAGE_OF_ALL: Final = 20.0
_LIKE_SHRINKAGE: Final = 3.0
# 2^n modulo 37 is another number for each n below 36.
_BIT_OF = np.zeros(37, np.int64)
_BIT_OF[[pow(2, n, 37) for n in range(GENRES)]] = np.arange(GENRES)


class Rule(NamedTuple):
    """`RatingSynapsesConfig` for the kernels; session_gap_ms in milliseconds; least, unit: see `to_units`."""

    item_shrinkage: float
    user_shrinkage: float
    genre_shrinkage: float
    synapse_shrinkage: float
    step_decay: float
    trace_length: int
    reverse_length: int
    session_decay: float
    session_gap_ms: float
    taste_rate: float
    neuron_rate: float
    replay_rate: float
    forgetting: float
    ridge: float
    least: float
    unit: float
    seed: int


class RatingState(NamedTuple):
    """Arrays of `rating_synapses`; ratings in units.

    total: float64[3], sum, count and likes. crowd: float64[GENRES, 2], sum and count of residuals by genre.
    weights: float64[2, signals], of rating and like; gain: float64[signals, signals], inverse covariance of signals.
    met: int64[1], items numbered so far. users: float64[users, 4], sum and count of residuals, session, likes.
    genres: float32[users, GENRES, 2], sum and count of residuals. taste: float64[users, NEURON].
    items: float64[items, 2], sum and count. slot: int32[items], column in others' rows.
    neuron: float64[items, NEURON]. synapse: float32[items, row_synapses]. offset: float64[items], a cache.
    """

    total: NDArray[np.float64]
    crowd: NDArray[np.float64]
    weights: NDArray[np.float64]
    gain: NDArray[np.float64]
    met: NDArray[np.int64]
    users: NDArray[np.float64]
    genres: NDArray[np.float32]
    taste: NDArray[np.float64]
    items: NDArray[np.float64]
    slot: NDArray[np.int32]
    neuron: NDArray[np.float64]
    synapse: NDArray[np.float32]
    offset: NDArray[np.float64]


class Scratch(NamedTuple):
    """Room for one event. signals, step: float64[signals]; neuron: float64[NEURON].

    past: float32[trace_length], residuals with their gains; columns: uint64[trace_length], of the same items
    (unsigned indices need no check for negative ones).
    """

    signals: NDArray[np.float64]
    step: NDArray[np.float64]
    neuron: NDArray[np.float64]
    past: NDArray[np.float32]
    columns: NDArray[np.uint64]


def room_for(trace_length: int) -> Scratch:
    """Make room for one event."""
    n = len(SIGNALS)
    return Scratch(
        np.zeros(n),
        np.zeros(n),
        np.zeros(NEURON),
        np.zeros(trace_length, np.float32),
        np.zeros(trace_length, np.uint64),
    )


@numba.njit(cache=True, inline="always")
def to_units(rating: float, rule: Rule) -> float:
    """Turn a rating of the source's scale into units: 0 to 4."""
    return (rating - rule.least) * rule.unit


@numba.njit(cache=True, inline="always")
def mean_of(state: RatingState) -> float:
    """Mean of all ratings, in units; the middle of the scale before the first."""
    return state.total[0] / state.total[1] if state.total[1] > 0 else _MIDDLE


@numba.njit(cache=True, inline="always")
def share_of(state: RatingState) -> float:
    """Share of likes among all ratings, from one half."""
    return float((state.total[2] + 1.0) / (state.total[1] + 2.0))


@numba.njit(cache=True, inline="always")
def lowest_bit(mask: np.uint64) -> int:
    """Number of the lowest bit that is set in a mask of `GENRES` bits; at least one is."""
    return int(_BIT_OF[(mask & (~mask + np.uint64(1))) % np.uint64(37)])


@numba.njit(cache=True, inline="always")
def genres_of(histories: Histories, item: int) -> np.uint64:
    """Genres of an item as the bits of a mask, those from `GENRES` on left out."""
    mask: np.uint64 = histories.catalogue.genres[histories.catalogue.entry[item]]
    return mask & np.uint64((1 << GENRES) - 1)


@numba.njit(cache=True, inline="always")
def year_of(histories: Histories, item: int) -> float:
    """Return the year of an item in twenties from 1980 on, 0 where it is not known."""
    year = histories.catalogue.year[histories.catalogue.entry[item]]
    return (year - 1980.0) / 20.0 if year > 0 else 0.0


@numba.njit(cache=True, inline="always")
def popularity_of(state: RatingState, item: int) -> float:
    """Logarithm of an item's count, about -1 to 1."""
    return float((np.log1p(state.items[item, 1]) - 4.0) / 5.0)


@numba.njit(cache=True, inline="always")
def see_item(state: RatingState, histories: Histories, item: int, neuron: NDArray[np.float64]) -> float:
    """Fill `neuron` with the item's as it is now, and return the sum of its squares plus 1."""
    if state.items[item, 1] > 0:
        for k in range(len(neuron)):
            neuron[k] = state.neuron[item, k]
    else:
        first_neuron(histories, item, neuron)
    neuron[2] += 2.5 * popularity_of(state, item)
    neuron[3] += 2.0 * state.offset[item]
    squares = 1.0
    for k in range(len(neuron)):
        squares += neuron[k] * neuron[k]
    return squares


@numba.njit(cache=True, inline="always")
def first_neuron(histories: Histories, item: int, neuron: NDArray[np.float64]) -> None:
    """Fill `neuron` with what is known of the item before anybody rated it."""
    for k in range(len(neuron)):
        neuron[k] = 0.0
    neuron[0] = 1.0
    neuron[1] = year_of(histories, item)
    mask = genres_of(histories, item)
    while mask > 0:
        neuron[4 + lowest_bit(mask)] = 1.0
        mask &= mask - np.uint64(1)


@numba.njit(cache=True, inline="always")
def product(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Sum of products, in order."""
    total = 0.0
    for k in range(len(left)):
        total += left[k] * right[k]
    return total


@numba.njit(cache=True, inline="always")
def resonance(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    who: tuple[int, int, int],
    base: float,
    room: Scratch,
) -> float:
    """Sum of the synapses from the trace, and the trace itself into room.past and room.columns.

    who: user, item, and how many items the user has had; base: mean and the user's offset.
    """
    user, item, seen = who
    place = np.uint64(histories.start[user] + seen)
    row = state.synapse[item]
    total, fade = 0.0, 1.0
    for k in range(np.uint64(min(seen, rule.trace_length))):
        place -= np.uint64(1)
        rating = float(histories.ratings[place])
        other = np.uint64(histories.items[place])
        residual = (to_units(rating, rule) - state.offset[other] - base) * fade
        residual = 0.0 if np.isnan(rating) else residual
        column = np.uint64(state.slot[other])
        room.past[k] = residual
        room.columns[k] = column
        total += float(row[column]) * residual
        fade *= rule.step_decay
    return float(total / (np.sqrt(state.items[item, 1]) + rule.synapse_shrinkage))


@numba.njit(cache=True, inline="always")
def sense(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    who: tuple[int, int, int],
    time_ms: int,
    room: Scratch,
) -> float:
    """Fill room.signals for one user and item, and the trace; return the neuron's sum of squares plus 1.

    who: user and item, rows of the state's arrays, and how many items the user has had.
    """
    user, item, seen = who
    signals = room.signals
    of_item = state.offset[item]
    of_user = state.users[user, 0] / (state.users[user, 1] + rule.user_shrinkage)
    popularity = popularity_of(state, item)
    preference, crowd, genres = 0.0, 0.0, 0.0
    mask = genres_of(histories, item)
    while mask > 0:
        genre = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        met = float(state.genres[user, genre, 1]) + rule.genre_shrinkage
        preference += float(state.genres[user, genre, 0]) / met
        crowd += state.crowd[genre, 0] / (state.crowd[genre, 1] + _GENRE_SHRINKAGE_OF_ALL)
        genres += 1.0
    signals[0] = 1.0
    signals[1] = of_item
    signals[2] = of_user
    signals[3] = resonance(state, rule, histories, who, mean_of(state) + of_user, room)
    signals[4] = preference / max(genres, 1.0)
    signals[5] = 0.0
    if seen > 0:
        gap_ms = max(time_ms - histories.times_ms[histories.start[user] + seen - 1], 0)
        signals[5] = state.users[user, 2] / (1.0 + gap_ms / rule.session_gap_ms)
    squares = see_item(state, histories, item, room.neuron)
    signals[6] = product(state.taste[user], room.neuron)
    signals[7] = year_of(histories, item)
    signals[8] = popularity
    signals[9] = crowd / max(genres, 1.0)
    signals[10] = of_item * popularity
    signals[11] = of_user * (np.log1p(state.users[user, 1]) / 5.0 - 0.8)
    share = share_of(state)
    likes = state.users[user, 3] + _LIKE_SHRINKAGE * share
    signals[12] = likes / (state.users[user, 1] + _LIKE_SHRINKAGE) - share
    return squares


@numba.njit(cache=True, inline="always")
def expected(state: RatingState, signals: NDArray[np.float64]) -> tuple[float, float]:
    """Expected rating in units, 0 to 4, and a linear estimate of the probability of a like, 0 to 1."""
    rating = mean_of(state) + product(state.weights[0], signals)
    like = share_of(state) + product(state.weights[1], signals)
    return min(max(rating, 0.0), 4.0), min(max(like, 0.0), 1.0)
