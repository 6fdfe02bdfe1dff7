"""What a lane has taken from other lanes, and before which of its events: a journal beside the checkpoints.

What was taken changes what is predicted next, and the topic it came from keeps only the newest. So before a lane folds
anything in, what it takes is made durable here, with the number of the event that comes next; a restart folds the same in
at the same event. Entries go when every checkpoint that is kept has them in its state.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Final

import msgspec

from consumers.epochs import Epoch
from eventlog.errors import CheckpointError

_PREFIX: Final = "taken-"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Entry `number` (0, 1, ...): folded in before event `at` of the lane.

    values: {source: its records, in order}; next_offsets: {source: where reading goes on}.
    """

    number: int
    at: int
    values: dict[int, list[bytes]]
    next_offsets: dict[int, int]


_decoder = msgspec.msgpack.Decoder(Taken)


class ExchangeJournal:
    """The journal in the folder of a lane's checkpoints; epoch: of its owner, see `consumers.epochs`.

    Entries of a newer owner take the place of those of an older one.
    """

    def __init__(self, folder: Path, epoch: Epoch | None = None) -> None:
        self._folder = folder
        self._epoch = epoch

    def check(self) -> None:
        """Raise `FencedError` where another learner owns the lane."""
        if self._epoch is not None:
            self._epoch.check()

    def write(self, taken: Taken) -> None:
        """Make an entry durable. Raises `CheckpointError` when the disk refuses, `FencedError` for an older owner."""
        self.check()
        body = msgspec.msgpack.encode(taken)
        path = self._path(taken.number, 0 if self._epoch is None else self._epoch.number)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(zlib.crc32(body).to_bytes(4, "little") + body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            handle = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise CheckpointError(f"journal in {self._folder} failed: {error}") from error

    def read(self, number: int) -> Taken | None:
        """Entry `number`, None where there is none. Raises `CheckpointError` for one that is damaged."""
        newest = max(self._folder.glob(f"{_PREFIX}{number:010d}-*.bin"), default=None)
        if newest is None:
            return None
        path = newest
        data = path.read_bytes()
        try:
            if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
                raise ValueError("its checksum differs")
            return _decoder.decode(data[4:])
        except (ValueError, msgspec.MsgspecError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}): restore the folder from a backup, or delete the file, and the lane goes "
                "on with what is told anew"
            ) from error

    def prune(self, first: int) -> None:
        """Let entries below number `first` go."""
        for path in self._folder.glob(f"{_PREFIX}*.bin"):
            number = path.stem[len(_PREFIX) :].partition("-")[0]
            if number.isdigit() and int(number) < first:
                path.unlink(missing_ok=True)

    def _path(self, number: int, epoch: int) -> Path:
        return self._folder / f"{_PREFIX}{number:010d}-{epoch:010d}.bin"
