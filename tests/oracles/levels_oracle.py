"""Evidence of rating levels (engram/source_systems/levels.py), worked out anew from all earlier events each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LEVELS = [k / 2 for k in range(1, 11)]


class Rated(NamedTuple):
    """One event, and what its film is: genres by number, vote, popular, year as `Films` has them."""

    user: int
    film: int
    rating: float
    genres: tuple[int, ...]
    vote: float
    popular: float
    year: float


class _Offsets(NamedTuple):
    mean: float
    user: float
    film: float


def _shares(earlier: Sequence[Rated]) -> list[float]:
    counts = [0.2 + sum(event.rating == level for event in earlier) for level in LEVELS]
    return [count / sum(counts) for count in counts]


def _offsets(earlier: Sequence[Rated], user: int, film: int) -> _Offsets:
    """Offsets of a user and a film, from the residuals that each earlier event left as it was learned."""
    mean = sum(p * level for p, level in zip(_shares(earlier), LEVELS, strict=True))
    sums = {"user": 0.0, "film": 0.0}
    events = {"user": 0, "film": 0}
    for at, event in enumerate(earlier):
        if event.user == user or event.film == film:
            then = _offsets(earlier[:at], event.user, event.film)
            if event.user == user:
                sums["user"] += event.rating - then.mean - then.film
                events["user"] += 1
            if event.film == film:
                sums["film"] += event.rating - then.mean - then.user
                events["film"] += 1
    return _Offsets(mean, sums["user"] / (events["user"] + 3.0), sums["film"] / (events["film"] + 5.0))


def _taste(earlier: Sequence[Rated], user: int, genre: int) -> float:
    total, events = 0.0, 0
    for at, event in enumerate(earlier):
        if event.user == user and genre in event.genres:
            then = _offsets(earlier[:at], event.user, event.film)
            total += event.rating - then.mean - then.user - then.film
            events += 1
    return total / (events + 4.0)


def evidence(earlier: Sequence[Rated], event: Rated, others: Sequence[float]) -> list[list[float]]:
    """Return [level][kind] before `event`."""
    crowd = _shares(earlier)
    of = _offsets(earlier, event.user, event.film)
    taste = [_taste(earlier, event.user, genre) for genre in event.genres]
    liking = sum(taste) / len(taste) if taste else 0.0
    mine = [one.rating for one in earlier if one.user == event.user]
    its = [one.rating for one in earlier if one.film == event.film]
    found = []
    for p, level in zip(crowd, LEVELS, strict=True):
        off = level - of.mean
        found.append(
            [
                math.log(p),
                math.log((mine.count(level) + 3.0 * p) / (len(mine) + 3.0) / p),
                math.log((its.count(level) + 5.0 * p) / (len(its) + 5.0) / p),
                -off * off,
                *(off * value for value in (of.film, of.user, event.vote, liking, event.popular, event.year)),
                *(0.0 if math.isnan(other) else off * (other - of.mean) for other in others),
            ]
        )
    return found
