"""Batch models in the stream: `batch` scores with the newest version, `batch_champion` with the best one so far.

A batch model is trained elsewhere, on a cut of the log. Its item vectors are adopted between two events; a user's vector
is made anew for each event, from the user's live history (`eventlog.artefact` has the formulas), so whoever has had an
item with a vector is served as they are now, and nobody has to be known to the training.

Before a version is adopted, both rank as `popularity` does: by how many users have had an item. Afterwards, items
without vectors - new since the training - are ranked below all others, by that count. An event teaches the count alone.

The vectors are part of the state, with what they are (version, digest) and the event from which they were used: a
checkpoint needs no registry. `batch_champion` never adopts by itself: a sequential test of the two on the same events
promotes the challenger's version, or gives the challenger the champion's (`consumers.challenge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.batch_kernel import Encoder, Scratch, Vectors, gram_of, score_all, test_then_learn
from online_models.ids import grown
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range

_SMALLEST = 256
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class BatchConfig(ModelConfig):
    """adopt_every: events between the positions at which versions trained up to there are adopted, as in a replay.

    0: a version is adopted when it is ready (live).
    """

    adopt_every: int = 0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "adopt_every", least=0)


@dataclass(frozen=True)
class BatchChampionConfig(ModelConfig):
    """The sequential test against `batch`: see `evaluation.significance.SignificanceConfig`."""

    alpha: float = 0.05
    look_every: int = 5_000
    first_look: int = 5_000
    min_blocks: int = 50

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "alpha", above=0, most=0.5)
        check_range(self, "look_every", "first_look", least=1)
        check_range(self, "min_blocks", least=2)


class Factors(NamedTuple):
    """A batch model's arrays: item_in, item_out float32[n, d]; bias float32[n]; and how a user's vector is made."""

    item_in: NDArray[np.float32]
    item_out: NDArray[np.float32]
    bias: NDArray[np.float32]
    encoder: Encoder


class Version(NamedTuple):
    """Which version it is: number, sha256 (hex) of what scores depend on, and the first event it was used for."""

    number: int
    digest: str
    at: int


NO_VERSION = Version(0, "", -1)


class Batch(Model):
    """The newest version of the batch model that the lane follows."""

    name: ClassVar[str] = "batch"
    axes: ClassVar[Axes] = {
        "count": ("item",),
        "item_in": ("item", None),
        "item_out": ("item", None),
        "bias": ("item",),
        "has": ("item",),
    }
    config_type: ClassVar[type[ModelConfig]] = BatchConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._start(0)

    def _start(self, factors: int) -> None:
        self._count = np.zeros(_SMALLEST, np.int64)
        self._items = 0
        self._version = NO_VERSION
        self._encoder = Encoder()
        self._set_vectors(factors, np.zeros((0, 0)))

    def _set_vectors(self, factors: int, gram: NDArray[np.float64]) -> None:
        """Begin with no item's vectors, with room for all items."""
        room = len(self._count)
        self._vectors = Vectors(
            np.zeros((room, factors), np.float32),
            np.zeros((factors, room), np.float32),
            np.zeros(room, np.float32),
            np.zeros(room, np.uint8),
            gram,
        )
        self._scratch = Scratch(
            np.zeros(factors), np.zeros(gram.shape), np.zeros(room, np.float32), np.zeros(room)
        )

    @property
    def version(self) -> Version:
        """The version in use, `NO_VERSION` before there is one."""
        return self._version

    def adopt(self, factors: Factors, rows: NDArray[np.int32], version: Version) -> None:
        """Score with `factors` from now on. rows: int32[n], the items' rows; -1 for those without one, which are left out."""
        gram = np.zeros((0, 0))
        if factors.encoder.ridge:
            gram = np.zeros(2 * (factors.item_in.shape[1],))
            gram_of(factors.item_in, gram)
        self._set_vectors(factors.item_in.shape[1], gram)
        here = np.flatnonzero((rows >= 0) & (rows < self._items))
        self._fill(rows[here], factors.item_in[here], factors.item_out[here], factors.bias[here])
        self._encoder = factors.encoder._replace(adopted=1, items=len(factors.item_in))
        self._version = version

    def _fill(self, rows: NDArray[Any], item_in: Any, item_out: Any, bias: Any) -> None:
        self._vectors.item_in[rows] = item_in
        self._vectors.out_by_factor[:, rows] = item_out.T
        self._vectors.bias[rows] = bias
        self._vectors.has[rows] = 1

    def take_over(self, other: Batch, at: int) -> None:
        """Score from event `at` on with the version that `other`, which learned the same events, has."""
        self.restore(other.arrays())
        self._version = self._version._replace(at=at)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        self._reserve(int(events.item.max()) + 1)
        test_then_learn(
            events,
            histories,
            self._count,
            self._vectors,
            self._encoder,
            self._scratch,
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, items: int) -> None:
        self._items = max(self._items, items)
        if self._items <= len(self._count):
            return
        self._count = grown(self._count, self._items)
        room, vectors = len(self._count), self._vectors
        self._vectors = vectors._replace(
            item_in=grown(vectors.item_in, room),
            out_by_factor=np.ascontiguousarray(grown(vectors.out_by_factor.T, room).T),
            bias=grown(vectors.bias, room),
            has=grown(vectors.has, room),
        )
        self._scratch = self._scratch._replace(sums=np.zeros(room, np.float32), scores=np.zeros(room))

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`."""
        start = int(histories.start[user]) if user >= 0 else 0
        end = start + (int(histories.length[user]) if user >= 0 else 0)
        scratch = self._scratch._replace(scores=np.zeros(moment.items))
        had, times_ms = histories.items[start:end], histories.times_ms[start:end]
        score_all(
            had, times_ms, moment.time_ms, moment.items, self._count, self._vectors, self._encoder, scratch
        )
        return scratch.scores

    def retract(self, user: int, item: int) -> None:
        """See `Model.retract`: the user counts no more."""
        self._count[item] -= 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """count int64[items]; item_in, item_out float32[items, d]; bias float32[items]; has uint8[items]; gram.

        encoder: float64[11], the fields of `batch_kernel.Encoder`; version: int64[2], number and first event; digest:
        uint8[32], zeros before a version is adopted.
        """
        vectors, items = self._vectors, self._items
        number, digest, at = self._version
        raw = bytes.fromhex(digest) if digest else bytes(_DIGEST_BYTES)
        return {
            "count": self._count[:items],
            "item_in": vectors.item_in[:items],
            "item_out": vectors.out_by_factor[:, :items].T,
            "bias": vectors.bias[:items],
            "has": vectors.has[:items],
            "gram": vectors.gram,
            "encoder": np.array(self._encoder, np.float64),
            "version": np.array([number, at], np.int64),
            "digest": np.frombuffer(raw, np.uint8).copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start(0)
        self._reserve(len(arrays["count"]))
        self._count[: self._items] = arrays["count"]
        self._set_vectors(arrays["item_in"].shape[1], arrays["gram"].copy())
        rows = np.flatnonzero(arrays["has"])
        self._fill(rows, *(arrays[name][rows] for name in ("item_in", "item_out", "bias")))
        self._encoder = _encoder_of(arrays["encoder"])
        if self._encoder.adopted:
            number, at = arrays["version"].tolist()
            self._version = Version(number, arrays["digest"].tobytes().hex(), at)


class BatchChampion(Batch):
    """The version of the batch model that has not been beaten."""

    name: ClassVar[str] = "batch_champion"
    config_type: ClassVar[type[ModelConfig]] = BatchChampionConfig


def _encoder_of(values: NDArray[np.float64]) -> Encoder:
    """Read back what `arrays` wrote: each field in its own type, so that one kernel is compiled."""
    defaults = Encoder()
    return Encoder(*(type(default)(value) for default, value in zip(defaults, values.tolist(), strict=True)))
