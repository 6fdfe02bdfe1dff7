"""Questions to the owner of a state, from an event loop: the other end of `serving.desk`, in this process or another.

The owner may end and come again (`connect`): who asks meanwhile is told so at once, and who waits for a position goes on
waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import threading
import time
from typing import Any, Final, NamedTuple

import msgspec

from eventlog.errors import EngramError
from serving.positions import Positions
from serving.question import Question, UnknownError
from serving.wire import (
    READ_BYTES,
    Answer,
    Asked,
    Ended,
    Frames,
    FromOwner,
    Refusal,
    Stands,
    Written,
    framed,
)

MOST_WAITING: Final = 2_000  # questions
_GONE: Final = "is starting again, expected it back in some seconds"
_encode: Final = msgspec.msgpack.Encoder().encode


class AwayError(EngramError):
    """Who answers is not there, or has too much to answer: ask again a little later."""


class QuestionFailedError(Exception):
    """An answer failed for a reason that is no fault of who asked."""


class _Waits(NamedTuple):
    question: type[Question]
    answer: asyncio.Future[Any]


class Link:
    """One end of a socket to the owner of a state, called `name` in what is said. Made without one: nobody is there yet.

    positions: where the owner stands. beaten_at_s: when it was heard of, monotonic. failure: why it will not come again,
    None while it may. `connect`, `disconnect` and `wake` from any thread; the rest from one event loop at a time.
    A socket is closed by the link, once nobody is at its other end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.positions = Positions()
        self.beaten_at_s = time.monotonic()
        self.failure: Exception | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames(FromOwner)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waits] = {}
        self._sending = threading.Lock()
        self._unsent = b""

    @property
    def connected(self) -> bool:
        """Whether somebody is at the other end, as far as is known."""
        return self._socket is not None

    def attach(self) -> None:
        """Hear what the other end says in the event loop that runs; `ask` and `passed` do it by themselves."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._loop = loop
        self._fail_all()  # those of a loop that is no more
        self.positions.forget_waiting()
        if self._socket is not None:
            loop.add_reader(self._socket, self._hear)

    def connect(self, end: socket.socket, first: bytes = b"") -> None:
        """Speak over another socket from now on; first: what was heard over it already."""
        end.setblocking(False)
        self._in_loop(functools.partial(self._connect, end, first))

    def disconnect(self, end: socket.socket) -> None:
        """Take note that nobody is at the other end of this socket any more."""
        self._in_loop(functools.partial(self._disconnect, end))

    def wake(self) -> None:
        """Say that there are new events in the log."""
        self._send(_WRITTEN)

    async def ask(self, question: Question, timeout_s: float) -> Any:
        """Return the question's answer.

        Raises `UnknownError` and `ValueError` as the question does, `AwayError`, `TimeoutError`, `QuestionFailedError`.
        """
        self.attach()
        assert self._loop is not None
        if self._socket is None:
            raise AwayError(str(self.failure) if self.failure is not None else f"the {self._name} {_GONE}")
        if len(self._waiting) >= MOST_WAITING:
            raise AwayError(f"{MOST_WAITING:,} questions wait for the {self._name}, expected fewer")
        number, answer = next(self._numbers), self._loop.create_future()
        self._waiting[number] = _Waits(type(question), answer)
        # wait_for would cost five times as much
        late = self._loop.call_later(timeout_s, _settle_error, answer, TimeoutError())
        try:
            raw = msgspec.Raw(_encode(question))
            self._send(framed(Asked(number, time.monotonic() + timeout_s, type(question).__name__, raw)))
            return await answer
        finally:
            late.cancel()
            self._waiting.pop(number, None)

    def _in_loop(self, what: Any) -> None:
        loop = self._loop
        with contextlib.suppress(RuntimeError):  # it was closed in between
            if loop is not None and loop.is_running():
                loop.call_soon_threadsafe(what)
                return
        what()

    def _connect(self, end: socket.socket, first: bytes) -> None:
        if self._socket is not None:
            self._disconnect(self._socket)
        with self._sending:
            self._socket, self._unsent = end, b""
        self._frames = Frames(FromOwner)
        self.beaten_at_s = time.monotonic()
        self._take(first)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.add_reader(end, self._hear)

    def _disconnect(self, end: socket.socket) -> None:
        if end is not self._socket:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(end)
            self._loop.remove_writer(end)
        with self._sending:
            self._socket = None
            end.close()
        self._fail_all()

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for waits in waiting.values():
            with contextlib.suppress(RuntimeError):  # its loop is closed
                _settle_error(waits.answer, AwayError(f"the {self._name} {_GONE}"))

    def _hear(self) -> None:
        end = self._socket
        if end is None:
            return
        try:
            data = end.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._disconnect(end)

    def _take(self, data: bytes) -> None:
        for message in self._frames.take(data):
            match message:
                case Answer():
                    if (waits := self._waiting.get(message.number)) is not None and not waits.answer.done():
                        waits.answer.set_result(_decoder(waits.question.answer)(message.found))
                case Refusal():
                    if (waits := self._waiting.get(message.number)) is not None:
                        _settle_error(waits.answer, _error_of(message))
                case Stands():
                    self.beaten_at_s = time.monotonic()
                    self.positions.advance(message.at, message.dead)
                case Ended():
                    pass  # its process ends, which whoever started it sees

    def _send(self, data: bytes) -> None:
        with self._sending:
            if self._socket is None:
                return
            if self._unsent:
                self._unsent += data
                return
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # it is gone, which is heard, too
                return
            if sent < len(data):
                self._unsent = data[sent:]
                self._in_loop(self._send_later)

    def _send_later(self) -> None:
        if self._loop is not None and self._socket is not None:
            self._loop.add_writer(self._socket, self._send_rest)

    def _send_rest(self) -> None:
        with self._sending:
            end = self._socket
            if end is None or self._loop is None:
                return
            with contextlib.suppress(BlockingIOError, OSError):
                self._unsent = self._unsent[end.send(self._unsent) :]
            if not self._unsent:
                self._loop.remove_writer(end)


_WRITTEN: Final = framed(Written())


@functools.cache
def _decoder(kind: Any) -> Any:
    return msgspec.msgpack.Decoder(kind).decode


def _error_of(refusal: Refusal) -> Exception:
    kinds = {"unknown": UnknownError, "value": ValueError, "failure": QuestionFailedError}
    return kinds[refusal.fault](refusal.text)


def _settle_error(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
