"""One owner at a time: an advisory lock on a file, which ends with its process however that ends."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from eventlog.errors import OwnedError

_RETRY_S = 0.05


class Owned:
    """Holds the lock `path`, a file that is created, until closed or until the process ends.

    wait_s: how long to wait for an owner that is just ending. Raises `OwnedError` with `message`.
    """

    def __init__(self, path: Path, message: str, wait_s: float = 0.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        # Also when it is dropped without being closed.
        self._close = weakref.finalize(self, os.close, file)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self._close()
                    raise OwnedError(message) from None
                time.sleep(_RETRY_S)

    def close(self) -> None:
        """Let another one have it."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
