"""Champion and challenger: whether the newest version of a batch model is better than the best so far.

Both predict every event. Their ranks go through the sequential test of `evaluation.significance`, begun anew with each
version that the challenger adopts, so that the chance of a wrong decision on a pair of versions is alpha at most, however
often one looks. Looks are at events that the sequence fixes, so a decision is part of the stream and is repeated by a
replay or a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.predictions import PredictionBlock
from evaluation.named_arrays import Arrays
from evaluation.ranking import clip_ranks
from evaluation.significance import Comparison, SignificanceConfig
from online_models.batch import Batch, BatchChampion, BatchChampionConfig


class Challenge:
    """The test between two models of a lane."""

    def __init__(self, challenger: Batch, champion: BatchChampion) -> None:
        self._challenger = challenger
        self._champion = champion
        self._comparison = self._new()

    def _new(self) -> Comparison:
        config = self._champion.config
        assert isinstance(config, BatchChampionConfig)
        said = SignificanceConfig(
            alpha=config.alpha,
            look_every=config.look_every,
            first_look=config.first_look,
            min_blocks=config.min_blocks,
        )
        return Comparison((Batch.name, BatchChampion.name), (BatchChampion.name,), said)

    @property
    def open(self) -> bool:
        """Whether there is anything to decide: the two have different versions."""
        return self._challenger.version.digest != self._champion.version.digest

    @property
    def room(self) -> int:
        """Events until the next look."""
        every = self._comparison.config.look_every
        return every - self._comparison.events % every

    def begin(self) -> None:
        """Forget what was counted: the challenger has another version."""
        self._comparison = self._new()

    def take(self, block: PredictionBlock) -> str | None:
        """Take predictions of both; return the name of the better model where the test decides."""
        clipped = np.array([clip_ranks(block.ranks[name]) for name in self._comparison.models], np.uint8)
        self._comparison.update(clipped, block.user_hash, block.event_time_ms)
        decided = self._comparison.decision(0)
        return None if decided is None else decided[1]

    def arrays(self) -> Arrays:
        """Named arrays of the state."""
        return self._comparison.arrays()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        self._comparison.restore(arrays)
