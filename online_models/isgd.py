"""Incremental matrix factorisation for positive-only feedback (ISGD), without and with recency-based negatives.

Every user u and item x has a vector of `factors` numbers, p(u) and q(x); score(u, x) = p(u) . q(x). An event is one
step of stochastic gradient descent towards 1, both sides from the vectors before the step (Vinagre, Jorge & Gama 2014,
"Fast incremental matrix factorization for recommendation with positive-only feedback"):

    e = 1 - p . q        p += rate * (e q - regularization p)        q += rate * (e p - regularization q)

With negatives, first the user's vector makes a step towards 0 on each of the `negatives` items that were not in any
event, nor a negative, for longest; they then go to the end of that queue, as the event's item does (after Vinagre,
Jorge & Gama 2015, "Collaborative filtering with recency-based negative feedback"). Items' vectors stay as they are.

The literature fits a model to the beginning of a stream before it is tested: the first `fit_events` events are learned
as they come, and `fit_epochs` - 1 times more, each time in another random order, when the last of them has come.

A vector begins as normal deviates that depend on seed, row and factor alone. Nothing is forgotten but by overwriting,
so a late event learns as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.random_scores import uniform
from online_models.ranking import rank_among

_USERS, _ITEMS = 0, 1
_SMALLEST = 256
_GONE = -1  # a pair whose user or item was evicted or forgotten


@dataclass(frozen=True)
class ISGDConfig(ModelConfig):
    """See the module. deviation: standard deviation of a new vector's numbers; negatives: a positive event's.

    fit_events: repeats not counted; they are kept, 8 bytes each, until they have been learned again.
    """

    factors: int = 10
    rate: float = 0.1
    regularization: float = 0.01
    deviation: float = 0.1
    negatives: int = 0
    fit_events: int = 0
    fit_epochs: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "factors", "fit_epochs", least=1)
        check_range(self, "negatives", "fit_events", "regularization", least=0)
        check_range(self, "rate", "deviation", above=0)


@dataclass(frozen=True)
class ISGDNegativesConfig(ISGDConfig):
    """See `ISGDConfig`."""

    rate: float = 0.2
    negatives: int = 5


class Rule(NamedTuple):
    """`ISGDConfig` for the kernels, and the lane's."""

    rate: float
    regularization: float
    negatives: int
    fit_events: int
    fit_epochs: int
    ties_against: bool
    seed: int


class Queue(NamedTuple):
    """Items in a ring of links, the one longest out of use first: next, previous: int32[1 + items].

    Link 0 is before the first and after the last; link 1 + x is item x's, -1 while x is in no event.
    """

    next: NDArray[np.int32]
    previous: NDArray[np.int32]


class Beginning(NamedTuple):
    """Events that are to be learned again: kept int32[>= taken, 2], user and item; taken int64[1], how many so far."""

    kept: NDArray[np.int32]
    taken: NDArray[np.int64]


@numba.njit(cache=True)
def initial_vectors(seed: int, side: int, first: int, deviation: float, out: NDArray[np.float64]) -> None:
    """Fill out (float64[rows, factors]) for rows first, first + 1, ...; side: 0 users, 1 items."""
    for at in range(out.shape[0]):
        row = 2 * (first + at) + side
        for factor in range(out.shape[1]):
            # Box-Muller; 1 - u is never 0.
            radius = np.sqrt(-2.0 * np.log(1.0 - uniform(seed, row, 2 * factor)))
            out[at, factor] = deviation * radius * np.cos(2.0 * np.pi * uniform(seed, row, 2 * factor + 1))


@numba.njit(cache=True)
def score_all(
    user: NDArray[np.float64], items: NDArray[np.float64], known: int, out: NDArray[np.float64]
) -> None:
    """out[x] = user . items[x] for x < known; user: float64[factors], items: float64[>= known, factors]."""
    for item in range(known):
        total = 0.0
        for factor in range(len(user)):
            total += user[factor] * items[item, factor]
        out[item] = total


@numba.njit(cache=True)
def _step(
    user: NDArray[np.float64], item: NDArray[np.float64], wanted: float, learn_item: bool, rule: Rule
) -> None:
    error = wanted
    for factor in range(len(user)):
        error -= user[factor] * item[factor]
    for factor in range(len(user)):
        p, q = user[factor], item[factor]
        user[factor] = p + rule.rate * (error * q - rule.regularization * p)
        if learn_item:
            item[factor] = q + rule.rate * (error * p - rule.regularization * q)


