"""A lane with what feeds it and what keeps it: its intake and its checkpoints."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from consumers.checkpoint import CheckpointStore
from consumers.epochs import Epoch
from consumers.exchange import Exchange
from consumers.hand_over import HandOver
from consumers.intake import Intake
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_rows import under
from consumers.predictions import LaneSummary
from consumers.snapshot import Snapshot
from consumers.versions import versions
from eventlog.errors import CheckpointError, CheckpointMismatchError
from eventlog.log import Bounds, LogReader
from eventlog.ownership import Owned

_OWNER_ENDS_S = 10.0  # a learner that was stopped may still be ending
_log = logging.getLogger(__name__)


class Source(NamedTuple):
    """The topic that a learner reads, and how many partitions it has."""

    topic: str
    partitions: int


class Stream:
    """Lane `number` over `partitions` of `source`, gone on with from its newest checkpoint where there is one.

    hand_over: makes that of a lane which has batch models, else None. exchange: makes that of a lane which shares what it
    learns of items, from the folder of its checkpoints, else None. epochs: whether it is owned by epochs, in a group whose
    members may follow one another while they live, or by a lock.

    Raises `CheckpointError` (mismatch, corrupt, newer) as `CheckpointStore.load` and `Lane.restore` do.
    """

    def __init__(
        self,
        number: int,
        partitions: Sequence[int],
        source: Source,
        config: LaneConfig,
        directory: Path,
        hand_over: Callable[[Lane], HandOver] | None = None,
        exchange: Callable[[Lane, Path, Epoch | None], Exchange] | None = None,
        *,
        epochs: bool = False,
    ) -> None:
        self._source = source
        self.lane = Lane(number, partitions, source.partitions, config)
        self.hand_over = None if hand_over is None else hand_over(self.lane)
        self.intake = Intake(partitions)
        folder = lane_folder(directory, number)
        self._owned = None if epochs else own_lane(folder, _OWNER_ENDS_S)
        epoch = Epoch(folder) if epochs else None
        self.exchange = None if exchange is None else exchange(self.lane, folder, epoch)
        self._store = CheckpointStore(folder, epoch=epoch)
        self._folds: dict[int, int] = {}  # by version of the checkpoint
        self.snapshot: Snapshot | None = None
        self._snapshot_folds = 0
        checkpoint = self._store.load()
        self.restored = checkpoint is not None
        if checkpoint is not None:
            self._restore(checkpoint.arrays, checkpoint.meta)
        if self.hand_over is not None:
            self.hand_over.recover()
        if self.exchange is not None:
            self.exchange.recover()

    def _restore(self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> None:
        have = Source(meta["topic"], meta["topic_partitions"])
        if have != self._source:
            raise CheckpointMismatchError(
                f"checkpoint is of {have.topic} with {have.partitions} partitions, this learner reads "
                f"{self._source.topic} with {self._source.partitions}: name another checkpoint directory, or, where "
                "the topic has got more partitions, make one with `engram checkpoint repartition`"
            )
        self.lane.restore(arrays, meta["lane"])
        self.intake.restore(meta["intake"])
        if self.hand_over is not None and "hand_over" in meta:
            self.hand_over.restore(under("hand_over/", arrays), meta["hand_over"])
        if self.exchange is not None and "exchange" in meta:
            self.exchange.restore(under("exchange/", arrays), meta["exchange"])
        _log.info("lane %d goes on after %d events", self.lane.number, self.lane.learned)

    def hold_back(self, reader: LogReader) -> None:
        """Pause partitions that are far ahead of a merge, so that its buffers stay bounded."""
        full = self.intake.full
        reader.pause(full)
        reader.resume(set(self.lane.partitions) - full)

    @property
    def topic_partitions(self) -> int:
        """How many partitions the topic has."""
        return self._source.partitions

    @property
    def state_bytes(self) -> int:
        """About how many bytes a checkpoint takes."""
        models = sum(model.state_bytes for model in self.lane.models.values())
        return self.lane.shared_state_bytes + models

    def save(self) -> int:
        """Write a checkpoint of lane and intake; returns the bytes of its arrays."""
        version, state_bytes = self._save()
        self._saved(version, 0 if self.exchange is None else self.exchange.folds)
        return state_bytes

    def begin_save(self) -> None:
        """Begin to write a checkpoint of this moment in the background; `end_save` ends it. None may be under way."""
        self._snapshot_folds = 0 if self.exchange is None else self.exchange.folds
        self.snapshot = Snapshot(self._store, self._save)

    @property
    def saved(self) -> bool:
        """Whether `end_save` need not wait."""
        return self.snapshot is None or self.snapshot.finished()

    def end_save(self) -> int:
        """Wait until the checkpoint that was begun is durable; returns the bytes of its arrays. Raises as `save` does."""
        assert self.snapshot is not None
        snapshot, self.snapshot = self.snapshot, None
        version, state_bytes = snapshot.result()
        self._saved(version, self._snapshot_folds)
        return state_bytes

    def _save(self) -> tuple[int, int]:
        arrays = self.lane.arrays()
        meta = {
            "topic": self._source.topic,
            "topic_partitions": self._source.partitions,
            "lane": self.lane.meta(),
            "intake": self.intake.meta(),
        }
        if self.hand_over is not None:
            arrays.update({f"hand_over/{name}": array for name, array in self.hand_over.arrays().items()})
            meta["hand_over"] = self.hand_over.meta()
        if self.exchange is not None:
            arrays.update({f"exchange/{name}": array for name, array in self.exchange.arrays().items()})
            meta["exchange"] = self.exchange.meta()
        return self._store.save(arrays, meta), sum(array.nbytes for array in arrays.values())

    def _saved(self, version: int, folds: int) -> None:
        """Let go of what every checkpoint that is kept holds."""
        if self.exchange is not None:
            self._folds[version] = folds
            # Of checkpoints of an earlier life it is not known what they hold.
            self._folds = {one: self._folds.get(one, 0) for one in self._store.versions()}
            self.exchange.prune(min(self._folds.values()))

    def finished_before(self, bounds: Mapping[int, Bounds]) -> bool:
        """Whether the checkpoint is of the end: its summary was acknowledged, and nothing is left to read."""
        read = all(offset >= bounds[p].end for p, (offset, _) in self.intake.positions.items())
        return self.restored and self.intake.ended and read

    def close(self) -> None:
        """Let another learner have the checkpoints; one that is being written is waited for."""
        if self.snapshot is not None:
            with contextlib.suppress(CheckpointError):
                self.end_save()
        if self._owned is not None:
            self._owned.close()
        if self.exchange is not None:
            self.exchange.close()

    def summary(self, seconds: float) -> LaneSummary:
        """Return what is said when the lane's sources have ended."""
        return self.lane.summary(self.intake.accepted, self.intake.waiting, seconds, versions())


def lane_folder(directory: Path, number: int) -> Path:
    """Where the checkpoints of lane `number` are, of a learner whose checkpoints are in `directory`."""
    return directory / f"lane-{number}"


def own_lane(folder: Path, wait_s: float = 0.0) -> Owned:
    """Own the checkpoints in a lane's folder. Raises `OwnedError` where a learner does, after `wait_s` seconds."""
    return Owned(folder / "lock", f"another learner owns the checkpoints in {folder}: stop it first", wait_s)
