"""A lane with what feeds it and what keeps it: its intake and its checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from consumers.checkpoint import CheckpointStore
from consumers.exchange import Exchange
from consumers.hand_over import HandOver
from consumers.intake import Intake
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_rows import under
from consumers.predictions import LaneSummary
from consumers.versions import versions
from eventlog.errors import CheckpointMismatchError
from eventlog.log import Bounds
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
    learns of items, from the folder of its checkpoints, else None.

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
        exchange: Callable[[Lane, Path], Exchange] | None = None,
    ) -> None:
        self._source = source
        self.lane = Lane(number, partitions, source.partitions, config)
        self.hand_over = None if hand_over is None else hand_over(self.lane)
        self.intake = Intake(partitions)
        folder = lane_folder(directory, number)
        self._owned = own_lane(folder, _OWNER_ENDS_S)
        self.exchange = None if exchange is None else exchange(self.lane, folder)
        self._store = CheckpointStore(folder)
        self._folds: dict[int, int] = {}  # by version of the checkpoint
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

    def save(self) -> int:
        """Write a checkpoint of lane and intake; returns the bytes of its arrays."""
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
        version = self._store.save(arrays, meta)
        if self.exchange is not None:
            self._folds[version] = self.exchange.folds
            kept = self._store.versions()
            # Of checkpoints of an earlier life it is not known what they hold.
            self.exchange.prune(min(self._folds.get(one, 0) for one in kept))
            self._folds = {one: self._folds.get(one, 0) for one in kept}
        return sum(array.nbytes for array in arrays.values())

    def finished_before(self, bounds: Mapping[int, Bounds]) -> bool:
        """Whether the checkpoint is of the end: its summary was acknowledged, and nothing is left to read."""
        read = all(offset >= bounds[p].end for p, (offset, _) in self.intake.positions.items())
        return self.restored and self.intake.ended and read

    def close(self) -> None:
        """Let another learner have the checkpoints."""
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
