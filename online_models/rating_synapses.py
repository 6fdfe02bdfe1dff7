"""Ratings from Hebbian co-rating synapses, delta-rule tastes and offsets, put together by recursive least squares.

The signals are those of `rating_signals`. An event of user u and item i rated r teaches, in this order:

- the readout: recursive least squares with forgetting (Haykin, "Adaptive Filter Theory", 1996, chapter 13) for the
  rating and, with the same gain, for the like (from three quarters of the scale up);
- the synapses, Hebbian in residuals: who rates i and y alike wires them together, w(i, y_k) += residual(i) *
  residual(y_k) for the trace, and w(y_k, i) for its newest `reverse_length` items;
- taste and neuron by the delta rule (Widrow & Hoff 1960): with e = residual(i) - <taste, neuron>,
  taste += taste_rate * e * neuron / (1 + |neuron|^2), neuron += neuron_rate * e * taste; and once more at
  `replay_rate` (of both) for one item of the user's past, drawn at random from the run's seed;
- sums and counts behind the offsets.

A row of synapses has `row_synapses` columns, whatever the number of items: items are numbered in order of their first
rating, and item number n has column n modulo row_synapses. Products of unrelated residuals average out to nothing, as
in feature hashing (Weinberger et al. 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import REPEAT, Histories, Interactions, Moment, Predictions
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.random_scores import splitmix64
from online_models.rating_signals import (
    GENRES,
    LIKE_FROM,
    NEURON,
    SIGNALS,
    RatingState,
    Rule,
    Scratch,
    expected,
    first_neuron,
    genres_of,
    lowest_bit,
    mean_of,
    product,
    room_for,
    see_item,
    sense,
    share_of,
    to_units,
)

# Where the readout starts: about where it is after the first 30 % of MovieLens 100K.
_FIRST_WEIGHTS: Final = (0.0, 0.8, 0.8, 1.0, 0.3, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_LIKES_PER_RATING: Final = 0.35
_POSITIVE: Final = (
    "item_shrinkage",
    "user_shrinkage",
    "genre_shrinkage",
    "synapse_shrinkage",
    "session_gap_s",
    "ridge",
)
_SHARES: Final = ("step_decay", "session_decay", "taste_rate", "neuron_rate", "replay_rate", "forgetting")


@dataclass(frozen=True)
class RatingSynapsesConfig(ModelConfig):
    """See the module for the formulas.

    Shrinkages in ratings. trace_length, reverse_length: items. row_synapses: a power of two. session_gap_s in seconds
    of event time. forgetting: per rating. ridge: the readout's first gain, and its bound.
    """

    item_shrinkage: float = 3.0
    user_shrinkage: float = 8.0
    genre_shrinkage: float = 8.0
    synapse_shrinkage: float = 200.0
    step_decay: float = 0.99
    trace_length: int = 128
    reverse_length: int = 32
    row_synapses: int = 1024
    session_decay: float = 0.7
    session_gap_s: float = 20.0
    taste_rate: float = 0.2
    neuron_rate: float = 0.3
    replay_rate: float = 0.05
    forgetting: float = 0.9999
    ridge: float = 0.1

    def __post_init__(self) -> None:
        """Raise `ValueError` for a value that is out of its range."""
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected more than 0")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected 0 to 1")
        if not self.forgetting > 0:
            raise ValueError(f"forgetting is {self.forgetting!r}, expected more than 0")
        for name in ("trace_length", "reverse_length"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected 0 or more")
        if self.row_synapses < 1 or self.row_synapses & (self.row_synapses - 1):
            raise ValueError(f"row_synapses is {self.row_synapses!r}, expected a power of two")


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
    state: RatingState, rule: Rule, histories: Histories, who: tuple[int, int, int], residual: float, room: Scratch
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
    state: RatingState, rates: tuple[float, float], who: tuple[int, int], error: float, squares: float, room: Scratch
) -> None:
    taste, neuron = state.taste[who[0]], state.neuron[who[1]]
    of_taste, of_neuron = rates[0] * error / squares, rates[1] * error
    for k in range(len(taste)):
        before = taste[k]
        taste[k] += of_taste * room.neuron[k]
        neuron[k] += of_neuron * before


@numba.njit(cache=True, inline="always")
def _replay(
    state: RatingState, rule: Rule, histories: Histories, user: int, seen: int, bases: tuple[float, float], room: Scratch
) -> None:
    """Learn taste and neuron once more from one rating of the past; bases: mean, and the user's offset."""
    draw = splitmix64(splitmix64(np.uint64(rule.seed)) ^ np.uint64(state.total[1]))
    place = histories.start[user] + np.int64((draw >> np.uint64(33)) % np.uint64(seen))
    item, rating = histories.items[place], histories.ratings[place]
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
        state.genres[user, genre, 0] += residual
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
        who = (np.int64(events.user[i]), np.int64(events.item[i]), np.int64(events.seen[i]))
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


