"""Small streams of events, and a driver that feeds them to a model as a lane does."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import CatalogueStore, ItemFacts
from online_models.history import History
from online_models.ids import IdTable
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.model import ClockName, Model
from tests.oracles.history_oracle import Event


def in_rows(events: Sequence[tuple[int, int, int]]) -> list[Event]:
    """Number users and items in order of first appearance."""
    users: dict[int, int] = {}
    items: dict[int, int] = {}
    return [
        Event(users.setdefault(user, len(users)), items.setdefault(item, len(items)), time_ms)
        for user, item, time_ms in events
    ]


def random_stream(
    seed: int, events: int, *, users: int, items: int, step_ms: int = 60_000, late: float = 0.0
) -> list[Event]:
    """Users at random, items by a power law, repeats among them; a share `late` of events lies in the past."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, items + 1) ** 0.8
    popularity /= popularity.sum()
    times_ms = np.cumsum(rng.integers(0, 2 * step_ms, events))
    times_ms -= (rng.random(events) < late) * rng.integers(0, 20 * step_ms, events)
    return in_rows(
        list(
            zip(
                rng.integers(0, users, events).tolist(),
                rng.choice(items, events, p=popularity).tolist(),
                np.maximum(times_ms, 0).tolist(),
                strict=True,
            )
        )
    )


def checkerboard(seed: int, *, users: int = 120, items: int = 80, had: int = 14) -> list[Event]:
    """Two tastes: a user has items of its own colour only. Half-way, other items take over.

    Each user has `had` items, at random among the live half's of its colour (items / 4 of them), so within a half
    all live items are equally popular: only co-activation tells the colours apart.
    """
    rng = np.random.default_rng(seed)
    events = []
    for half in range(2):
        turns = np.repeat(np.arange(users // 2), had)
        rng.shuffle(turns)
        live = [np.arange(colour, items // 2, 2) + half * (items // 2) for colour in (0, 1)]
        plans = {int(user): rng.permutation(live[user % 2])[:had].tolist() for user in set(turns.tolist())}
        for user in turns.tolist():
            events.append((user + half * users, plans[user].pop(), len(events) * 1000))
    return in_rows(events)


def rating_by_rows(event: Event) -> float:
    """Rate every event, 1 to 5."""
    return 1.0 + (event.user + event.item) % 5


# What the items topic would say of most items, by row.
_GENRES = ("Drama", "Comedy", "Crime", "Western", "Horror", "Romance")
_TAGS = ("slow", "Slow ", "space opera", "dark", "twist", " space  Opera", "true story")
FACTS = {
    row: ItemFacts(
        str(row),
        tuple(genre for bit, genre in enumerate(_GENRES) if (row * 7 + 3) % 61 >> bit & 1),
        1890 + row * 13 % 160 if row % 5 else None,
        ("en", "fr", None)[row % 3],
        tuple(
            # Most of them while a stream of some hundred events a minute apart goes on, some after it.
            ((row * 7919 + tag * 104_729) % 500 * 60_000, _TAGS[(row + tag * tag) % len(_TAGS)])
            for tag in range(row % 6)
        ),
    )
    for row in range(60)
    if row % 7
}


class Driver:
    """A lane without log and ids: histories, clock and one model."""

    def __init__(
        self, model: Model, clock: ClockName, rating_of: Callable[[Event], float] = rating_by_rows
    ) -> None:
        self.model = model
        self.clock: ClockName = clock
        self.rating_of = rating_of
        self.history = History()
        self.catalogue = CatalogueStore()
        self.items = IdTable()
        self.catalogue.add(list(FACTS.values()), self.items)
        self.learned = 0
        self.latest_ms = 0

    @property
    def histories(self) -> Histories:
        """What the model reads."""
        return self.history.view(self.catalogue.view)

    def moment(self, time_ms: int | None = None) -> Moment:
        """Return the moment of a question, or of an event at `time_ms`."""
        latest_ms = self.latest_ms if time_ms is None else max(self.latest_ms, time_ms)
        now = self.learned if self.clock == "event_count" else latest_ms
        return Moment(now, latest_ms if time_ms is None else time_ms, self.history.items)

    def feed(self, events: Sequence[Event]) -> NDArray[np.int32]:
        """Test, then learn, one block; returns its ranks."""
        return self.predict(events).ranks

    def predict(self, events: Sequence[Event]) -> Predictions:
        """Test, then learn, one block; returns all that was said of it."""
        parts: list[Predictions] = []
        while (done := sum(len(part.ranks) for part in parts)) < len(events):
            parts.append(self._predict(events[done:]))
        if not parts:
            return Predictions.nothing(0)
        return Predictions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _predict(self, events: Sequence[Event]) -> Predictions:
        """Take events up to one that gives a rating anew."""
        user = np.array([event.user for event in events], np.int32)
        item = np.array([event.item for event in events], np.int32)
        time_ms = np.array([event.time_ms for event in events], np.int64)
        rating = np.array([self.rating_of(event) for event in events])
        ids = np.array([str(row).encode() for row in item.tolist()], np.bytes_)
        self.catalogue.follow(ids, self.items.rows(ids))
        found = self.history.advance(user, item, time_ms, rating)
        n = found.taken
        events, user, item, time_ms, rating = events[:n], user[:n], item[:n], time_ms[:n], rating[:n]
        if self.clock == "event_count":
            tick = now = np.arange(self.learned, self.learned + len(events), dtype=np.int64)
        else:
            tick, now = time_ms, np.maximum.accumulate(np.maximum(time_ms, self.latest_ms))
        self.latest_ms = max(self.latest_ms, *(event.time_ms for event in events), 0)
        self.learned += len(events)
        block = Interactions(user, item, rating, time_ms, tick, now, *found[:-1])
        out = Predictions.nothing(n)
        self.model.test_then_learn(block, self.histories, out)
        self.history.settle()
        return out

    def feed_in(self, events: Sequence[Event], cuts: Sequence[int]) -> NDArray[np.int32]:
        """Feed in blocks that begin at 0 and at `cuts`."""
        return self.predict_in(events, cuts).ranks

    def predict_in(self, events: Sequence[Event], cuts: Sequence[int]) -> Predictions:
        """Predict in blocks that begin at 0 and at `cuts`."""
        edges = sorted({0, *cuts, len(events)})
        said = [self.predict(events[first:last]) for first, last in itertools.pairwise(edges)]
        return Predictions(*(np.concatenate(columns) for columns in zip(*said, strict=True)))
