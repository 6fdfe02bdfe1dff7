"""The prequential rank by its definition, and the walk of a model oracle over a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from tests.oracles.history_oracle import Event, HistoryOracle


class ModelOracle(Protocol):
    """A model written from its formula. now: the lane's clock; tick: the event's own moment on it."""

    def scores(self, user: int, trace: Sequence[tuple[int, int]], now: int, time_ms: int) -> dict[int, float]:
        """{item: score} of items with any; trace: the user's (item, time_ms), oldest first."""

    def learn(self, event: Event, trace: Sequence[tuple[int, int]], tick: int, now: int) -> None:
        """Learn one event that is no repeat."""


class Ranked(NamedTuple):
    """An event's rank (0 = repeat, -1 = new item), and the ranks that rounding by 1e-5 could make of it."""

    rank: int
    lowest: int
    highest: int


def rank_by_definition(
    scores: Mapping[int, float], candidates: Iterable[int], target: int, *, ties_against: bool
) -> int:
    """1 + the other candidates above the target, or level with it where ties count against it."""
    own = scores.get(target, 0.0)
    others = [scores.get(item, 0.0) for item in set(candidates) - {target}]
    return 1 + sum(score >= own if ties_against else score > own for score in others)


def moments(events: Sequence[Event], clock: str) -> list[tuple[int, int]]:
    """(tick, now) of each event: its own moment, and the clock when it is processed."""
    if clock == "event_count":
        return [(i, i) for i in range(len(events))]
    latest = 0
    found = []
    for event in events:
        latest = max(latest, event.time_ms)
        found.append((event.time_ms, latest))
    return found


def walk(
    oracle: ModelOracle, events: Sequence[Event], clock: str, *, ties_against: bool = True
) -> Iterator[Ranked]:
    """Test, then learn, event by event."""
    history = HistoryOracle()
    for event, (tick, now) in zip(events, moments(events, clock), strict=True):
        trace = list(history.of.get(event.user, []))
        known = set(history.known)
        repeat, new_item, *_ = history.take(event)
        if repeat:
            yield Ranked(0, 0, 0)
            continue
        if new_item:
            yield Ranked(-1, -1, -1)
        else:
            scores = oracle.scores(event.user, trace, now, event.time_ms)
            candidates = known - {item for item, _ in trace}
            rank = rank_by_definition(scores, candidates, event.item, ties_against=ties_against)
            own = scores.get(event.item, 0.0)
            others = [scores.get(item, 0.0) for item in candidates - {event.item}]
            lowest = 1 + sum(score > own * (1 + 1e-5) for score in others)
            highest = 1 + sum(score >= own * (1 - 1e-5) for score in others)
            yield Ranked(rank, lowest, highest)
        oracle.learn(event, trace, tick, now)
