"""Retraining from the log: read, cut, train, store, announce. `engram train` runs it, and each replay that retrains.

Triggers are looked at between two events of the stream's order. A cut that was announced already, as before a restart,
is not trained again; one that was stored and not announced is announced.
"""

from __future__ import annotations

import logging
import time
from typing import Final, NamedTuple

import msgspec

from batch_models.trainers import TRAINERS, TUNERS
from consumers.log_cut import LogFollower
from consumers.metrics import TrainerMetrics
from consumers.predictions import PredictionBlock, decode_prediction
from eventlog.artefact import Artefact, Manifest, digest_of
from eventlog.cut import Cut
from eventlog.errors import ArtefactError, SettingsError
from eventlog.log import Log
from eventlog.model_records import PARTITION, Announced, announced, to_record
from eventlog.model_registry import ModelRegistry
from eventlog.topics import Topics

_MS_PER_HOUR: Final = 3_600_000
_CHUNK: Final = 4_096
_FINE_CHUNK: Final = 256  # events between looks at their clock
_log = logging.getLogger(__name__)


class Triggers(NamedTuple):
    """When to train: every so many events, hours of event time, or where a learner noticed a drift. None: never."""

    every_events: int | None = None
    every_hours: float | None = None
    on_drift: bool = False


class Retraining:
    """Trains `name` whenever a trigger says so. Not for several processes at a time."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        registry: ModelRegistry,
        follower: LogFollower,
        name: str,
        *,
        seed: int = 0,
        triggers: Triggers = Triggers(),  # noqa: B008 (immutable)
        metrics: TrainerMetrics | None = None,
        full_every: int = 1,
    ) -> None:
        """full_every: of so many versions one is trained on everything, and the others are tuned from the one before."""
        check_trainer(name)
        if full_every > 1 and name not in TUNERS:
            raise SettingsError(f"batch model is {name!r}, expected one of {sorted(TUNERS)} to be tuned")
        self._full_every = full_every
        self._name = name
        self._registry = registry
        self._follower = follower
        self._seed = seed
        self._triggers = triggers
        self._metrics = metrics
        self._topics = topics
        log.create_topic(topics.models, 1)
        self._announced = {said.events: said for said in announced(log, topics.models, name)}
        last = max(self._announced, default=0)
        every = triggers.every_events
        self._next = None if every is None else (last // every + 1) * every
        self._hours_from_ms: int | None = None
        self._drifts = _Drifts(log, topics.predictions) if triggers.on_drift else None
        self._writer = log.writer()

    @property
    def follower(self) -> LogFollower:
        """What it reads with."""
        return self._follower

    @property
    def done(self) -> bool:
        """Whether the stream has ended and nothing is left to train."""
        return self._follower.ended

    def step(self, timeout_s: float) -> Manifest | None:
        """Read, and train where a trigger says so; return what was trained."""
        follower = self._follower
        if self._next is not None and follower.events == self._next and follower.has_events:
            # Only where the stream goes on: a model for events that never come is of no use.
            self._next += self._triggers.every_events or 0
            return self.train(f"{follower.events} events")
        room = _CHUNK if self._triggers.every_hours is None else _FINE_CHUNK
        if self._next is not None:
            room = min(room, self._next - follower.events)
        if not follower.has_events:
            follower.read(timeout_s)
        if room:
            follower.take(room)
        if self._metrics is not None:
            self._metrics.read(follower.events)
        if self._hours_passed():
            return self.train(f"{self._triggers.every_hours:g} hours")
        if self._drifts is not None and self._drifts.came() and follower.events:
            return self.train("drift")
        return None

    def _hours_passed(self) -> bool:
        hours, clock_ms = self._triggers.every_hours, self._follower.clock_time_ms
        if hours is None or not self._follower.events:
            return False
        if self._hours_from_ms is None:
            self._hours_from_ms = self._follower.start_ms
        if clock_ms - self._hours_from_ms < hours * _MS_PER_HOUR:
            return False
        self._hours_from_ms = clock_ms
        return True

    def train(self, trigger: str) -> Manifest:
        """Train on what was read so far; store and announce it. Raises what the trainer raises, and `ArtefactError`."""
        started = time.monotonic()
        cut = self._follower.cut()
        manifest = self._stored(cut)
        if manifest is None:
            manifest = self._registry.save(self._made(cut))
        said = Announced(
            name=self._name,
            version=manifest.version,
            digest=digest_of(manifest),
            events=cut.events,
            trigger=trigger,
        )
        self._announced[cut.events] = said
        self._writer.append(self._topics.models, PARTITION, [to_record(said)])
        self._writer.flush()
        seconds = time.monotonic() - started
        if self._metrics is not None:
            self._metrics.trained(self._name, manifest.version, seconds, cut.events)
        _log.info(
            "%s %d trained on the first %d events (%s) in %.1f s: %d items",
            *(self._name, manifest.version, cut.events, trigger, seconds),
            len(manifest.item_ids),
        )
        return manifest

    def _made(self, cut: Cut) -> Artefact:
        """Tune the version before where it is its turn and it can be read, else train on everything."""
        earlier = [said for said in self._announced.values() if said.events < cut.events]
        if len(earlier) % self._full_every:
            before = max(earlier, key=lambda said: said.events)
            try:
                artefact = self._registry.load(self._name, before.version)
                return TUNERS[self._name](cut, self._seed, artefact)
            except ArtefactError as error:
                _log.warning(
                    "%s %d cannot be tuned, everything is trained: %s", self._name, before.version, error
                )
        return TRAINERS[self._name](cut, self._seed)

    def _stored(self, cut: Cut) -> Manifest | None:
        """What was trained on this very cut, and stored just before its trainer died."""
        newest = max((said.version for said in self._announced.values()), default=0)
        for version in self._registry.versions(self._name):
            if version <= newest:
                continue
            try:
                found = self._registry.manifest(self._name, version)
            except ArtefactError:
                continue
            if (found.events, found.seed, found.data_digest) == (cut.events, self._seed, cut.digest()):
                return found
        return None

    def close(self) -> None:
        """Release."""
        self._follower.close()
        self._writer.close()
        if self._drifts is not None:
            self._drifts.close()


class _Drifts:
    """Whether predictions that were published since brought a drift."""

    def __init__(self, log: Log, topic: str) -> None:
        partitions = range(log.partition_count(topic))
        self._reader = log.reader(topic, partitions)
        for partition, bounds in log.bounds(topic).items():
            self._reader.seek(partition, bounds.end)

    def came(self) -> bool:
        found = False
        for batch in self._reader.poll(_CHUNK, 0.0):
            for value in batch.values:
                try:
                    said = decode_prediction(value or b"")
                except (msgspec.DecodeError, ValueError) as error:
                    _log.warning("a prediction of %s is left out: %s", batch.topic, error)
                    continue
                found |= isinstance(said, PredictionBlock) and bool(said.drifts)
        return found

    def close(self) -> None:
        self._reader.close()


def check_trainer(name: str) -> None:
    """Raise `SettingsError` for a batch model that nothing here trains."""
    if name not in TRAINERS:
        raise SettingsError(f"batch model is {name!r}, expected one of {sorted(TRAINERS)}")
