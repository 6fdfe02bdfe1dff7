"""Checkpoints written in the background, from a snapshot of the whole process.

The learner forks. The child has the state as it was at that moment, for the system shares its pages and copies one only when
the learner goes on to write to it; it gathers the arrays, hashes and writes them, says what it wrote, and ends. So what stops
the learner is the fork: a copy of page tables, some milliseconds for gigabytes in huge pages (which numpy asks for). The price
is memory: the pages that change while a checkpoint is written are there twice.

The child touches no lock that another thread may have held when it was forked: it logs nothing, and leaves without cleaning
up. It closes the sockets that it was born with, or a port that its parent listened at would stay taken when the parent is
killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from consumers.checkpoint import CheckpointStore
from eventlog.errors import CheckpointError, FencedError

_GIVE_UP_AFTER_S = 600.0


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says at its end."""

    version: int = 0
    state_bytes: int = 0
    durable: list[str] = []
    error: str = ""
    fenced: bool = False


class Snapshot:
    """A checkpoint that a child of this process writes into `store`; save: writes it, and returns (version, bytes).

    pause_s: how long the fork took. Raises `CheckpointError` when the system refuses a child.
    """

    def __init__(self, store: CheckpointStore, save: Callable[[], tuple[int, int]]) -> None:
        self._store = store
        self._began_s = time.monotonic()
        reads, writes = os.pipe()
        before = store.durable_objects()
        started = time.perf_counter()
        try:
            self._child = os.fork()
        except OSError as error:
            os.close(reads)
            os.close(writes)
            raise CheckpointError(f"a checkpoint in {store.directory} cannot be begun: {error}") from error
        self.pause_s = time.perf_counter() - started
        if self._child == 0:
            _save_and_leave(writes, store, before, save)
        os.close(writes)
        self._pipe = reads
        self._said = b""

    def finished(self, timeout_s: float = 0.0) -> bool:
        """Whether the child has said all that it will, waiting at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while select.select([self._pipe], [], [], max(deadline - time.monotonic(), 0.0))[0]:
            part = os.read(self._pipe, 1 << 16)
            if not part:
                return True
            self._said += part
        if time.monotonic() - self._began_s > _GIVE_UP_AFTER_S:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
        return False

    def result(self) -> tuple[int, int]:
        """Version and bytes of the checkpoint, once it is durable; waits for it.

        Raises `CheckpointError` when it could not be written, `FencedError` where another learner owns the lane.
        """
        while not self.finished(1.0):
            pass
        os.close(self._pipe)
        os.waitpid(self._child, 0)
        try:
            report = msgspec.msgpack.decode(self._said, type=_Report)
        except msgspec.DecodeError:
            raise CheckpointError(
                f"checkpoint in {self._store.directory} failed: the process that wrote it was ended"
            ) from None
        if report.error:
            raise (FencedError if report.fenced else CheckpointError)(report.error)
        self._store.note_durable(report.durable)
        return report.version, report.state_bytes


def _save_and_leave(
    pipe: int, store: CheckpointStore, before: set[str], save: Callable[[], tuple[int, int]]
) -> None:
    """In the child: save, report, end."""
    try:
        # What is sent to the learner is the learner's.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        os.nice(5)
        _close_sockets()
        try:
            version, state_bytes = save()
            durable = sorted(store.durable_objects() - before)
            report = _Report(version=version, state_bytes=state_bytes, durable=durable)
        except BaseException as error:
            report = _Report(error=str(error) or repr(error), fenced=isinstance(error, FencedError))
        data = memoryview(msgspec.msgpack.encode(report))
        while data:
            data = data[os.write(pipe, data) :]
    finally:
        os._exit(0)


def _close_sockets() -> None:
    for entry in list(Path("/dev/fd").iterdir()):
        # The folder itself was open while it was listed.
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                os.close(int(entry.name))
