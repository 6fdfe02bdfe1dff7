"""`rating_synapses` from its formulas: dicts, lists and whole histories, one event at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from online_models.rating_synapses import RatingSynapsesConfig

FIRST_WEIGHTS = [0.0, 0.8, 0.8, 1.0, 0.3, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
GENRES = 32


@dataclass(frozen=True)
class Film:
    """What the catalogue says; genres below 32."""

    genres: frozenset[int] = frozenset()
    year: int | None = None
    language: int = 0


@dataclass
class User:
    """Of one user: what was had with what rating (NaN for none) and when, oldest first; residuals by genre."""

    had: list[tuple[int, float, int]] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    likes: int = 0
    session: float = 0.0
    by_genre: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    taste: list[float] = field(default_factory=lambda: [0.0] * (4 + GENRES))


@dataclass
class Item:
    """Of one item: residuals, its neuron as learned, its number."""

    residuals: list[float] = field(default_factory=list)
    neuron: list[float] | None = None
    number: int = -1


def splitmix64(state: int) -> int:
    """Steele, Lea & Flood 2014, in Python's integers."""
    whole = (1 << 64) - 1
    z = (state + 0x9E3779B97F4A7C15) & whole
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & whole
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
    return z ^ (z >> 31)


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


class RatingSynapsesOracle:
    """See `online_models.rating_synapses`; ratings in the source's scale come in, units go out."""

    def __init__(
        self, config: RatingSynapsesConfig, films: dict[int, Film], scale: tuple[float, float], seed: int = 0
    ) -> None:
        self.config, self.films, self.scale, self.seed = config, films, scale, seed
        self.users: dict[int, User] = defaultdict(User)
        self.items: dict[int, Item] = defaultdict(Item)
        self.ratings: list[float] = []
        self.of_genres: dict[int, list[float]] = defaultdict(list)
        self.synapse: dict[tuple[int, int], float] = defaultdict(float)
        self.weights = [list(FIRST_WEIGHTS), [0.35 * weight for weight in FIRST_WEIGHTS]]
        n = len(FIRST_WEIGHTS)
        self.gain = [[config.ridge if a == b else 0.0 for b in range(n)] for a in range(n)]
        self.numbered = 0

    def units(self, rating: float) -> float:
        least, most = self.scale
        return (rating - least) * 4 / (most - least)

    def mean(self) -> float:
        return sum(self.ratings) / len(self.ratings) if self.ratings else 2.0

    def share(self) -> float:
        return (sum(rating >= 3 for rating in self.ratings) + 1) / (len(self.ratings) + 2)

    def of_item(self, item: int) -> float:
        residuals = self.items[item].residuals
        return sum(residuals) / (len(residuals) + self.config.item_shrinkage)

    def of_user(self, user: int) -> float:
        residuals = self.users[user].residuals
        return sum(residuals) / (len(residuals) + self.config.user_shrinkage)

    def popularity(self, item: int) -> float:
        return (math.log(1 + len(self.items[item].residuals)) - 4) / 5

    def year(self, item: int) -> float:
        year = self.films[item].year
        return (year - 1980) / 20 if year is not None else 0.0

    def first_neuron(self, item: int) -> list[float]:
        genres = [1.0 if genre in self.films[item].genres else 0.0 for genre in range(GENRES)]
        return [1.0, self.year(item), 0.0, 0.0, *genres]

    def neuron(self, item: int) -> list[float]:
        """As it is seen: learned or first, with popularity and offset of now."""
        seen = list(self.items[item].neuron or self.first_neuron(item))
        seen[2] += 2.5 * self.popularity(item)
        seen[3] += 2 * self.of_item(item)
        return seen

    def trace(self, user: int) -> list[tuple[int, float]]:
        """Items of the trace, newest first, with their residuals as they fade."""
        base = self.mean() + self.of_user(user)
        newest = self.users[user].had[::-1][: self.config.trace_length]
        return [
            (
                item,
                0.0
                if math.isnan(rating)
                else (self.units(rating) - self.of_item(item) - base) * self.config.step_decay**k,
            )
            for k, (item, rating, _) in enumerate(newest)
        ]

    def column(self, item: int) -> int:
        return max(self.items[item].number, 0) % self.config.row_synapses

    def signals(self, user: int, item: int, time_ms: int) -> list[float]:
        who, config = self.users[user], self.config
        genres = sorted(self.films[item].genres)
        resonance = sum(self.synapse[item, self.column(other)] * past for other, past in self.trace(user))
        session = 0.0
        if who.had:
            gap_ms = max(time_ms - who.had[-1][2], 0)
            session = who.session / (1 + gap_ms / (1000 * config.session_gap_s))
        own = [sum(who.by_genre[g]) / (len(who.by_genre[g]) + config.genre_shrinkage) for g in genres]
        crowd = [sum(self.of_genres[g]) / (len(self.of_genres[g]) + 20) for g in genres]
        count, share = len(who.residuals), self.share()
        return [
            1.0,
            self.of_item(item),
            self.of_user(user),
            resonance / (math.sqrt(len(self.items[item].residuals)) + config.synapse_shrinkage),
            sum(own) / max(len(genres), 1),
            session,
            dot(who.taste, self.neuron(item)),
            self.year(item),
            self.popularity(item),
            sum(crowd) / max(len(genres), 1),
            self.of_item(item) * self.popularity(item),
            self.of_user(user) * (math.log(1 + count) / 5 - 0.8),
            (who.likes + 3 * share) / (count + 3) - share,
        ]

    def expected(self, signals: Sequence[float]) -> tuple[float, float]:
        """Rating in units and linear estimate of a like, clipped."""
        rating = self.mean() + dot(self.weights[0], signals)
        like = self.share() + dot(self.weights[1], signals)
        return min(max(rating, 0.0), 4.0), min(max(like, 0.0), 1.0)

    def learn_taste(self, user: int, item: int, error: float, rates: tuple[float, float]) -> None:
        seen, taste, learned = self.neuron(item), self.users[user].taste, self.items[item].neuron
        assert learned is not None
        squares = 1 + dot(seen, seen)
        before = list(taste)
        for k in range(len(taste)):
            taste[k] += rates[0] * error / squares * seen[k]
            learned[k] += rates[1] * error * before[k]

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """Learn a rating of the scale, of a pair that never met."""
        who, what, config = self.users[user], self.items[item], self.config
        signals, rating = self.signals(user, item, time_ms), self.units(rating)
        if not what.residuals:
            what.number, self.numbered = self.numbered, self.numbered + 1
            what.neuron = self.first_neuron(item)
        like = 1.0 if rating >= 3 else 0.0
        errors = (
            rating - self.mean() - dot(self.weights[0], signals),
            like - self.share() - dot(self.weights[1], signals),
        )
        mean, residual = self.mean(), rating - self.mean() - signals[1] - signals[2]
        offset_of_item, offset_of_user = signals[1], signals[2]
        n = len(signals)
        keep = config.forgetting if sum(self.gain[a][a] for a in range(n)) < n * config.ridge else 1.0
        step = [dot(row, signals) for row in self.gain]
        scale = 1 / (keep + dot(signals, step))
        for target in (0, 1):
            for a in range(n):
                self.weights[target][a] += errors[target] * step[a] * scale
        self.gain = [
            [(self.gain[a][b] - step[a] * step[b] * scale) / keep for b in range(n)] for a in range(n)
        ]
        trace = self.trace(user)
        for other, past in trace:
            self.synapse[item, self.column(other)] += residual * past
        for other, past in trace[: config.reverse_length]:
            self.synapse[other, self.column(item)] += residual * past
        self.learn_taste(user, item, residual - signals[6], (config.taste_rate, config.neuron_rate))
        if who.had and config.replay_rate > 0:
            draw = splitmix64(splitmix64(self.seed) ^ len(self.ratings))
            again, of_past, _ = who.had[(draw >> 33) % len(who.had)]
            if not math.isnan(of_past) and self.items[again].residuals:
                error = self.units(of_past) - mean - self.of_item(again) - offset_of_user
                error -= dot(who.taste, self.neuron(again))
                self.learn_taste(user, again, error, (config.replay_rate, config.replay_rate))
        for genre in self.films[item].genres:
            who.by_genre[genre].append(residual)
            self.of_genres[genre].append(rating - mean)
        who.session += (1 - config.session_decay) * (residual - who.session)
        who.residuals.append(rating - mean - offset_of_item)
        what.residuals.append(rating - mean - offset_of_user)
        who.likes += int(like)
        self.ratings.append(rating)

    def has_had(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """Note what a user has had, after it was learned; a rating given anew takes the place of the old one."""
        had = self.users[user].had
        for place, (other, _, then) in enumerate(had):
            if other == item:
                had[place] = (item, had[place][1] if math.isnan(rating) else rating, then)
                return
        had.append((item, rating, time_ms))
