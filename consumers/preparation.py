"""What is done beforehand, so that adopting a batch model takes no longer than a few events.

The items' rows are looked up some at a time, between events; then the vectors are put in order of rows in the thread
that loads. What has changed by the adoption is made up for in it: items that have got a row since. After an eviction of
items, which numbers rows anew, all of it is done once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.model_versions import Loaded, ModelVersions
from online_models.batch import Batch, Version, prepare
from online_models.batch_kernel import Vectors
from online_models.blend_batch import BlendBatch
from online_models.ids import ABSENT

_IDS_A_TURN: Final = 8_192


class Preparation:
    """The preparation of `loaded` for model `batch` of a lane, and for `followers`, which score with what it has."""

    def __init__(
        self,
        loaded: Loaded,
        lane: Lane,
        batch: Batch,
        versions: ModelVersions,
        followers: Sequence[BlendBatch] = (),
    ) -> None:
        self.loaded = loaded
        self._lane = lane
        self._batch = batch
        self._versions = versions
        self._followers = followers
        self._begin()

    def _begin(self) -> None:
        self._evicted = self._lane.rows.evicted_items
        self._rows = np.full(len(self.loaded.ids), ABSENT, np.int32)
        self._looked_up = 0
        self._vectors: Future[Vectors] | None = None

    def advance(self) -> bool:
        """Do the next piece; returns whether everything is done."""
        if self._lane.rows.evicted_items != self._evicted:
            self._begin()
        first = self._looked_up
        if first < len(self._rows):
            part = slice(first, first + _IDS_A_TURN)
            self._rows[part] = self._lane.rows.items.find_all(self.loaded.ids[part])
            self._looked_up = first + _IDS_A_TURN
            return False
        if self._vectors is None:
            factors, rows = self.loaded.factors, self._rows.copy()
            room = max(self._batch.room, len(self._lane.rows.items))
            self._vectors = self._versions.in_background(lambda: prepare(factors, rows, room))
        return self._vectors.done()

    def install(self, version: Version) -> NDArray[np.int32]:
        """Let the models score with it from now on; returns the items' rows, int32[n], -1 without one."""
        assert self._vectors is not None
        missing = np.flatnonzero(self._rows == ABSENT)
        late = np.full(len(self._rows), ABSENT, np.int32)
        late[missing] = self._lane.rows.items.find_all(self.loaded.ids[missing])
        self._batch.install(self.loaded.factors, self._vectors.result(), late, version)
        for follower in self._followers:
            follower.install(self.loaded.factors, self._vectors.result(), late, version)
        return np.maximum(self._rows, late)