@numba.njit(cache=True)
def _to_the_end(queue: Queue, item: int) -> None:
    link = item + 1
    if queue.next[link] >= 0:
        queue.next[queue.previous[link]] = queue.next[link]
        queue.previous[queue.next[link]] = queue.previous[link]
    last = queue.previous[0]
    queue.next[last], queue.previous[link] = link, last
    queue.next[link], queue.previous[0] = 0, link


@numba.njit(cache=True)
def _in_order(queue: Queue, items: int) -> NDArray[np.int32]:
    """Items of the queue, the one longest out of use first; int32[at most items]."""
    found = np.empty(items, np.int32)
    count, link = 0, queue.next[0]
    while link != 0:
        found[count] = link - 1
        count, link = count + 1, queue.next[link]
    return found[:count]


@numba.njit(cache=True)
def _learn(
    user: NDArray[np.float64], items: NDArray[np.float64], target: int, queue: Queue, rule: Rule
) -> None:
    """One event; user: float64[factors], items: float64[items, factors]."""
    if rule.negatives > 0:
        # Out of the queue's head, the target must not be a negative of its own event.
        _to_the_end(queue, target)
        for _ in range(rule.negatives):
            negative = queue.next[0] - 1
            if negative == target:
                break
            _step(user, items[negative], 0.0, False, rule)
            _to_the_end(queue, negative)
    _step(user, items[target], 1.0, True, rule)


@numba.njit(cache=True)
def _fit(
    kept: NDArray[np.int32],
    vectors: tuple[NDArray[np.float64], NDArray[np.float64]],
    queue: Queue,
    rule: Rule,
) -> None:
    """Learn kept (int32[n, 2]) again, `fit_epochs` - 1 times."""
    users, items = vectors
    order = np.arange(len(kept))
    for epoch in range(rule.fit_epochs - 1):
        for last in range(len(order) - 1, 0, -1):
            # Row -1 is no user's and no item's.
            chosen = int(uniform(rule.seed, -1, epoch * len(order) + last) * (last + 1))
            order[last], order[chosen] = order[chosen], order[last]
        for at in order:
            if kept[at, 0] != _GONE:
                _learn(users[kept[at, 0]], items, kept[at, 1], queue, rule)


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    vectors: tuple[NDArray[np.float64], NDArray[np.float64]],
    queue: Queue,
    beginning: Beginning,
    rule: Rule,
    scores: NDArray[np.float64],
    ranks: NDArray[np.int32],
) -> None:
    """vectors: users' float64[users, factors] and items'; scores: float64[items], scratch."""
    users, items = vectors
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target, known = events.item[i], events.items[i]
        user = users[events.user[i]]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            start = histories.start[events.user[i]]
            had = histories.items[start : start + events.seen[i]]
            score_all(user, items, known, scores)
            ranks[i] = rank_among(scores, known, target, had, rule.ties_against)
        _learn(user, items, target, queue, rule)
        taken = beginning.taken[0]
        if taken < rule.fit_events:
            beginning.kept[taken, 0], beginning.kept[taken, 1] = events.user[i], target
            beginning.taken[0] = taken + 1
            if taken + 1 == rule.fit_events:
                _fit(beginning.kept[: taken + 1], vectors, queue, rule)


