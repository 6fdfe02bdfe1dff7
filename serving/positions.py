"""Positions of accepted events, and waiting until the learner has passed them: read your writes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from serving.wire import DeadEvents

REMEMBERED: Final = 10_000  # dead letters whose positions are known


class PositionError(ValueError):
    """A text is no position."""


class Position(NamedTuple):
    """Offsets of the ratings topic, {partition: offset}: all events up to there."""

    offsets: Mapping[int, int]

    def __str__(self) -> str:
        """As clients see it: `0-12`, several partitions joined by dots."""
        return ".".join(f"{partition}-{offset}" for partition, offset in sorted(self.offsets.items()))


def parse_position(text: str) -> Position:
    """Read what `str(Position)` wrote. Raises `PositionError`."""
    offsets: dict[int, int] = {}
    for part in text.split("."):
        partition, dash, offset = part.partition("-")
        if not dash or not _is_number(partition) or not _is_number(offset):
            raise PositionError(
                f"position is {text[:80]!r}, expected one that an accepted event was given, as 0-12"
            )
        offsets[int(partition)] = int(offset)
    return Position(offsets)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


class Passed(NamedTuple):
    """What became of a position. dead_lettered: {reason: events} of those at it that could not be used."""

    position: str
    dead_lettered: Mapping[str, int]


class _Waiting(NamedTuple):
    position: Position
    passed: asyncio.Future[Passed]


class Positions:
    """Where the learner stands, as far as it has said. All of one event loop, but `at`, which any thread may read.

    elsewhere: partitions that another instance learns, and that nobody can wait for here.
    """

    def __init__(self) -> None:
        self.elsewhere: frozenset[int] = frozenset()
        self._at: dict[int, int] = {}
        self._waiting: list[_Waiting] = []
        self._dead: OrderedDict[tuple[int, int], dict[str, int]] = OrderedDict()

    @property
    def at(self) -> dict[int, int]:
        """The next offset of each partition."""
        return dict(self._at)

    async def wait(self, position: Position, timeout_s: float) -> Passed:
        """Return when the learner has passed `position`. Raises `TimeoutError`, `PositionError` for a strange partition."""
        strange = position.offsets.keys() - self._at.keys() - self.elsewhere
        if strange:
            raise PositionError(f"position is {position}, expected partitions of {sorted(self._at)}")
        if self._is_passed(position):
            return self._found(position)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(position, loop.create_future())
        self._waiting.append(waiting)
        late = loop.call_later(timeout_s, _give_up, waiting.passed)
        try:
            return await waiting.passed
        finally:
            late.cancel()

    def forget_waiting(self) -> None:
        """Forget who waits: in an event loop that is no more."""
        self._waiting = []

    def advance(self, at: Mapping[int, int], dead: Sequence[DeadEvents] = ()) -> None:
        """Take note of where the learner stands now, and wake those that waited for it.

        dead: events on the way there that could not be used.
        """
        if any(self._at.get(partition, 0) > offset for partition, offset in at.items()):
            # It goes on from its checkpoint, and will say again what came after.
            self._dead = OrderedDict(
                (place, reasons) for place, reasons in self._dead.items() if place[1] < at.get(place[0], 0)
            )
        for one in dead:
            reasons = self._dead.setdefault((one.partition, one.offset), {})
            reasons[one.reason] = reasons.get(one.reason, 0) + one.events
        while len(self._dead) > REMEMBERED:
            self._dead.popitem(last=False)
        self._at = dict(at)
        if not self._waiting:
            return
        still: list[_Waiting] = []
        for waiting in self._waiting:
            if waiting.passed.done():
                continue
            if self._is_passed(waiting.position):
                waiting.passed.set_result(self._found(waiting.position))
            else:
                still.append(waiting)
        self._waiting = still

    def _is_passed(self, position: Position) -> bool:
        return all(
            self._at.get(partition, 0) > offset
            for partition, offset in position.offsets.items()
            if partition not in self.elsewhere
        )

    def _found(self, position: Position) -> Passed:
        dead: dict[str, int] = {}
        for place in position.offsets.items():
            for reason, events in self._dead.get(place, {}).items():
                dead[reason] = dead.get(reason, 0) + events
        return Passed(str(position), dead)


def _give_up(passed: asyncio.Future[Passed]) -> None:
    if not passed.done():
        passed.set_exception(TimeoutError())
