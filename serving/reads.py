"""Questions to the learner's state, answered by the thread that owns it, between two slices of learning.

Nothing else may look at the state: a read during a kernel's writes would tear. So each answer is of a state that
existed, after some event and before the next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from consumers.stream import Stream

Streams = Sequence[Stream]
Question = Callable[[Any], Any]  # of the state: of `Streams`, for the learner
BUDGET_S: Final = 0.002  # of answers between two slices, so that learning goes on under any load


class _Asked(NamedTuple):
    question: Question
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class Reads:
    """A queue of questions. `ask` from any event loop; `answer_some` by the thread that owns the state alone.

    arrived: set while a question waits.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Asked] = deque()
        self.arrived = threading.Event()
        self.answered = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, question: Question, timeout_s: float) -> Any:
        """Return the question's answer. Raises what it raises, and `TimeoutError`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Asked(question, loop, answer))
        self.arrived.set()
        late = loop.call_later(
            timeout_s, _settle, answer, None, TimeoutError()
        )  # wait_for would cost five times as much
        try:
            return await answer
        finally:
            late.cancel()

    def answer_some(self, state: Any, budget_s: float = BUDGET_S) -> int:
        """Answer those that wait, the oldest first, until the budget is used up; returns how many."""
        deadline_s = time.perf_counter() + budget_s
        count = 0
        while self._waiting and (count == 0 or time.perf_counter() < deadline_s):
            asked = self._waiting.popleft()
            count += 1
            if asked.answer.cancelled():
                continue
            try:
                found, error = asked.question(state), None
            except Exception as raised:  # of the question, which is not the learner's fault
                found, error = None, raised
            asked.loop.call_soon_threadsafe(_settle, asked.answer, found, error)
        if not self._waiting:
            self.arrived.clear()
            if self._waiting:  # one came between the two
                self.arrived.set()
        self.answered += count
        return count


def _settle(answer: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(found)
