"""Where the owner of a state answers questions to it, in its own thread and when it likes: `serving.link` is the other end."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from eventlog.deadletter import DeadLetter
from serving.question import KINDS, Question, UnknownError
from serving.wire import (
    READ_BYTES,
    Answer,
    Asked,
    DeadEvents,
    Ended,
    Fault,
    Frames,
    FromOwner,
    Refusal,
    Stands,
    ToOwner,
    framed,
)

BUDGET_S: Final = 0.002  # of answers between two slices of learning, so that it goes on under any load
BEAT_S: Final = 1.0  # between two words of where the owner stands, where it does not move
_log = logging.getLogger(__name__)
_encode: Final = msgspec.msgpack.Encoder().encode


class Desk:
    """One end of a socket. written: whether events were written since the owner looked. closed: the other end is gone.

    Nothing here waits for the other end, but `close`: what it does not read is kept.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._frames = Frames(ToOwner)
        self._asked: deque[Asked] = deque()
        self._unsent = b""
        self._at: dict[int, int] = {}
        self._said_s = float("-inf")
        self._dead: list[DeadEvents] = []
        self.written = False
        self.closed = False

    def wait(self, timeout_s: float) -> None:
        """Return when the other end says something, at once where questions wait, or after a time."""
        if not self._asked:
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN)
            self._poll.poll(timeout_s * 1000)
        self._collect()

    def answer_some(self, state: Any, budget_s: float = BUDGET_S) -> int:
        """Answer those who wait, the oldest first, until the budget is used up; returns how many."""
        self._collect()
        if not self._asked:
            return 0
        deadline_s = time.perf_counter() + budget_s
        count, answers = 0, []
        while self._asked and (count == 0 or time.perf_counter() < deadline_s):
            asked = self._asked.popleft()
            if time.monotonic() < asked.until_s:
                answers.append(framed(_answered(asked, state)))
                count += 1
        self._send(b"".join(answers))
        return count

    def note_dead(self, letters: Sequence[DeadLetter]) -> None:
        """Take note of events that could not be used; said with the next `stand`."""
        self._dead += [DeadEvents(one.partition, one.offset, one.reason.value, one.events) for one in letters]

    def stand(self, at: Mapping[int, int]) -> None:
        """Say where the owner stands, where it has moved; and now and then that it is there."""
        if self._unsent:  # the newest is enough
            return
        if at != self._at or time.monotonic() - self._said_s > BEAT_S:
            dead, self._dead, self._at = self._dead, [], dict(at)
            self._said_s = time.monotonic()
            self._send(framed(Stands(self._at, dead)))

    def end(self, error: BaseException) -> None:
        """Say that the owner cannot go on."""
        self._send(framed(Ended(type(error).__name__, str(error))))

    def close(self) -> None:
        """Close, with what is unsent sent if the other end takes it within a second."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(1.0)
            self._socket.sendall(self._unsent)
        self._socket.close()

    def _collect(self) -> None:
        """Hear what was said, and say what is unsent, as far as the other end takes it."""
        self._send(b"")
        while not self.closed:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            for message in self._frames.take(data):
                if isinstance(message, Asked):
                    self._asked.append(message)
                else:
                    self.written = True
            if len(data) < READ_BYTES:
                return

    def _send(self, data: bytes) -> None:
        data = self._unsent + data if self._unsent else data
        if not data or self.closed:
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.closed, sent = True, len(data)
        self._unsent = data[sent:]


def _answered(asked: Asked, state: Any) -> FromOwner:
    try:
        question: Question = msgspec.msgpack.decode(asked.question, type=KINDS[asked.kind])
        return Answer(asked.number, msgspec.Raw(_encode(question.of(state))))
    except UnknownError as error:
        return _refusal(asked, "unknown", error)
    except ValueError as error:
        return _refusal(asked, "value", error)
    except Exception as error:  # of the question, which is not the owner's fault
        _log.exception("a question failed: %s", asked.kind)
        return _refusal(asked, "failure", error)


def _refusal(asked: Asked, fault: Fault, error: Exception) -> Refusal:
    return Refusal(asked.number, fault, str(error.args[0] if error.args else error))
