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

import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import REPEAT, Histories, Interactions, Moment, Predictions
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.rating_learning import sense_all, sense_then_learn
from online_models.rating_signals import GENRES, NEURON, SIGNALS, RatingState, Rule, room_for

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
    trace_length: int = 64
    reverse_length: int = 16
    row_synapses: int = 512
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


class RatingSynapses(Model):
    """Hebbian co-rating synapses, tastes and offsets; predicts ratings, and the probability of a like."""

    name: ClassVar[str] = "rating_synapses"
    draws: ClassVar[bool] = True
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
            name: grown(getattr(state, name), items)
            for name in ("items", "slot", "neuron", "synapse", "offset")
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
                users=np.zeros((1, 4)),
                genres=np.zeros((1, GENRES, 2), np.float32),
                taste=np.zeros((1, NEURON)),
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
            offset=offset,
            **{name: array.copy() for name, array in arrays.items() if name in RatingState._fields},
        )
        self._known = (len(arrays["users"]), len(items))
