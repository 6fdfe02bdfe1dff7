"""Questions over a socket to whoever owns the state: answered, refused, too many, and an owner that ends and comes again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from eventlog.deadletter import DeadLetter, Reason
from serving.desk import Desk
from serving.link import MOST_WAITING, AwayError, Link, QuestionFailedError
from serving.positions import Passed, Position
from serving.question import Question, UnknownError


class Repeated(Question):
    """Ask for a text as often as the state says."""

    answer: ClassVar[Any] = str
    text: str

    def of(self, state: int) -> str:
        """See `Question.of`."""
        if state == 0:
            raise UnknownError("there is no state")
        if state < 0:
            raise ValueError(f"state is {state}, expected more than 0")
        return self.text * state


Pair = tuple[Link, Desk, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A link, the desk that it is connected to, and the link's end."""
    here, there = socket.socketpair()
    link, desk = Link("owner"), Desk(there)
    link.connect(here)
    yield link, desk, here
    desk.close()
    link.disconnect(here)


async def answered(desk: Desk, state: Any, asked: asyncio.Task[Any]) -> Any:
    """Answer until the question that was asked is settled."""
    while not asked.done():
        desk.answer_some(state)
        await asyncio.sleep(0)
    return await asked


def test_a_question_is_answered_as_its_state_is(pair: Pair) -> None:
    async def conversation() -> None:
        link, desk, _ = pair

        def asked(text: str) -> asyncio.Task[Any]:
            return asyncio.create_task(link.ask(Repeated(text), 10.0))

        assert await answered(desk, 2, asked("ab")) == "abab"
        # Longer than what a socket holds.
        assert len(await answered(desk, 1_000_000, asked("ab"))) == 2_000_000
        long = "c" * 1_000_000
        assert await answered(desk, 1, asked(long)) == long
        with pytest.raises(UnknownError, match="there is no state"):
            await answered(desk, 0, asked("ab"))
        with pytest.raises(ValueError, match="state is -1, expected more than 0"):
            await answered(desk, -1, asked("ab"))
        with pytest.raises(QuestionFailedError):
            await answered(desk, None, asked("ab"))
        with pytest.raises(TimeoutError):
            await link.ask(Repeated("ab"), 0.01)
        assert desk.answer_some(1) == 0  # nobody waits for it any more
        link.wake()
        desk.wait(10.0)
        assert desk.written

    asyncio.run(conversation())


def test_too_many_questions_are_turned_away(pair: Pair) -> None:
    async def conversation() -> None:
        link, desk, _ = pair
        asked = [asyncio.create_task(link.ask(Repeated("a"), 60.0)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(AwayError, match="2,000 questions wait for the owner"):
            await link.ask(Repeated("a"), 60.0)
        assert {await answered(desk, 1, one) for one in asked} == {"a"}

    asyncio.run(conversation())


def test_who_asks_an_owner_that_has_ended_is_told_so_and_who_waits_for_a_position_waits_on(
    pair: Pair,
) -> None:
    async def conversation() -> None:
        link, desk, here = pair
        letter = DeadLetter(
            topic="t", partition=0, offset=4, index=-1, reason=Reason.UNDECODABLE, detail="", payload=b""
        )
        desk.note_dead([letter])
        desk.stand({0: 5})
        asked = asyncio.create_task(link.ask(Repeated("a"), 60.0))
        while link.positions.at != {0: 5}:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(link.positions.wait(Position({0: 7}), 60.0))
        assert await link.positions.wait(Position({0: 4}), 1.0) == Passed("0-4", {"undecodable": 1})
        desk.close()
        with pytest.raises(AwayError, match="the owner is starting again"):
            await asked
        with pytest.raises(AwayError):
            await link.ask(Repeated("a"), 60.0)
        assert not link.connected

        # From its checkpoint on: what it says of the way is said once.
        new_here, new_there = socket.socketpair()
        link.connect(new_here)
        again = Desk(new_there)
        again.stand({0: 3})
        while link.positions.at != {0: 3}:
            await asyncio.sleep(0)
        again.note_dead([letter])
        again.stand({0: 8})
        assert await waiting == Passed("0-7", {})
        assert await link.positions.wait(Position({0: 4}), 1.0) == Passed("0-4", {"undecodable": 1})
        assert await answered(again, 3, asyncio.create_task(link.ask(Repeated("a"), 60.0))) == "aaa"
        link.disconnect(here)  # of long ago
        assert link.connected
        again.close()
        link.disconnect(new_here)

    asyncio.run(conversation())


def test_an_owner_waits_for_nobody_who_does_not_listen(pair: Pair) -> None:
    link, desk, here = pair
    for at in range(100_000):
        desk.stand({0: at})
    assert not desk.closed

    async def conversation() -> None:
        link.attach()
        while link.positions.at != {0: 99_999}:
            desk.answer_some(None)
            desk.stand({0: 99_999})
            await asyncio.sleep(0)

    asyncio.run(conversation())
    link.disconnect(here)
    desk.answer_some(None)
    assert desk.closed
