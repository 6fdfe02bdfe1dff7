"""The hand-over of batch models to a lane: which version is scored with, and from which event on.

Versions change between two events. In a replay (`BatchConfig.adopt_every` = N) the version that was trained on the first
kN events is adopted before event kN, and the lane waits for it there: a replay's time is not the stream's. Live, a
version is loaded and verified beside the loop, and adopted before the event that comes next when it is ready; an
`Adopted` record, durable before that event is predicted, lets a restart do the same at the same event. What cannot be
used is refused with a reason, and the lane goes on with what it has.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from consumers.challenge import Challenge
from consumers.hand_over_steps import ADOPTED, PROMOTED, REFUSED, ROLLED_BACK, Step
from consumers.lane import Lane
from consumers.model_versions import ModelVersions, Ready
from consumers.predictions import PredictionBlock
from consumers.preparation import Preparation
from evaluation.named_arrays import Arrays
from eventlog.errors import ArtefactError
from eventlog.model_records import Adopted, Judged, ModelRecord
from online_models.batch import Batch, BatchChampion, BatchConfig, Version
from online_models.blend_batch import BlendBatch

ANY: Final = 1 << 40  # as many events as there may be
_log = logging.getLogger(__name__)


class HandOver:
    """The hand-over to the model `batch` of one lane, and from it to `batch_champion`, where the lane has that too.

    `blend_batch` has at each event the version that `batch` has.

    publish: makes records of the topic `models` durable before it returns.
    """

    def __init__(
        self, lane: Lane, versions: ModelVersions, publish: Callable[[list[ModelRecord]], None]
    ) -> None:
        self._lane = lane
        self._versions = versions
        self._publish = publish
        challenger = lane.models[Batch.name]
        champion = lane.models.get(BatchChampion.name)
        assert isinstance(challenger, Batch)
        assert isinstance(challenger.config, BatchConfig)
        self._batch = challenger
        self._champion = champion if isinstance(champion, BatchChampion) else None
        self._followers = [model for model in lane.models.values() if isinstance(model, BlendBatch)]
        self._challenge = Challenge(challenger, self._champion) if self._champion else None
        self._every = challenger.config.adopt_every
        self._next = self._every  # of a replay: where the next version is adopted
        self._recovering: dict[int, Adopted] = {}
        self._followed = -1  # offset of the last announcement that was adopted or refused, live
        self._unsaid: list[Step] = []
        self._preparing: Preparation | None = None
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.swap_seconds: list[float] = []  # not published yet

    @property
    def versions_in_use(self) -> dict[str, int]:
        """{online model: number of its version}, 0 before there is one."""
        models: list[Batch | BlendBatch] = [self._batch, *self._followers]
        if self._champion is not None:
            models.insert(1, self._champion)
        return {model.name: model.version.number for model in models}

    def room(self) -> int:
        """Make the step that is due before the next event; return how many events may be learned before another one.

        0: the step is due, and what it needs is not there yet.
        """
        at = self._lane.learned
        if self._every:
            rooms = [self._room_of_replay(at)]
        else:
            rooms = [self._room_of_recovery(at)]
            if rooms[0] == ANY:
                self._adopt_when_ready(at)
        if self._challenge is not None and self._challenge.open:
            rooms.append(self._challenge.room)
        return min(rooms)

    def _room_of_replay(self, at: int) -> int:
        if at >= self._next:
            self._versions.look()
            ready = self._versions.of_cut(self._next)
            if ready is None or not self._try(ready.said.version, ready.said.digest, at):
                return 0
            self._next += self._every
        return self._next - at

    def _room_of_recovery(self, at: int) -> int:
        """Repeat what an earlier life adopted after the checkpoint that this one began from."""
        due = self._recovering.pop(at, None)
        if due is not None:
            if not self._try(due.version, due.digest, at):
                self._recovering[at] = due
                return 0
            self._followed = max(self._followed, due.announced)
        return min((place - at for place in self._recovering), default=ANY)

    def _adopt_when_ready(self, at: int) -> None:
        self._versions.look()
        ready = self._versions.newest
        if ready is None or ready.offset <= self._followed:
            return
        # Announced again, as after a restart, it is what the lane has.
        same = ready.said.digest == self._batch.version.digest
        if same or self._try(ready.said.version, ready.said.digest, at, new=ready):
            self._followed = ready.offset

    def _try(self, version: int, digest: str, at: int, new: Ready | None = None) -> bool:
        """Adopt a version, or refuse it; False while it is being loaded. new: to be made durable first."""
        try:
            loaded = self._versions.loaded(version, digest)
        except ArtefactError as error:
            self._refuse(version, at, error)
            return True
        if loaded is None:
            return False
        if self._preparing is None or self._preparing.loaded is not loaded:
            self._preparing = Preparation(loaded, self._lane, self._batch, self._versions, self._followers)
        if not self._preparing.advance():
            return False
        started = time.perf_counter()
        if new is not None:
            said = Adopted(
                lane=self._lane.number,
                at=at,
                model=Batch.name,
                name=new.said.name,
                version=version,
                digest=digest,
                announced=new.offset,
            )
            self._publish([said])
        self._adopt(self._preparing, digest, at)
        self._preparing = None
        self.swap_seconds.append(time.perf_counter() - started)
        return True

    def _adopt(self, preparing: Preparation, digest: str, at: int) -> None:
        manifest = preparing.loaded.manifest
        rows = preparing.install(Version(manifest.version, digest, at))
        if self._challenge is not None:
            self._challenge.begin()
        self._say(at, Batch.name, ADOPTED, manifest.version)
        unknown = int((rows < 0).sum())
        _log.info(
            "lane %d: %s %d adopted before event %d; trained on %d events; %d of its %d items are unknown here",
            *(self._lane.number, self._versions.name, manifest.version, at, manifest.events, unknown, len(rows)),
        )  # fmt: skip

    def _refuse(self, version: int, at: int, error: ArtefactError) -> None:
        _log.error(
            "lane %d: %s %d is refused (%s), the stream goes on with version %d: %s",
            *(self._lane.number, self._versions.name, version, error.reason, self._batch.version.number, error),
        )  # fmt: skip
        self.refusals[error.reason] += 1
        self._say(at, Batch.name, REFUSED, version)

    def learned(self, block: PredictionBlock) -> PredictionBlock:
        """Take note of predictions of the lane; returns them with the steps that were made before them."""
        steps, self._unsaid = tuple(self._unsaid), []
        if self._challenge is not None and self._challenge.open:
            better = self._challenge.take(block)
            if better is not None:
                self._decide(better)
        return block._replace(steps=steps)

    def _decide(self, better: str) -> None:
        assert self._champion is not None
        assert self._challenge is not None
        at = self._lane.learned
        if better == Batch.name:
            self._champion.take_over(self._batch, at)
            model, step = BatchChampion.name, PROMOTED
        else:
            self._batch.take_over(self._champion, at)
            for follower in self._followers:
                follower.take_over(self._champion, at)
            model, step = Batch.name, ROLLED_BACK
        version = self._champion.version.number
        self._challenge.begin()
        self._say(at, model, step, version)
        _log.warning(
            "lane %d: %s %d %s before event %d",
            *(self._lane.number, self._versions.name, version, step.replace("_", " "), at),
        )
        said = Judged(lane=self._lane.number, at=at, step=step, name=self._versions.name, version=version)
        self._publish([said])
        # Each lane judges for itself; the alias is one, and the first lane's.
        if step == PROMOTED and self._lane.number == 0:
            self._versions.promote(version)

    def _say(self, at: int, model: str, step: str, version: int) -> None:
        self.counts[step] += 1
        self._unsaid.append(Step(at, model, step, self._versions.name, version))

    def arrays(self) -> Arrays:
        """Named arrays of the state."""
        return {} if self._challenge is None else self._challenge.arrays()

    def meta(self) -> dict[str, Any]:
        """JSON-able rest of the state."""
        return {
            "name": self._versions.name,
            "next": self._next,
            "followed": self._followed,
            "unsaid": [list(step) for step in self._unsaid],
            "counts": dict(self.counts),
            "refusals": dict(self.refusals),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what `arrays` and `meta` describe."""
        self._next = meta["next"]
        self._followed = meta["followed"]
        self._unsaid = [Step(*step) for step in meta["unsaid"]]
        self.counts, self.refusals = Counter(meta["counts"]), Counter(meta["refusals"])
        if self._challenge is not None:
            self._challenge.restore(arrays)

    def recover(self) -> None:
        """Once the lane stands where it goes on from: find what an earlier life adopted after that."""
        if not self._every:
            said = self._versions.adopted(self._lane.number, Batch.name)
            self._recovering = {one.at: one for one in said if one.at >= self._lane.learned}
