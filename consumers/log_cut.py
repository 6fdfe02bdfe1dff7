"""Cuts of the ratings topic: its events in the lane's order, up to a position, for training.

What a learner numbers is numbered here, by the same intake and the same rule of repeats: event n of a cut is event n of
the learner's lane. With one lane a partition (live, no merge), a cut has the events of all partitions in order of time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from consumers.intake import Intake
from consumers.sequences import Sequences
from eventlog.cut import Cut
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import EventBatch, Kind
from eventlog.log import Log
from online_models.ids import ABSENT, IdTable, grown

_RECORDS_A_POLL: Final = 64
_SMALLEST: Final = 1 << 12


class LogFollower:
    """Follows the ratings topic of a log from its beginning.

    merge: whether all partitions make one order, as for a learner. scale: least and greatest rating.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        *,
        merge: bool = True,
        limits: Limits | None = None,
        scale: tuple[float, float],
    ) -> None:
        self.scale = scale
        self._log = log
        self._topic = topic
        self._limits = limits or Limits()
        partitions = tuple(range(log.partition_count(topic)))
        self._reader = log.reader(topic, partitions)
        groups = [partitions] if merge else [(partition,) for partition in partitions]
        self._intakes = [Intake(group) for group in groups]
        self._sequences = [Sequences(len(partitions)) for _ in groups]
        self._of_partition = {p: number for number, group in enumerate(groups) for p in group}
        self._users, self._items = IdTable(), IdTable()
        self._columns: dict[str, NDArray[Any]] = {
            "user": np.zeros(_SMALLEST, np.int32),
            "item": np.zeros(_SMALLEST, np.int32),
            "rating": np.zeros(_SMALLEST, np.float32),
            "time_ms": np.zeros(_SMALLEST, np.int64),
            "stays": np.zeros(_SMALLEST, np.bool_),
        }
        self.events = 0
        self.clock_time_ms = 0
        self.stopped = False
        self._before_ms: int | None = None

    def stop_before(self, time_ms: int) -> None:
        """Take nothing from the first event on whose event time is `time_ms` or later; `stopped` then says so."""
        self._before_ms = time_ms

    @property
    def start_ms(self) -> int:
        """Event time of the first event taken; of one at least."""
        return int(self._columns["time_ms"][0])

    @property
    def ended(self) -> bool:
        """Whether every announced source has ended and all of it was taken."""
        return all(intake.ended for intake in self._intakes)

    @property
    def has_events(self) -> bool:
        """Whether an event waits to be taken."""
        return any(intake.has_events for intake in self._intakes)

    @property
    def at_end(self) -> bool:
        """Whether everything that the log holds now was read; what waits for its turn in a merge may not be taken."""
        bounds = self._log.bounds(self._topic)
        return all(self._reader.position(partition) >= of.end for partition, of in bounds.items())

    def read(self, timeout_s: float) -> None:
        """Read some records, waiting at most `timeout_s`."""
        for batch in self._reader.poll(_RECORDS_A_POLL, timeout_s):
            decoded = decode(batch, self._limits, len(self._of_partition))
            self._intakes[self._of_partition[batch.partition]].offer(batch.partition, decoded)

    def take(self, most: int) -> int:
        """Take what was read, until `most` more events are numbered at most; returns how many were."""
        before = self.events
        for number, intake in enumerate(self._intakes):
            while (room := before + most - self.events) > 0 and (taken := intake.take(room)) is not None:
                events = self._until_stop(taken.events)
                fresh = self._sequences[number].fresh(events)
                self._append(events if fresh.all() else events.take(fresh))
        return self.events - before

    def _until_stop(self, events: EventBatch) -> EventBatch:
        if self._before_ms is None:
            return events
        late = events.event_time_ms >= self._before_ms
        first = 0 if self.stopped else int(late.argmax()) if late.any() else len(events)
        self.stopped |= first < len(events)
        return events.take(slice(0, first))

    def _append(self, events: EventBatch) -> None:
        corrects = np.flatnonzero(events.kinds >= Kind.RETRACT).tolist()
        first = 0
        for at in [*corrects, len(events)]:
            self._add(events.take(slice(first, at)))
            if at < len(events):
                self._correct(events, at)
            first = at + 1

    def _add(self, events: EventBatch) -> None:
        n, first = len(events), self.events
        if not n:
            return
        for name in self._columns:
            self._columns[name] = grown(self._columns[name], first + n)
        new = {
            "user": self._users.rows(events.users),
            "item": self._items.rows(events.items),
            "rating": events.ratings,
            "time_ms": events.event_time_ms,
            "stays": True,
        }
        for name, values in new.items():
            self._columns[name][first : first + n] = values
        self.events += n
        self.clock_time_ms = max(self.clock_time_ms, int(events.event_time_ms.max()))

    def _correct(self, events: EventBatch, at: int) -> None:
        """Leave out what a correction takes back."""
        user = self._users.find(bytes(events.users[at]).decode())
        if user == ABSENT:
            return
        gone = self._columns["user"][: self.events] == user
        if events.kinds[at] == Kind.RETRACT:
            gone &= self._columns["item"][: self.events] == self._items.find(bytes(events.items[at]).decode())
        self._columns["stays"][: self.events][gone] = False

    def cut(self) -> Cut:
        """The events taken so far; copies."""
        stays = self._columns["stays"][: self.events]
        columns = {
            name: self._columns[name][: self.events][stays] for name in ("user", "item", "rating", "time_ms")
        }
        if len(self._intakes) > 1:
            order = np.argsort(columns["time_ms"], kind="stable")
            columns = {name: column[order] for name, column in columns.items()}
        return Cut(
            **columns,
            user_ids=self._users.ids(),
            item_ids=self._items.ids(),
            events=self.events,
            clock_time_ms=self.clock_time_ms,
            scale=self.scale,
        )

    def close(self) -> None:
        """Release."""
        self._reader.close()