class ISGD(Model):
    """Incremental matrix factorisation, positive events only."""

    name: ClassVar[str] = "isgd"
    draws: ClassVar[bool] = True
    reads_ratings: ClassVar[bool] = False
    axes: ClassVar[Axes] = {"users": ("user", None), "items": ("item", None)}
    config_type: ClassVar[type[ModelConfig]] = ISGDConfig
    config: ISGDConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._start()

    def _start(self) -> None:
        nothing = np.zeros((0, self.config.factors), np.float64)
        self._vectors = (nothing, nothing)
        self._queue = Queue(np.full(1, 0, np.int32), np.full(1, 0, np.int32))
        self._beginning = Beginning(np.zeros((0, 2), np.int32), np.zeros(1, np.int64))
        self._scores = np.zeros(0, np.float64)
        self._users, self._items = 0, 0

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        self._reserve(int(events.user.max()) + 1, int(events.item.max()) + 1)
        config, situation = self.config, self.situation
        rule = Rule(
            config.rate,
            config.regularization,
            config.negatives,
            config.fit_events,
            config.fit_epochs,
            situation.ties_against,
            situation.seed,
        )
        kept, taken = self._beginning
        fitting = taken[0] < config.fit_events
        if fitting:
            kept = grown(kept, min(config.fit_events, int(taken[0]) + len(events.user)))
        self._beginning = Beginning(kept, taken)
        vectors, scores = self._vectors, self._scores
        _test_then_learn(events, histories, vectors, self._queue, self._beginning, rule, scores, out.ranks)
        if fitting and taken[0] == config.fit_events:
            self._beginning = Beginning(np.zeros((0, 2), np.int32), taken)

    def _reserve(self, users: int, items: int) -> None:
        self._users, self._items = max(self._users, users), max(self._items, items)
        self._vectors = (
            self._with_room(self._vectors[_USERS], self._users, _USERS),
            self._with_room(self._vectors[_ITEMS], self._items, _ITEMS),
        )
        self._scores = grown(self._scores, self._items)
        have = len(self._queue.next)
        if self.config.negatives and self._items + 1 > have:
            self._queue = Queue(*(grown(links, self._items + 1) for links in self._queue))
            for links in self._queue:
                links[have:] = -1

    def _with_room(self, vectors: NDArray[np.float64], rows: int, side: int) -> NDArray[np.float64]:
        have = len(vectors)
        if rows > have:
            vectors = grown(vectors, max(rows, _SMALLEST))
            initial_vectors(self.situation.seed, side, have, self.config.deviation, vectors[have:])
        return vectors

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`; an unknown user has the vector that the next new user begins with."""
        out = np.zeros(moment.items, np.float64)
        if 0 <= user < self._users:
            vector = self._vectors[_USERS][user]
        else:
            vectors = np.zeros((1, self.config.factors), np.float64)
            initial_vectors(self.situation.seed, _USERS, self._users, self.config.deviation, vectors)
            vector = vectors[0]
        score_all(vector, self._vectors[_ITEMS], moment.items, out)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """users: float64[users, factors]; items: float64[items, factors]; queue: int32, longest out of use first.

        kept: int32[events, 2] that are to be learned again, taken: int64[1] (see `Beginning`).
        """
        users, items = self._vectors
        kept, taken = self._beginning
        return {
            "kept": kept[: taken[0]],
            "taken": taken,
            "users": users[: self._users],
            "items": items[: self._items],
            "queue": _in_order(self._queue, self._items),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        self._reserve(len(arrays["users"]), len(arrays["items"]))
        self._vectors[_USERS][: self._users] = arrays["users"]
        self._vectors[_ITEMS][: self._items] = arrays["items"]
        self._beginning = Beginning(arrays["kept"].copy(), arrays["taken"].copy())
        for item in arrays["queue"]:
            _to_the_end(self._queue, item)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`; items that stay keep their order in the queue."""
        arrays = self.arrays()
        user_of, item_of = np.full(self._users, -1, np.int32), np.full(self._items, -1, np.int32)
        user_of[users] = np.arange(len(users), dtype=np.int32)
        item_of[items] = np.arange(len(items), dtype=np.int32)
        queue = item_of[arrays["queue"]]
        pairs = np.stack([user_of[arrays["kept"][:, 0]], item_of[arrays["kept"][:, 1]]], axis=1)
        pairs[(pairs < 0).any(axis=1)] = _GONE
        self.restore(
            {
                "users": arrays["users"][users],
                "items": arrays["items"][items],
                "queue": queue[queue >= 0],
                "kept": pairs,
                "taken": arrays["taken"],
            }
        )

    def forget_user(self, user: int) -> None:
        """See `Model.forget_user`: nothing of the user is learned again either."""
        super().forget_user(user)
        kept = self.arrays()["kept"]
        kept[kept[:, 0] == user] = _GONE


class ISGDNegatives(ISGD):
    """Incremental matrix factorisation with the items longest out of use as negatives."""

    name: ClassVar[str] = "isgd_negatives"
    config_type: ClassVar[type[ModelConfig]] = ISGDNegativesConfig
