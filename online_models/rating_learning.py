"""How `rating_synapses` learns: its kernels, event by event. See `rating_synapses` for the rules."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import REPEAT, Histories, Interactions
from online_models.random_scores import splitmix64
from online_models.rating_signals import (
    LIKE_FROM,
    RatingState,
    Rule,
    Scratch,
    expected,
    first_neuron,
    genres_of,
    lowest_bit,
    mean_of,
    product,
    see_item,
    sense,
    share_of,
    to_units,
)


@numba.njit(cache=True, inline="always")
def _learn_readout(state: RatingState, rule: Rule, errors: tuple[float, float], room: Scratch) -> None:
    """Recursive least squares; nothing is forgotten while the gain is at its bound, so that it stays bounded."""
    signals, step, gain = room.signals, room.step, state.gain
    n = len(signals)
    trace = 0.0
    for a in range(n):
        trace += gain[a, a]
        step[a] = 0.0
    keep = rule.forgetting if trace < n * rule.ridge else 1.0
    for b in range(n):
        for a in range(n):
            step[a] += gain[b, a] * signals[b]
    scale = 1.0 / (keep + product(signals, step))
    for a in range(n):
        state.weights[0, a] += errors[0] * step[a] * scale
        state.weights[1, a] += errors[1] * step[a] * scale
    growth = 1.0 / keep
    for a in range(n):
        of_row = step[a] * scale
        for b in range(n):
            gain[a, b] = (gain[a, b] - of_row * step[b]) * growth


@numba.njit(cache=True, inline="always")
def _learn_synapses(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    who: tuple[int, int, int],
    residual: float,
    room: Scratch,
) -> None:
    user, item, seen = who
    place = np.uint64(histories.start[user] + seen)
    row, column = state.synapse[item], np.uint64(state.slot[item])
    push = np.float32(residual)
    length = min(seen, rule.trace_length)
    for k in range(np.uint64(length)):
        row[room.columns[k]] += push * room.past[k]
    for k in range(np.uint64(min(length, rule.reverse_length))):
        place -= np.uint64(1)
        state.synapse[np.uint64(histories.items[place]), column] += push * room.past[k]


@numba.njit(cache=True, inline="always")
def _learn_taste(
    state: RatingState,
    rates: tuple[float, float],
    who: tuple[int, int],
    error: float,
    squares: float,
    room: Scratch,
) -> None:
    taste, neuron = state.taste[who[0]], state.neuron[who[1]]
    of_taste, of_neuron = rates[0] * error / squares, rates[1] * error
    for k in range(len(taste)):
        before = taste[k]
        taste[k] += of_taste * room.neuron[k]
        neuron[k] += of_neuron * before


@numba.njit(cache=True, inline="always")
def _replay(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    user: int,
    seen: int,
    bases: tuple[float, float],
    room: Scratch,
) -> None:
    """Learn taste and neuron once more from one rating of the past; bases: mean, and the user's offset."""
    draw = splitmix64(splitmix64(np.uint64(rule.seed)) ^ np.uint64(state.total[1]))
    place = histories.start[user] + np.int64((draw >> np.uint64(33)) % np.uint64(seen))
    item, rating = int(histories.items[place]), float(histories.ratings[place])
    if np.isnan(rating) or state.items[item, 1] == 0:
        return
    squares = see_item(state, histories, item, room.neuron)
    error = to_units(rating, rule) - bases[0] - state.offset[item] - bases[1]
    error -= product(state.taste[user], room.neuron)
    _learn_taste(state, (rule.replay_rate, rule.replay_rate), (user, item), error, squares, room)


@numba.njit(cache=True, inline="always")
def _learn_sums(
    state: RatingState, rule: Rule, histories: Histories, who: tuple[int, int], rating: float, residual: float
) -> None:
    user, item = who
    mean = mean_of(state)
    mask = genres_of(histories, item)
    while mask > 0:
        genre = lowest_bit(mask)
        mask &= mask - np.uint64(1)
        state.genres[user, genre, 0] = float(state.genres[user, genre, 0]) + residual
        state.genres[user, genre, 1] += 1
        state.crowd[genre, 0] += rating - mean
        state.crowd[genre, 1] += 1.0
    of_user = state.users[user, 0] / (state.users[user, 1] + rule.user_shrinkage)
    like = 1.0 if rating >= LIKE_FROM else 0.0
    state.users[user, 0] += rating - mean - state.offset[item]
    state.users[user, 1] += 1.0
    state.users[user, 2] += (1.0 - rule.session_decay) * (residual - state.users[user, 2])
    state.users[user, 3] += like
    state.items[item, 0] += rating - mean - of_user
    state.items[item, 1] += 1.0
    state.offset[item] = state.items[item, 0] / (state.items[item, 1] + rule.item_shrinkage)
    state.total[0] += rating
    state.total[1] += 1.0
    state.total[2] += like


@numba.njit(cache=True, inline="always")
def _learn(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    who: tuple[int, int, int],
    rating: float,
    squares: float,
    room: Scratch,
) -> None:
    """Learn a rating (in units) for which `sense` has just been called."""
    user, item, seen = who
    mean = mean_of(state)
    if state.items[item, 1] == 0:
        state.slot[item] = state.met[0] % state.synapse.shape[1]
        state.met[0] += 1
        first_neuron(histories, item, state.neuron[item])
    signals = room.signals
    like = 1.0 if rating >= LIKE_FROM else 0.0
    errors = (
        rating - mean - product(state.weights[0], signals),
        like - share_of(state) - product(state.weights[1], signals),
    )
    residual = rating - mean - signals[1] - signals[2]
    _learn_readout(state, rule, errors, room)
    _learn_synapses(state, rule, histories, who, residual, room)
    rates = (rule.taste_rate, rule.neuron_rate)
    _learn_taste(state, rates, (user, item), residual - signals[6], squares, room)
    of_user = signals[2]
    if seen > 0 and rule.replay_rate > 0:
        _replay(state, rule, histories, user, seen, (mean, of_user), room)
    _learn_sums(state, rule, histories, (user, item), rating, residual)


@numba.njit(cache=True)
def sense_then_learn(
    events: Interactions,
    histories: Histories,
    state: RatingState,
    rule: Rule,
    room: Scratch,
    seen_signals: NDArray[np.float64],
) -> None:
    """Read the signals of each rated event, then learn it; repeats are read, not learned.

    seen_signals: float64[n, signals + 2], filled: signals, expected rating in units, linear estimate of a like.
    """
    n = len(room.signals)
    for i in range(len(events.user)):
        rating = events.rating[i]
        if np.isnan(rating):
            continue
        who = (int(events.user[i]), int(events.item[i]), int(events.seen[i]))
        squares = sense(state, rule, histories, who, events.time_ms[i], room)
        seen_signals[i, :n] = room.signals
        seen_signals[i, n], seen_signals[i, n + 1] = expected(state, room.signals)
        if events.flags[i] & REPEAT == 0:
            _learn(state, rule, histories, who, to_units(rating, rule), squares, room)


@numba.njit(cache=True)
def sense_all(
    state: RatingState,
    rule: Rule,
    histories: Histories,
    who: tuple[int, int],
    time_ms: int,
    room: Scratch,
    seen_signals: NDArray[np.float64],
) -> None:
    """Read the signals of a user (who: row and number of items) for each item of seen_signals."""
    n = len(room.signals)
    for item in range(len(seen_signals)):
        sense(state, rule, histories, (who[0], item, who[1]), time_ms, room)
        seen_signals[item, :n] = room.signals
        seen_signals[item, n], seen_signals[item, n + 1] = expected(state, room.signals)
