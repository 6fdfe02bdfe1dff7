"""What starts a part of an API and stops it: a process, started again when it ends by itself; or a thread, for tests."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Final

from engram.serve_part import Order, run_part
from eventlog import errors
from eventlog.errors import EngramError
from serving.link import Link
from serving.wire import HEAD, READ_BYTES, Ended, Frames, FromOwner

STOP_TIMEOUT_S: Final = 45.0  # of a last checkpoint; whoever stops a service gives it a minute
_KILL_AFTER_S: Final = 5.0
MOST_RESTARTS: Final = 5  # within
_RESTARTS_WITHIN_S: Final = 60.0
_log = logging.getLogger(__name__)


class PartThread:
    """A part in a thread of this process, with what it says going to `link` as if it were elsewhere."""

    def __init__(self, order: Order, link: Link) -> None:
        self._order = order
        self._link = link
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=order.part, daemon=True)

    def begin(self) -> None:
        """Start it; `stop` is due from here on."""
        self._here, self._there = socket.socketpair()
        self._thread.start()

    def start(self) -> None:
        """Return when it answers. Raises what building the part raises."""
        try:
            self._link.connect(self._here, _first_word(self._here))
        except EngramError:
            self._thread.join()
            raise self._failure or EngramError(f"the {self._order.part} did not start") from None

    def stop(self) -> None:
        """Stop it, with a checkpoint. Raises what ended it before."""
        with contextlib.suppress(OSError):
            self._here.shutdown(socket.SHUT_WR)
        self._thread.join(STOP_TIMEOUT_S)
        self._link.disconnect(self._here)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            run_part(self._order, self._there, lambda: False)
        except BaseException as error:
            _log.exception("the %s has ended", self._order.part)
            self._failure = error


class PartProcess:
    """A part in a process of its own. One that ends by itself is started again, but not for ever: then the link has failed."""

    def __init__(self, order: Order, link: Link) -> None:
        self._order = order
        self._link = link
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._watch = threading.Thread(target=self._watched, name=f"watch-{order.part}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Return when it answers. Raises `EngramError` with what ended it instead."""
        self._meet()
        self._watch.start()

    def stop(self) -> None:
        """Ask it to end, with a checkpoint, and wait; after a time, end it."""
        with self._changing:
            self._stopping.set()
            if self._end is not None:  # perhaps it does not answer yet, and the link knows nothing of it
                with contextlib.suppress(OSError):
                    self._end.shutdown(socket.SHUT_WR)
        process = self._process
        if process is None:
            return
        for ask, timeout_s in ((process.terminate, STOP_TIMEOUT_S), (process.kill, _KILL_AFTER_S)):
            try:
                process.wait(timeout_s)
                break
            except subprocess.TimeoutExpired:
                _log.error("the %s did not end in %g s: %s", self._order.part, timeout_s, ask.__name__)
                ask()
        process.wait()
        if self._watch.is_alive():
            self._watch.join(_KILL_AFTER_S)
        if self._end is not None:
            self._link.disconnect(self._end)

    def begin(self) -> None:
        """Start it; `stop` is due from here on."""
        with self._changing:
            if self._stopping.is_set():
                return
            here, there = socket.socketpair()
            with there:
                number = there.fileno()
                # A session of its own: Ctrl-C reaches the parent alone, which stops its children in order.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "engram", "serve-part", self._order.part, str(number)],
                    stdin=subprocess.DEVNULL,
                    stdout=sys.__stderr__,
                    pass_fds=[number],
                    start_new_session=True,
                )
            self._end = here
        body = self._order.encoded()
        with contextlib.suppress(OSError):
            here.sendall(HEAD.pack(len(body)) + body)

    def _meet(self) -> None:
        """Wait until it answers, and connect. Raises `EngramError` where it ends instead."""
        assert self._end is not None
        first = _first_word(self._end)
        self._link.connect(self._end, first)

    def _watched(self) -> None:
        """Start it again, whenever it ends."""
        name, restarts = self._order.part, list[float]()
        while True:
            assert self._process is not None
            code = self._process.wait()
            assert self._end is not None
            self._link.disconnect(self._end)
            if self._stopping.is_set():
                return
            now_s = time.monotonic()
            restarts = [at for at in restarts if now_s - at < _RESTARTS_WITHIN_S] + [now_s]
            if len(restarts) > MOST_RESTARTS:
                given_up = EngramError(f"the {name} ends again and again, the last time with {_how(code)}")
                _log.error("%s; it is given up", given_up)
                self._link.failure = given_up
                return
            _log.error("the %s has ended with %s, and is started again", name, _how(code))
            self.begin()
            if self._stopping.is_set():
                return
            try:
                self._meet()
            except EngramError as error:
                _log.error("the %s did not start: %s", name, error)
                continue
            _log.info("the %s answers again", name)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _first_word(end: socket.socket) -> bytes:
    """What a part says first, when it is ready. Raises `EngramError`, of its own kind, where it says that it ended."""
    frames, found = Frames(FromOwner), b""
    while True:
        with contextlib.suppress(ConnectionError):
            if data := end.recv(READ_BYTES):
                found += data
                first: Any = next(frames.take(data), None)
                if isinstance(first, Ended):
                    raise _error_of(first)
                if first is not None:
                    return found
                continue
        raise EngramError("it ended before it answered; its log says why")


def _error_of(ended: Ended) -> EngramError:
    kind = getattr(errors, ended.error, None)
    if isinstance(kind, type) and issubclass(kind, EngramError):
        with contextlib.suppress(TypeError):  # some are made of more than a text
            return kind(ended.text)
    return EngramError(f"{ended.error}: {ended.text}")
