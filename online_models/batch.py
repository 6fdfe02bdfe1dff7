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
_NO_NETWORK = np.zeros(0, np.float32)


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
    """A batch model's arrays, and how a user's vector is made.

    item_in: float32[n, d]; out_by_factor: float32[d, n]; bias: float32[n]; gram: float64[d, d], and network: float32[p],
    see `Vectors`.
    """

    item_in: NDArray[np.float32]
    out_by_factor: NDArray[np.float32]
    bias: NDArray[np.float32]
    gram: NDArray[np.float64]
    encoder: Encoder
    network: NDArray[np.float32] = _NO_NETWORK

    @classmethod
    def made(
        cls,
        item_in: NDArray[np.float32],
        item_out: NDArray[np.float32],
        bias: NDArray[np.float32],
        encoder: Encoder,
        network: NDArray[np.float32] = _NO_NETWORK,
    ) -> Factors:
        """Put them together from item_in and item_out, float32[n, d] both. May take long, and may run in a thread."""
        d = item_in.shape[1]
        gram = np.zeros((d, d) if encoder.ridge else (0, 0))
        if encoder.ridge:
            gram_of(item_in, gram)
        return cls(item_in, np.ascontiguousarray(item_out.T), bias, gram, encoder, network)


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
        self._start()

    def _start(self) -> None:
        self._count = np.zeros(_SMALLEST, np.int64)
        self._items = 0
        self._version = NO_VERSION
        self._set_vectors(_no_vectors(_SMALLEST, 0, np.zeros((0, 0)), _NO_NETWORK), Encoder())

    def _set_vectors(self, vectors: Vectors, encoder: Encoder) -> None:
        """Score with these, which have room for all items."""
        self._vectors, self._encoder = vectors, encoder
        room, factors = vectors.item_in.shape
        matrix = np.zeros(vectors.gram.shape)
        width = (factors - 1) // encoder.parts if encoder.blocks else 0
        self._scratch = Scratch(
            np.zeros(factors),
            matrix,
            np.zeros(room, np.float32),
            np.zeros(room),
            np.zeros((4, encoder.length if width else 0, width), np.float32),
        )

    @property
    def version(self) -> Version:
        """The version in use, `NO_VERSION` before there is one."""
        return self._version

    @property
    def room(self) -> int:
        """Items that the arrays have room for."""
        return len(self._count)

    @property
    def vectors(self) -> Vectors:
        """What it scores with: the items' vectors, with spare room."""
        return self._vectors

    @property
    def encoder(self) -> Encoder:
        """How it makes a user's vector."""
        return self._encoder

    @property
    def scratch(self) -> Scratch:
        """Room for what is worked out for an event, of the size that `vectors` has."""
        return self._scratch

    def adopt(self, factors: Factors, rows: NDArray[np.int32], version: Version) -> None:
        """Score with `factors` from now on. rows: int32[n], the items' rows, -1 for those without one."""
        self.install(factors, prepare(factors, rows, self.room), np.full(len(rows), -1, np.int32), version)

    def install(self, factors: Factors, prepared: Vectors, late: NDArray[np.int32], version: Version) -> None:
        """Score from now on with `factors` as `prepare` has put them in order of rows.

        late: int32[n], rows of items that were left out then and have one now, -1 for all others. Takes time for those
        alone, and for growing where `room` has grown since.
        """
        vectors = _grown(prepared, self.room)
        _fill(vectors, late, factors)
        self._set_vectors(vectors, factors.encoder._replace(adopted=1, items=len(factors.item_in)))
        self._version = version

    def take_over(self, other: Batch, at: int) -> None:
        """Score from event `at` on with the version that `other`, which learned the same events, has."""
        self.restore(other.arrays())
        self._version = self._version._replace(at=at)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        self.reserve(int(events.item.max()) + 1)
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

    def reserve(self, items: int) -> None:
        """Have room for `items` items; those that are new have no vectors."""
        self._items = max(self._items, items)
        if self._items <= len(self._count):
            return
        self._count = grown(self._count, self._items)
        self._set_vectors(_grown(self._vectors, self.room), self._encoder)

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
        """Count int64[items]; item_in, item_out float32[items, d]; bias float32[items]; has uint8[items]; gram.

        network: float32[p]. encoder: float64[15], the fields of `batch_kernel.Encoder`; version: int64[2], number and first
        event; digest: uint8[32], zeros before a version is adopted.
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
            "network": vectors.network,
            "encoder": np.array(self._encoder, np.float64),
            "version": np.array([number, at], np.int64),
            "digest": np.frombuffer(raw, np.uint8).copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        self.reserve(len(arrays["count"]))
        self._count[: self._items] = arrays["count"]
        item_in, out_by_factor = arrays["item_in"], np.ascontiguousarray(arrays["item_out"].T)
        network = arrays.get("network", _NO_NETWORK).copy()  # checkpoints of before attention have none
        encoder = _encoder_of(arrays["encoder"])
        factors = Factors(item_in, out_by_factor, arrays["bias"], arrays["gram"].copy(), encoder, network)
        rows = np.where(arrays["has"], np.arange(self._items, dtype=np.int32), np.int32(-1))
        self._set_vectors(prepare(factors, rows, self.room), encoder)
        if self._encoder.adopted:
            number, at = arrays["version"].tolist()
            self._version = Version(number, arrays["digest"].tobytes().hex(), at)


class BatchChampion(Batch):
    """The version of the batch model that has not been beaten."""

    name: ClassVar[str] = "batch_champion"
    config_type: ClassVar[type[ModelConfig]] = BatchChampionConfig


def prepare(factors: Factors, rows: NDArray[np.int32], room: int) -> Vectors:
    """Put `factors` in order of rows, with room for `room` items; may take long, and may run in a thread.

    rows: int32[n], below `room`; -1 for items without one, which are left out.
    """
    vectors = _no_vectors(room, factors.item_in.shape[1], factors.gram, factors.network)
    _fill(vectors, rows, factors)
    return vectors


def _no_vectors(room: int, factors: int, gram: NDArray[np.float64], network: NDArray[np.float32]) -> Vectors:
    return Vectors(
        np.zeros((room, factors), np.float32),
        np.zeros((factors, room), np.float32),
        np.zeros(room, np.float32),
        np.zeros(room, np.uint8),
        gram,
        network,
    )


def _fill(vectors: Vectors, rows: NDArray[np.int32], factors: Factors) -> None:
    at = np.flatnonzero(rows >= 0)
    rows = rows[at]
    vectors.item_in[rows] = factors.item_in[at]
    for of_items, values in zip(vectors.out_by_factor, factors.out_by_factor, strict=True):
        of_items[rows] = values[at]
    vectors.bias[rows] = factors.bias[at]
    vectors.has[rows] = 1


def _grown(vectors: Vectors, room: int) -> Vectors:
    """Return the same with room for `room` items."""
    if room <= len(vectors.has):
        return vectors
    larger = _no_vectors(room, vectors.item_in.shape[1], vectors.gram, vectors.network)
    have = len(vectors.has)
    larger.item_in[:have], larger.out_by_factor[:, :have] = vectors.item_in, vectors.out_by_factor
    larger.bias[:have], larger.has[:have] = vectors.bias, vectors.has
    return larger


def _encoder_of(values: NDArray[np.float64]) -> Encoder:
    """Read back what `arrays` wrote: each field in its own type, so that one kernel is compiled.

    Fields that an older program did not know yet have their defaults.
    """
    typed = {
        name: type(default)(value)
        for (name, default), value in zip(Encoder()._asdict().items(), values.tolist(), strict=False)
    }
    return Encoder(**typed)
