"""Positions of accepted events, and waiting until the learner has passed them: read your writes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eventlog.deadletter import DeadLetter

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
    loop: asyncio.AbstractEventLoop
    passed: asyncio.Future[Passed]


class Positions:
    """Where the learner stands. `wait` from any event loop; the rest by the learner's thread alone.

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
        waiting = _Waiting(position, loop, loop.create_future())
        self._waiting.append(waiting)
        if self._is_passed(position):  # before it was in the list, perhaps
            _settle(waiting.passed, self._found(position))
        late = loop.call_later(timeout_s, _give_up, waiting.passed)
        try:
            return await waiting.passed
        finally:
            late.cancel()

    def note_dead(self, letters: Sequence[DeadLetter]) -> None:
        """Take note of events that could not be used."""
        for letter in letters:
            reasons = self._dead.setdefault((letter.partition, letter.offset), {})
            reasons[letter.reason.value] = reasons.get(letter.reason.value, 0) + letter.events
        while len(self._dead) > REMEMBERED:
            self._dead.popitem(last=False)

    def advance(self, at: Mapping[int, int]) -> None:
        """Take note of where the learner stands now, and wake those that waited for it."""
        self._at = dict(at)
        if not self._waiting:
            return
        still: list[_Waiting] = []
        for waiting in self._take_waiting():
            if waiting.passed.done():
                continue
            if self._is_passed(waiting.position):
                waiting.loop.call_soon_threadsafe(_settle, waiting.passed, self._found(waiting.position))
            else:
                still.append(waiting)
        self._waiting.extend(still)

    def _take_waiting(self) -> list[_Waiting]:
        taken, self._waiting = self._waiting, []
        return taken

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


def _settle(passed: asyncio.Future[Passed], found: Passed) -> None:
    if not passed.done():
        passed.set_result(found)


def _give_up(passed: asyncio.Future[Passed]) -> None:
    if not passed.done():
        passed.set_exception(TimeoutError())
