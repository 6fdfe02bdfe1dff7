"""The walk over a stream of a model oracle whose scores depend on who asks, not on the trace alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tests.oracles.history_oracle import Event, HistoryOracle
from tests.oracles.rank_oracle import Ranked, moments, rank_by_definition


class UserModelOracle(Protocol):
    """A model written from its formula. now: the lane's clock; tick: the event's own moment on it."""

    def scores(self, user: int, items: int, now: int) -> list[float]:
        """Score items 0, 1, ... items - 1."""

    def learn(self, event: Event, tick: int, now: int) -> None:
        """Learn one event that is no repeat."""


def walk_of_users(
    oracle: UserModelOracle, events: Sequence[Event], clock: str, *, ties_against: bool = True
) -> Iterator[Ranked]:
    """Test, then learn, event by event."""
    history = HistoryOracle()
    for event, (tick, now) in zip(events, moments(events, clock), strict=True):
        taken = {item for item, _ in history.of.get(event.user, [])}
        known = set(history.known)
        repeat, new_item, *_ = history.take(event)
        if repeat:
            yield Ranked(0, 0, 0)
            continue
        if new_item:
            yield Ranked(-1, -1, -1)
        else:
            scores = dict(enumerate(oracle.scores(event.user, len(known), now)))
            candidates = known - taken
            rank = rank_by_definition(scores, candidates, event.item, ties_against=ties_against)
            own = scores[event.item]
            others = [scores[item] for item in candidates - {event.item}]
            blur = 1e-5 * abs(own) + 1e-12
            lowest = 1 + sum(score > own + blur for score in others)
            highest = 1 + sum(score >= own - blur for score in others)
            yield Ranked(rank, lowest, highest)
        oracle.learn(event, tick, now)
