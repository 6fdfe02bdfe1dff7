"""A lane: one totally ordered stream of events, and the one state that it makes.

Live, each partition is a lane: its users, and its own contribution to item state. On replay one lane merges all
partitions, so that the result is that of one partition.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.drift_watch import DriftWatch
from consumers.lane_block import Said, Whole, join_said
from consumers.lane_config import LaneConfig, described
from consumers.lane_rows import LaneRows, under
from consumers.predictions import (
    NEW_USER,
    REPEAT,
    Drift,
    LaneSummary,
    ModelSummary,
    PredictionBlock,
    TopItems,
)
from consumers.sequences import Sequences
from evaluation.top_lists import LIST_LENGTH
from eventlog.deadletter import DeadLetter
from eventlog.errors import CheckpointMismatchError
from eventlog.events import EventBatch, Kind
from online_models.history_pool import Advance
from online_models.interactions import Interactions, Moment, Predictions
from online_models.model import Model

Arrays = dict[str, NDArray[Any]]

EVICTION_EVERY = 4096  # events between looks at what there is too much of


class Lane:
    """State and models of one lane. Not thread-safe.

    learned: events that the lane has numbered. inherited: events that its state had learned in another lane, before a
    repartition made this one. heard: {other lane: events that it had learned when it last told of what it learned of
    items}. The clock counts all of them.
    """

    def __init__(
        self, number: int, partitions: Sequence[int], topic_partitions: int, config: LaneConfig
    ) -> None:
        self.number = number
        self.partitions = tuple(partitions)
        self.config = config
        self.rows = LaneRows(config.max_users, config.max_items)
        self.models = config.build()
        self._reads_ratings = any(model.reads_ratings for model in self.models.values())
        self._drift = DriftWatch(config.drift, self.models, config.scale)
        self.sequences = Sequences(topic_partitions)
        self.learned = 0
        self.inherited = 0
        self.heard: dict[int, int] = {}
        self._timed_events = 0  # learned by this process: what `kernel_seconds` is the time of
        self.repeats = 0
        self.corrections = 0
        self.duplicates = 0
        self.dead_lettered: dict[str, int] = {}
        self.clock_time_ms = 0
        self.on_items_kept: Callable[[NDArray[np.int32]], None] | None = None
        self.kernel_seconds = dict.fromkeys(self.models, 0.0)

    def test_then_learn(self, batch: EventBatch, total_events: int | None = None) -> PredictionBlock | None:
        """Take each fresh event in order: rank, then learn it, or correct what was learned.

        Returns what was said, None where nothing was: all were duplicates or corrections.
        """
        fresh = self.sequences.fresh(batch)
        self.duplicates += int(len(batch) - fresh.sum())
        events = batch if fresh.all() else batch.take(fresh)
        corrects = events.kinds >= Kind.RETRACT
        first_seq, said, at = self.learned, [], 0
        while at < len(events):
            if corrects[at]:
                self._correct(events, at)
                at += 1
                continue
            if self.learned % EVICTION_EVERY == 0:
                self._evict()
            following = np.flatnonzero(corrects[at:])
            end = at + int(following[0]) if len(following) else len(events)
            end = min(end, at + EVICTION_EVERY - self.learned % EVICTION_EVERY)
            said.append(self._learn(events.take(slice(at, end))))
            at += len(said[-1].interactions.user)
        if not said:
            return None
        return join_said(
            said,
            events if not corrects.any() else events.take(~corrects),
            self.models,
            Whole(
                self.number, first_seq, total_events, self.config.scale, self.config.top_every, self.inherited
            ),
        )

    def _learn(self, events: EventBatch) -> Said:
        """Test, then learn, the first events of a section; says of how many by the length of its columns."""
        user, item = self.rows.rows(events)
        found = self.rows.advance(events, user, item, at_once=not self._reads_ratings)
        interactions = self._interactions(events, user, item, found)
        every = self.config.top_every
        noted = range(-self.learned % every, found.taken, every) if every else range(0)
        edges = sorted({0, *noted, *self._drift.edges(self.learned, found.taken), found.taken})
        drifts: list[Drift] = []
        predictions = {name: Predictions.nothing(found.taken) for name in self.models}
        top: dict[str, list[TopItems]] = {name: [] for name, model in self.models.items() if model.ranks}
        histories = self.rows.histories
        for first, last in itertools.pairwise(edges):
            part = interactions.part(first, last)
            for name, model in self.models.items():
                if first in noted and name in top:
                    top[name].append(self._note(model, interactions, first))
                said = predictions[name].part(first, last)
                started = time.perf_counter()
                model.test_then_learn(part, histories, said)
                self.kernel_seconds[name] += time.perf_counter() - started
                self._drift.take(self.learned + first, part, said, name)
            for drift in self._drift.end(self.learned + last):
                drifts.append(drift)
                self.models[drift.model].adapt(drift)
        self.rows.history.settle()
        self.learned += found.taken
        self._timed_events += found.taken
        self.repeats += int(np.count_nonzero(interactions.flags & REPEAT))
        hashes = self.rows.users.hashes(interactions.user).astype(np.uint32)
        return Said(interactions, predictions, hashes, np.array(noted, np.int32), top, tuple(drifts))

    def _note(self, model: Model, events: Interactions, at: int) -> TopItems:
        """The best items for the user of event `at`, just before it is tested."""
        moment = Moment(int(events.now[at]), int(events.time_ms[at]), int(events.items[at]))
        user = int(events.user[at])
        with self.rows.history.as_of(user, int(events.seen[at])):
            known = -1 if events.flags[at] & NEW_USER else user
            best = model.recommend(known, LIST_LENGTH, self.rows.histories, moment)
        return self.rows.describe(best.items, events.part(at, len(events.item)))

    def _correct(self, events: EventBatch, at: int) -> None:
        """Retract a pair, or forget a user; what is unknown was never learned, or is gone already."""
        user_id = bytes(events.users[at]).decode()
        if events.kinds[at] == Kind.FORGET_USER:
            user = self.rows.forget_user(user_id)
            if user is not None:
                for model in self.models.values():
                    model.forget_user(user)
        else:
            pair = self.rows.retract(user_id, bytes(events.items[at]).decode())
            if pair is not None:
                for model in self.models.values():
                    model.retract(*pair)
        self.corrections += 1

    def _evict(self) -> None:
        kept = self.rows.evict()
        if kept is not None:
            histories = self.rows.histories
            for model in self.models.values():
                model.keep(*kept, histories)
            if self.on_items_kept is not None:
                self.on_items_kept(kept.items)

    def count_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters into the accounting, by reason."""
        for letter in letters:
            reason = letter.reason.value
            self.dead_lettered[reason] = self.dead_lettered.get(reason, 0) + letter.events

    def _interactions(
        self, events: EventBatch, user: NDArray[np.int32], item: NDArray[np.int32], found: Advance
    ) -> Interactions:
        """Rows, what histories say and the lane's clock for the events that were taken."""
        n = found.taken
        time_ms = np.ascontiguousarray(events.event_time_ms[:n])
        latest = np.maximum.accumulate(np.maximum(time_ms, self.clock_time_ms))
        self.clock_time_ms = int(latest[-1])
        counted = self.config.clock == "event_count"
        first = self._clock_events
        tick = np.arange(first, first + n, dtype=np.int64) if counted else time_ms
        return Interactions(
            user=user[:n],
            item=item[:n],
            rating=np.ascontiguousarray(events.ratings[:n]),
            time_ms=time_ms,
            tick=tick,
            now=tick if counted else latest,
            flags=found.flags,
            seen=found.seen,
            items=found.items,
            item_seen=found.item_seen,
            previous=found.previous,
        )

    @property
    def _clock_events(self) -> int:
        # What was inherited is what the lane it came from has told of, where lanes do.
        elsewhere = sum(self.heard.values()) if self.config.share else self.inherited
        return elsewhere + self.learned

    @property
    def clock(self) -> dict[str, float | int | str]:
        """The clock's name and where it stands."""
        return {"name": self.config.clock, "events": self._clock_events, "event_time_ms": self.clock_time_ms}

    @property
    def now(self) -> int:
        """Where the clock stands, in its ticks: events, or milliseconds of event time."""
        return self._clock_events if self.config.clock == "event_count" else self.clock_time_ms

    @property
    def drifts(self) -> dict[tuple[str, str], int]:
        """{(watched model, detector): drifts so far}."""
        return self._drift.counts

    @property
    def shared_state_bytes(self) -> int:
        """Bytes of id tables and histories, which all models share."""
        return self.rows.state_bytes

    def summary(self, accepted: int, waiting: int, seconds: float, versions: dict[str, str]) -> LaneSummary:
        """Return what is said when the lane's sources have ended."""
        shared = self.rows.digest()
        models = {
            name: ModelSummary(
                digest=hashlib.sha256(f"{shared}{model.digest()}".encode()).hexdigest(),
                state_bytes=model.state_bytes,
                seconds=self.kernel_seconds[name],
                ranks=model.ranks,
                rates=model.rates,
                likes=model.likes,
                config=described(model.config),
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
            users=self.rows.known_users,
            items=len(self.rows.items),
            seconds=seconds,
            versions=versions,
            drift_digest=self._drift.digest(),
        )

    def accounting(self, accepted: int, waiting: int) -> dict[str, int]:
        """Events by fate: accepted = learned + dead_lettered + duplicate + waiting.

        Repeats and corrections are part of learned.
        """
        return {
            "accepted": accepted,
            "learned": self.learned + self.corrections,
            "repeats": self.repeats,
            "corrections": self.corrections,
            "dead_lettered": sum(self.dead_lettered.values()),
            "duplicate": self.duplicates,
            "waiting": waiting,
        }

    def arrays(self) -> Arrays:
        """Named arrays of the whole state, for a checkpoint."""
        named = self.rows.arrays()
        named.update({f"drift/{name}": array for name, array in self._drift.arrays().items()})
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
            "inherited": self.inherited,
            **(
                {"heard": {str(lane): events for lane, events in self.heard.items()}}
                if self.config.share
                else {}
            ),
            "repeats": self.repeats,
            "corrections": self.corrections,
            "rows": self.rows.meta(),
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
        self.rows.restore(arrays, meta["rows"])
        self.sequences.restore(under("sequences/", arrays), meta["sequences"])
        self._drift.restore(under("drift/", arrays))
        for name, model in self.models.items():
            model.restore(under(f"model/{name}/", arrays))
        self.learned = meta["learned"]
        self.inherited = meta.get("inherited", 0)
        self.heard = {int(lane): events for lane, events in meta.get("heard", {}).items()}
        self.repeats = meta["repeats"]
        self.corrections = meta["corrections"]
        self.duplicates = meta["duplicates"]
        self.dead_lettered = dict(meta["dead_lettered"])
        self.clock_time_ms = meta["clock_time_ms"]
