"""Sessions and their statistics in plain Python: dictionaries, floats, and the formulas as they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Paired(NamedTuple):
    """An event: whose, when, and what two models said (rank, 0 = not ranked, -1 = a miss)."""

    user: int
    time_ms: int
    first: int
    second: int


class Session(NamedTuple):
    """Events of one session, and hits of both models."""

    events: int
    first: int
    second: int


def hit(rank: int) -> bool:
    """Whether the target was among the ten best."""
    return 1 <= rank <= 10


def sessions_by_definition(events: Sequence[Paired], gap_ms: int, look_every: int) -> list[Session]:
    """All sessions, those at the end too; those that have ended by the clock end at multiples of `look_every`."""
    done: list[list[Paired]] = []
    opened: dict[int, list[Paired]] = {}
    clock = -(10**18)
    for number, event in enumerate(events, 1):
        clock = max(clock, event.time_ms)
        if event.first != 0:
            slot = event.user % 2**16
            own = opened.get(slot, [])
            if own and event.time_ms - max(one.time_ms for one in own) >= gap_ms:
                done.append(opened.pop(slot))
            opened.setdefault(slot, []).append(event)
        if number % look_every == 0:
            for slot, own in list(opened.items()):
                if clock - max(one.time_ms for one in own) >= gap_ms:
                    done.append(opened.pop(slot))
    return [
        Session(len(own), sum(hit(one.first) for one in own), sum(hit(one.second) for one in own))
        for own in [*done, *opened.values()]
    ]


def interval_by_definition(sessions: Sequence[Session]) -> tuple[float, float]:
    """Difference of hit rates and its standard error, robust to clusters (linearised ratio of sums)."""
    blocks, events = len(sessions), sum(one.events for one in sessions)
    difference = sum(one.first - one.second for one in sessions) / events
    spread = sum((one.first - one.second - difference * one.events) ** 2 for one in sessions)
    return difference, math.sqrt(blocks / (blocks - 1) * spread) / events
