"""Versions of one batch model, as the topic `models` announces them and the registry holds them.

Artefacts are read and verified in a thread of their own: the loop that learns never waits for a disk or a bucket.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from eventlog.artefact import Artefact, Attention, Manifest, Ridge, digest_of
from eventlog.errors import ArtefactCorruptError, ArtefactError, ArtefactMismatchError
from eventlog.log import Log
from eventlog.model_records import PARTITION, Adopted, Announced, decode_model_record
from eventlog.model_registry import ModelRegistry
from online_models.batch import Factors
from online_models.batch_kernel import Encoder, Vectors

_LOOK_EVERY_S: Final = 0.2
_RECORDS_A_POLL: Final = 1024
_WAIT_S: Final = 1.0
_LOADED: Final = 4  # artefacts that are held, at most
_log = logging.getLogger(__name__)

Key = tuple[int, str]  # version and digest


class Loaded(NamedTuple):
    """An artefact, verified, as the online model takes it. ids: `S<width>`[items]."""

    manifest: Manifest
    ids: NDArray[np.bytes_]
    factors: Factors


class Ready(NamedTuple):
    """An announcement, and its offset in the topic."""

    offset: int
    said: Announced


class ModelVersions:
    """Follows batch model `name` in `topic` of `log`, which is made where it is missing.

    scale: of the ratings, which a version must have too.
    """

    def __init__(
        self, log: Log, topic: str, registry: ModelRegistry, name: str, scale: tuple[float, float]
    ) -> None:
        self.name = name
        self._registry = registry
        self._scale = scale
        self._of_cut: dict[int, Ready] = {}
        self._newest: Ready | None = None
        self._adopted: list[Adopted] = []
        self._thread = ThreadPoolExecutor(1, "engram-load-model")
        self._loads: dict[Key, Future[Loaded]] = {}
        log.create_topic(topic, 1)
        end = log.bounds(topic)[PARTITION].end
        self._reader = log.reader(topic, [PARTITION])
        while self._reader.position(PARTITION) < end:
            self._read(_WAIT_S)
        self._looked_at = time.monotonic()

    def look(self) -> None:
        """Take what the topic has got since, without waiting; at most every 0.2 s."""
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._read(0.0)
            self._looked_at = time.monotonic()

    def _read(self, timeout_s: float) -> None:
        for batch in self._reader.poll(_RECORDS_A_POLL, timeout_s):
            for offset, value in zip(batch.offsets.tolist(), batch.values, strict=True):
                try:
                    said = decode_model_record(value or b"")
                except msgspec.DecodeError as error:
                    _log.warning("record %d of %s is left out: %s", offset, batch.topic, error)
                    continue
                if said.name == self.name and isinstance(said, Announced):
                    self._of_cut[said.events] = self._newest = Ready(offset, said)
                    # One that failed may have been repaired.
                    self._loads.pop((said.version, said.digest), None)
                elif said.name == self.name and isinstance(said, Adopted):
                    self._adopted.append(said)

    def of_cut(self, events: int) -> Ready | None:
        """The version that was trained on the first `events` events, once it is announced."""
        return self._of_cut.get(events)

    @property
    def newest(self) -> Ready | None:
        """What was announced last."""
        return self._newest

    def adopted(self, lane: int, model: str) -> list[Adopted]:
        """What lane `lane` has adopted in online model `model`, as far as the topic was read."""
        return [said for said in self._adopted if (said.lane, said.model) == (lane, model)]

    def loaded(self, version: int, digest: str) -> Loaded | None:
        """The artefact, verified and prepared; None while it is being loaded, which the first call begins.

        Raises `ArtefactError` for one that cannot be used.
        """
        key = (version, digest)
        if key not in self._loads:
            self._loads[key] = self._thread.submit(self._load, version, digest)
            for oldest in list(self._loads)[:-_LOADED]:
                del self._loads[oldest]
        found = self._loads[key]
        return found.result() if found.done() else None

    def _load(self, version: int, digest: str) -> Loaded:
        try:
            artefact = self._registry.load(self.name, version)
        except ArtefactError:
            raise
        except Exception as error:  # whatever a store raises, the stream goes on
            raise ArtefactError(f"{self.name} {version} cannot be read: {error!r}") from error
        if digest_of(artefact.manifest) != digest:
            raise ArtefactCorruptError(
                f"{self.name} {version} is not what was announced: its digest is {digest_of(artefact.manifest)[:12]}..., "
                f"expected {digest[:12]}..."
            )
        if tuple(artefact.manifest.scale) != tuple(self._scale):
            raise ArtefactMismatchError(
                f"{self.name} {version} is of ratings from {artefact.manifest.scale}, expected {self._scale}"
            )
        ids = np.array([item.encode() for item in artefact.manifest.item_ids], np.bytes_)
        return Loaded(artefact.manifest, ids, factors_of(artefact))

    def in_background(self, work: Callable[[], Vectors]) -> Future[Vectors]:
        """Run `work` in the thread that loads."""
        return self._thread.submit(work)

    def promote(self, version: int) -> None:
        """Let the registry's alias name `version`, in the background; what goes wrong is logged."""
        self._thread.submit(self._promote, version)

    def _promote(self, version: int) -> None:
        try:
            self._registry.promote(self.name, version)
        except Exception as error:  # the stream goes on
            _log.error("%s %d is promoted here, but the registry says: %s", self.name, version, error)

    def close(self) -> None:
        """Let what was begun end, and release."""
        self._thread.shutdown()
        self._reader.close()


def factors_of(artefact: Artefact) -> Factors:
    """The arrays of an artefact, and its encoder, as the online model takes them."""
    encoder = artefact.manifest.encoder
    if isinstance(encoder, Ridge):
        made = Encoder(
            ridge=1,
            length=encoder.length,
            unobserved_weight=encoder.unobserved_weight,
            regularization=encoder.regularization,
            exponent=encoder.exponent,
        )
    elif isinstance(encoder, Attention):
        made = Encoder(
            length=encoder.length,
            blocks=encoder.blocks,
            heads=encoder.heads,
            parts=encoder.parts,
            gaps=encoder.gaps,
        )
    else:
        made = Encoder(
            length=encoder.length,
            step_decay=encoder.step_decay,
            gap_scale_ms=encoder.gap_scale_s * 1000.0,
            gap_exponent=encoder.gap_exponent,
            normalize=int(encoder.normalize),
        )
    arrays = artefact.arrays
    vectors = arrays["item_in"], arrays["item_out"], arrays["bias"]
    return Factors.made(*vectors, made, arrays["network"]) if made.blocks else Factors.made(*vectors, made)
