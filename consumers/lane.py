"""A lane: one totally ordered stream of events, and the one state that it makes.

Live, each partition is a lane: its users, and its own contribution to item state. On replay one lane merges all
partitions, so that the result is that of one partition.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.lane_facts import LaneFacts
from consumers.predictions import REPEAT, LaneSummary, ModelSummary, PredictionBlock
from consumers.sequences import Sequences
from eventlog.deadletter import DeadLetter
from eventlog.errors import CheckpointMismatchError, SettingsError
from eventlog.events import EventBatch
from online_models.history import History
from online_models.ids import IdTable
from online_models.interactions import Interactions, Predictions
from online_models.model import ClockName, Model, ModelConfig, Situation
from online_models.registry import MODELS

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """What makes a lane's state, apart from its events.

    models: names in the registry; configs: {model: parameters}, defaults where absent. clock: what decay runs on.
    seed: for models that draw at random. ties_against: whether equal scores count against the target.
    scale: least and greatest rating.
    """

    models: tuple[str, ...]
    configs: Mapping[str, ModelConfig]
    clock: ClockName = "event_count"
    seed: int = 0
    ties_against: bool = True
    scale: tuple[float, float] = (0.0, 10.0)

    def fingerprint(self) -> dict[str, Any]:
        """JSON-able identity: a checkpoint of another fingerprint is refused."""
        configs = {name: self.configs.get(name) or MODELS[name].config_type() for name in self.models}
        return {
            "models": {name: msgspec.to_builtins(config) for name, config in configs.items()},
            "clock": self.clock,
            "seed": self.seed,
            "ties_against": self.ties_against,
            "scale": list(self.scale),
        }

    def build(self) -> dict[str, Model]:
        """Make the models. Raises `SettingsError` for an unknown name, and a package that is not installed."""
        unknown = [name for name in self.models if name not in MODELS]
        if unknown or not self.models:
            raise SettingsError(f"model is {unknown or 'absent'}, expected some of {sorted(MODELS)}")
        situation = Situation(
            clock=self.clock, ties_against=self.ties_against, scale=self.scale, seed=self.seed
        )
        try:
            return {name: MODELS[name](self.configs.get(name), situation) for name in self.models}
        except ModuleNotFoundError as error:
            raise SettingsError(str(error)) from error


class Lane:
    """State and models of one lane. Not thread-safe."""

    def __init__(
        self, number: int, partitions: Sequence[int], topic_partitions: int, config: LaneConfig
    ) -> None:
        self.number = number
        self.partitions = tuple(partitions)
        self.config = config
        self.users = IdTable()
        self.items = IdTable()
        self.history = History()
        self._facts = LaneFacts(self.history)
        self.models = config.build()
        self.sequences = Sequences(topic_partitions)
        self.learned = 0
        self._timed_events = 0  # learned by this process: what `kernel_seconds` is the time of
        self.repeats = 0
        self.duplicates = 0
        self.dead_lettered: dict[str, int] = {}
        self.clock_time_ms = 0
        self.kernel_seconds = dict.fromkeys(self.models, 0.0)

    def test_then_learn(self, batch: EventBatch, total_events: int | None = None) -> PredictionBlock | None:
        """Rank, then learn, each fresh event in order; None when all were duplicates."""
        fresh = self.sequences.fresh(batch)
        self.duplicates += int(len(batch) - fresh.sum())
        events = batch if fresh.all() else batch.take(fresh)
        n = len(events)
        if not n:
            return None
        interactions = self._interactions(events)
        histories = self.history.view
        said: dict[str, Predictions] = {}
        for name, model in self.models.items():
            started = time.perf_counter()
            said[name] = Predictions.nothing(n)
            model.test_then_learn(interactions, histories, said[name])
            self.kernel_seconds[name] += time.perf_counter() - started
        block = PredictionBlock(
            lane=self.number,
            first_seq=self.learned,
            total_events=total_events,
            sources=events.sources,
            source_index=events.source_index,
            source_seq=events.source_seq,
            event_time_ms=events.event_time_ms,
            flags=interactions.flags,
            ranks={name: said[name].ranks for name, model in self.models.items() if model.ranks},
            rating=interactions.rating,
            scale=self.config.scale,
            predicted={name: said[name].ratings for name, model in self.models.items() if model.rates},
            **self._facts.of(events, interactions),
        )
        self.learned += n
        self._timed_events += n
        self.repeats += int(np.count_nonzero(interactions.flags & REPEAT))
        return block

    def count_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters into the accounting, by reason."""
        for letter in letters:
            reason = letter.reason.value
            self.dead_lettered[reason] = self.dead_lettered.get(reason, 0) + letter.events

    def _interactions(self, events: EventBatch) -> Interactions:
        """Rows, histories and the lane's clock for a batch."""
        user, item = self.users.rows(events.users), self.items.rows(events.items)
        time_ms = np.ascontiguousarray(events.event_time_ms)
        rating = np.ascontiguousarray(events.ratings)
        flags, seen, items = self.history.advance(user, item, time_ms)
        latest = np.maximum.accumulate(np.maximum(time_ms, self.clock_time_ms))
        self.clock_time_ms = int(latest[-1])
        if self.config.clock == "event_count":
            tick = np.arange(self.learned, self.learned + len(user), dtype=np.int64)
            return Interactions(user, item, rating, time_ms, tick, tick, flags, seen, items)
        return Interactions(user, item, rating, time_ms, time_ms, latest, flags, seen, items)

    @property
    def clock(self) -> dict[str, float | int | str]:
        """The clock's name and where it stands."""
        return {"name": self.config.clock, "events": self.learned, "event_time_ms": self.clock_time_ms}

    @property
    def shared_state_bytes(self) -> int:
        """Bytes of id tables and histories, which all models share."""
        return self.users.state_bytes + self.items.state_bytes + self.history.state_bytes

    def summary(self, accepted: int, waiting: int, seconds: float, versions: dict[str, str]) -> LaneSummary:
        """Return what is said when the lane's sources have ended."""
        shared = self._shared_digest()
        models = {
            name: ModelSummary(
                digest=hashlib.sha256(f"{shared}{model.digest()}".encode()).hexdigest(),
                state_bytes=model.state_bytes,
                seconds=self.kernel_seconds[name],
                ranks=model.ranks,
                rates=model.rates,
                config=msgspec.to_builtins(model.config),
            )
            for name, model in self.models.items()
        }
        return LaneSummary(
            lane=self.number,
            events=self.learned,
            timed_events=self._timed_events,
            partitions=self.partitions,
            last_seq=self.sequences.last,
            clock=self.clock,
            models=models,
            accounting=self.accounting(accepted, waiting),
            users=len(self.users),
            items=len(self.items),
            seconds=seconds,
            versions=versions,
        )

    def accounting(self, accepted: int, waiting: int) -> dict[str, int]:
        """Events by fate: accepted = learned + dead_lettered + duplicate + waiting; repeats are part of learned."""
        return {
            "accepted": accepted,
            "learned": self.learned,
            "repeats": self.repeats,
            "dead_lettered": sum(self.dead_lettered.values()),
            "duplicate": self.duplicates,
            "waiting": waiting,
        }

    def _shared_digest(self) -> str:
        """sha256 of ids and histories."""
        total = hashlib.sha256()
        for name, array in sorted(self._shared_arrays().items()):
            total.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def _shared_arrays(self) -> Arrays:
        parts = {
            "users": self.users.arrays(),
            "items": self.items.arrays(),
            "history": self.history.arrays(),
        }
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def arrays(self) -> Arrays:
        """Named arrays of the whole state, for a checkpoint."""
        named = self._shared_arrays()
        named.update({f"sequences/{name}": array for name, array in self.sequences.arrays().items()})
        for model_name, model in self.models.items():
            named.update({f"model/{model_name}/{name}": array for name, array in model.arrays().items()})
        return named

    def meta(self) -> dict[str, Any]:
        """JSON-able rest of the state."""
        return {
            "lane": self.number,
            "partitions": list(self.partitions),
            "config": self.config.fingerprint(),
            "sequences": self.sequences.meta(),
            "learned": self.learned,
            "repeats": self.repeats,
            "duplicates": self.duplicates,
            "dead_lettered": self.dead_lettered,
            "clock_time_ms": self.clock_time_ms,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what a checkpoint describes.

        Raises `CheckpointMismatchError` for other partitions or another configuration.
        """
        for field, have, want in (
            ("partitions", meta["partitions"], list(self.partitions)),
            ("configuration", meta["config"], self.config.fingerprint()),
        ):
            if have != want:
                raise CheckpointMismatchError(
                    f"checkpoint of lane {self.number} has {field} {have}, this learner has {want}: start it with "
                    "what the checkpoint has, or name another checkpoint directory"
                )
        self.users.restore(_under("users/", arrays))
        self.items.restore(_under("items/", arrays))
        self.history.restore(_under("history/", arrays))
        self._facts.restore()
        self.sequences.restore(_under("sequences/", arrays), meta["sequences"])
        for name, model in self.models.items():
            model.restore(_under(f"model/{name}/", arrays))
        self.learned = meta["learned"]
        self.repeats = meta["repeats"]
        self.duplicates = meta["duplicates"]
        self.dead_lettered = dict(meta["dead_lettered"])
        self.clock_time_ms = meta["clock_time_ms"]


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
