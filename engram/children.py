"""Child processes of a command: started without a shell, watched, and stopped cleanly.

What a child says goes to a file. Lines of it that are JSON objects are for the parent, `{"ready": true}`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eventlog.errors import EngramError

_TAIL_LINES = 15
_log = logging.getLogger(__name__)


class Child:
    """One child process running `python -m engram ARGUMENTS`; its output is appended to `log_path`."""

    def __init__(
        self, name: str, arguments: Sequence[str], log_path: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as output:
            self._said_from = output.tell()
            # A session of its own: Ctrl-C reaches the parent alone, which stops its children in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engram", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise `EngramError` with the tail of its output if it has failed."""
        code = self._process.poll()
        if code:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise EngramError(f"the {self.name} {how}; the end of {self.log_path}:\n{self._tail()}")

    def said(self, key: str) -> Any:
        """The value of `key` in the last JSON line that has it; None before there is one."""
        with self.log_path.open("rb") as output:
            output.seek(self._said_from)
            for line in reversed(output.read().splitlines()):
                if line.startswith(b"{") and key in (message := json.loads(line)):
                    return message[key]
        return None

    def tell(self) -> None:
        """Say to a child that waits in `wait_for_word` that it may go on; one that has ended hears nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"\n")
                self._process.stdin.close()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended. Raises `EngramError` if it fails, or has not ended in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise EngramError(
                f"the {self.name} did not end in {timeout_s:g} s; the end of {self.log_path}:\n{self._tail()}"
            ) from None
        self.check()

    def stop(self, timeout_s: float = 60.0) -> None:
        """Ask it to end, wait, and end it if it does not."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                _log.error("the %s did not end in %g s and is killed", self.name, timeout_s)
                self._process.kill()
                self._process.wait()

    def _tail(self) -> str:
        with self.log_path.open("rb") as output:
            output.seek(self._said_from)
            lines = output.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])


def say(**message: Any) -> None:
    """Say one JSON line to the parent."""
    print(json.dumps(message), flush=True)


def wait_for_word() -> bool:
    """Wait for the parent's `tell`; False when the parent is gone, or has given up."""
    return bool(sys.stdin.readline())


def settle_memory() -> None:
    """Leave what is loaded by now out of every later search for garbage: one of all of it takes a tenth of a second."""
    gc.collect()
    gc.freeze()


class StopRequest:
    """True once SIGTERM or SIGINT has come, or (with_parent) the parent process is gone."""

    def __init__(self, *, with_parent: bool = False) -> None:
        self._stopped = False
        self._parent = os.getppid() if with_parent else None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def __bool__(self) -> bool:
        """Whether to stop."""
        return self._stopped or (self._parent is not None and os.getppid() != self._parent)

    def _stop(self, *_: object) -> None:
        if self._stopped:
            raise KeyboardInterrupt  # the second time: at once
        self._stopped = True
