"""Who may write a lane's checkpoints: the newest owner, by a number that only rises.

A learner that was suspended, or cut off from its group, may wake up and still believe that a partition is its own: a
zombie. A lock would not tell, for the zombie holds it. So each owner claims the next epoch, a file that is created
exclusively beside the checkpoints, and looks before each write whether there is a newer one; then it is refused. Versions of
checkpoints begin with the epoch, so what a zombie might have written in between is older than all that its successor writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eventlog.errors import CheckpointError, FencedError

VERSIONS_AN_EPOCH: Final = 1_000_000
_PREFIX: Final = "epoch-"


class Epoch:
    """The claim of a new owner on the checkpoints in `folder`. Raises `CheckpointError` when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                self.number = self._newest() + 1
                try:
                    handle = os.open(self._path(self.number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
                except FileExistsError:
                    continue
                os.fsync(handle)
                os.close(handle)
                break
            for number in self._numbers():
                if number < self.number:
                    self._path(number).unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"an epoch cannot be claimed in {folder}: {error}") from error

    def next_version(self, versions: Sequence[int]) -> int:
        """The version of this epoch's next checkpoint, after `versions` (ascending): below all of a later epoch."""
        first = self.number * VERSIONS_AN_EPOCH + 1
        own = [version for version in versions if version < first + VERSIONS_AN_EPOCH]
        return max(first, own[-1] + 1 if own else first)

    def check(self) -> None:
        """Raise `FencedError` where there is a newer owner."""
        newest = self._newest()
        if newest > self.number:
            raise FencedError(
                f"{self._folder} is of epoch {newest} now, this learner had {self.number}: another one owns the lane, and "
                "nothing is written"
            )

    def _newest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        names = [path.name[len(_PREFIX) :] for path in self._folder.glob(f"{_PREFIX}*")]
        return [int(name) for name in names if name.isdigit()]

    def _path(self, number: int) -> Path:
        return self._folder / f"{_PREFIX}{number:010d}"