class RatingSynapses(Model):
    """Hebbian co-rating synapses, tastes and offsets; predicts ratings, and the probability of a like."""

    name: ClassVar[str] = "rating_synapses"
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    likes: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        "users": ("user", None),
        "genres": ("user", None, None),
        "taste": ("user", None),
        "items": ("item", None),
        "slot": ("item",),
        "neuron": ("item", None),
        "synapse": ("item", None),
    }
    config_type: ClassVar[type[ModelConfig]] = RatingSynapsesConfig
    config: RatingSynapsesConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        settings, (least, most) = self.config, self.situation.scale
        self.rule = Rule(
            item_shrinkage=float(settings.item_shrinkage),
            user_shrinkage=float(settings.user_shrinkage),
            genre_shrinkage=float(settings.genre_shrinkage),
            synapse_shrinkage=float(settings.synapse_shrinkage),
            step_decay=float(settings.step_decay),
            trace_length=settings.trace_length,
            reverse_length=settings.reverse_length,
            session_decay=float(settings.session_decay),
            session_gap_ms=settings.session_gap_s * 1000.0,
            taste_rate=float(settings.taste_rate),
            neuron_rate=float(settings.neuron_rate),
            replay_rate=float(settings.replay_rate),
            forgetting=float(settings.forgetting),
            ridge=float(settings.ridge),
            least=float(least),
            unit=4.0 / (most - least),
            seed=self.situation.seed,
        )
        self._room = room_for(settings.trace_length)
        self._known = (0, 0)
        n = len(SIGNALS)
        first = np.array(_FIRST_WEIGHTS)
        self._state = RatingState(
            total=np.zeros(3),
            crowd=np.zeros((GENRES, 2)),
            weights=np.stack([first, _LIKES_PER_RATING * first]),
            gain=np.eye(n) * settings.ridge,
            met=np.zeros(1, np.int64),
            users=np.zeros((0, 4)),
            genres=np.zeros((0, GENRES, 2), np.float32),
            taste=np.zeros((0, NEURON)),
            items=np.zeros((0, 2)),
            slot=np.zeros(0, np.int32),
            neuron=np.zeros((0, NEURON)),
            synapse=np.zeros((0, settings.row_synapses), np.float32),
            offset=np.zeros(0),
        )

    def _room_for_rows(self, users: int, items: int) -> RatingState:
        """Return the state with capacity for so many rows; what is known does not change."""
        state = self._state
        of_users = {name: grown(getattr(state, name), users) for name in ("users", "genres", "taste")}
        of_items = {
            name: grown(getattr(state, name), items) for name in ("items", "slot", "neuron", "synapse", "offset")
        }
        self._state = state._replace(**of_users, **of_items)
        return self._state

    def read(self, events: Interactions, histories: Histories) -> NDArray[np.float64]:
        """Learn a block; return what was read before each event: float64[n, signals + 2].

        Columns are the signals, the expected rating in units and the linear estimate of a like; zeros without a rating.
        """
        found = np.zeros((len(events.user), len(SIGNALS) + 2))
        if len(events.user):
            users, items = int(events.user.max()) + 1, int(events.item.max()) + 1
            self._known = (max(self._known[0], users), max(self._known[1], items))
            state = self._room_for_rows(*self._known)
            sense_then_learn(events, histories, state, self.rule, self._room, found)
        return found

    def read_all(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """Return what `read` would read of each known item for a user (-1: unknown). Pure."""
        found = np.zeros((moment.items, len(SIGNALS) + 2))
        state = self._room_for_rows(0, moment.items)
        seen = int(histories.length[user]) if user >= 0 else 0
        if not 0 <= user < len(state.users):
            # Somebody of whom nothing is known.
            state = state._replace(
                users=np.zeros((1, 4)), genres=np.zeros((1, GENRES, 2), np.float32), taste=np.zeros((1, NEURON))
            )
            user, seen = 0, 0
        sense_all(state, self.rule, histories, (user, seen), moment.time_ms, self._room, found)
        return found

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        found = self.read(events, histories)
        asked = ~np.isnan(events.rating) & (events.flags & REPEAT == 0)
        out.ratings[asked] = self.in_scale(found[asked, -2])
        out.likes[asked] = found[asked, -1]

    def in_scale(self, rating: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn ratings in units into the source's scale."""
        return self.rule.least + rating / self.rule.unit

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating."""
        return self.in_scale(self.read_all(user, histories, moment)[:, -2])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of `RatingState` without its cache, cut to what is known."""
        named: dict[str, NDArray[Any]] = self._state._asdict()
        named.pop("offset")
        known = {"user": self._known[0], "item": self._known[1]}
        sides = {name: axes[0] for name, axes in self.axes.items()}
        return {
            name: array if (side := sides.get(name)) is None else array[: known[side]]
            for name, array in named.items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        items = arrays["items"]
        offset = items[:, 0] / (items[:, 1] + self.rule.item_shrinkage)
        self._state = RatingState(
            offset=offset, **{name: array.copy() for name, array in arrays.items() if name in RatingState._fields}
        )
        self._known = (len(arrays["users"]), len(items))
