"""The blend with the batch model as one more part of its score: see `blend_member` for the part, `blend` for the others.

It scores with the version that `batch` has, from the same event on, and learns online how much that version is worth to
whom: where it is stale, or bad, its weight falls. Before there is a version, it is the blend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from online_models.batch import Batch, Factors, Version
from online_models.batch_kernel import Vectors
from online_models.blend import Blend
from online_models.blend_config import BlendConfig
from online_models.interactions import Histories
from online_models.model import ModelConfig
from online_models.parameter_ranges import check_range

_OF_BATCH = "batch_"


@dataclass(frozen=True)
class BlendBatchConfig(BlendConfig):
    """first_batch_weight: of the batch model's part, before anything is learned."""

    first_batch_weight: float = 0.3

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "first_batch_weight", least=-1_000, most=1_000)


class BlendBatch(Blend):
    """The blend with a part of the batch model's."""

    name: ClassVar[str] = "blend_batch"
    config_type: ClassVar[type[ModelConfig]] = BlendBatchConfig
    config: BlendBatchConfig

    def _start(self) -> None:
        super()._start()
        self._batch = Batch(None, self.situation)
        self._state.member.weights.value[0] = self.config.first_batch_weight
        self._set_member()

    def _set_member(self) -> None:
        """Let the kernels score with what the batch model has."""
        batch, member = self._batch, self._state.member
        value = member.value if len(member.value) >= batch.room else np.zeros(batch.room, np.float32)
        self._state = self._state._replace(
            member=member._replace(
                vectors=batch.vectors, encoder=batch.encoder, scratch=batch.scratch, value=value
            )
        )

    @property
    def version(self) -> Version:
        """The version in use, `NO_VERSION` before there is one."""
        return self._batch.version

    def install(self, factors: Factors, prepared: Vectors, late: NDArray[np.int32], version: Version) -> None:
        """See `Batch.install`."""
        self._batch.install(factors, prepared, late, version)
        self._set_member()

    def take_over(self, other: Batch, at: int) -> None:
        """See `Batch.take_over`."""
        self._batch.take_over(other, at)
        self._set_member()

    def _reserve(self, items: int) -> None:
        super()._reserve(items)
        room = self._batch.room
        self._batch.reserve(items)
        if self._batch.room > room:
            self._set_member()

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        before = self._items
        super().keep(users, items, histories)
        if len(items) < before:
            self._batch.keep(users, items, histories)
            self._set_member()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `Blend.arrays`; of the batch model what `Batch.arrays` has but for counts, with batch_ before the name."""
        of_batch = {
            f"{_OF_BATCH}{name}": array for name, array in self._batch.arrays().items() if name != "count"
        }
        return super().arrays() | of_batch

    def _others(self) -> dict[str, NDArray[Any]]:
        weights = self._state.member.weights
        return super()._others() | {"member_value": weights.value, "member_squares": weights.squares}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        super().restore(arrays)
        of_batch = {
            name.removeprefix(_OF_BATCH): array
            for name, array in arrays.items()
            if name.startswith(_OF_BATCH)
        }
        self._batch.restore(of_batch | {"count": np.zeros(len(of_batch["has"]), np.int64)})
        self._set_member()
