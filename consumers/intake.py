"""One order out of several partitions.

A lane reads one partition, or (on replay) all of them merged by (event time, source sequence): then an event
leaves only when every partition has shown, by an event, a watermark or its end, that nothing earlier can follow.
An event that is late within its own partition keeps its place there. Sources that follow one another are merged
one after the other: a partition is in the era of as many sources as had ended when none was open.
No time-outs: the order depends on what is in the log alone.

A position is (offset, index): the next event of a partition to be taken, `index` inside a packed message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.controls import Control, ControlKind
from eventlog.deadletter import DeadLetter
from eventlog.decode import Decoded
from eventlog.events import EventBatch

Position = tuple[int, int]
Moment = tuple[int, int]  # (era * _ERA_MS + event_time_ms, source_seq), what the merge goes by

_MAX_TOTAL_EVENTS = 2**53
_ERA_MS = 1 << 48  # above `MAX_EVENT_TIME_MS`
_BEGIN: Moment = (0, -1)


class Taken(NamedTuple):
    """Events in the lane's order, and the dead letters that lay before or between them."""

    events: EventBatch
    rejects: list[DeadLetter]


@numba.njit(cache=True)
def _running_max(
    time_ms: NDArray[np.int64],
    seq: NDArray[np.int64],
    floor_time_ms: int,
    floor_seq: int,
    keys: NDArray[np.int64],
) -> None:
    """keys: int64[2, n], filled: the events' moments, made non-decreasing from the floor on, in the floor's era."""
    era_ms = floor_time_ms - floor_time_ms % _ERA_MS
    for i in range(len(time_ms)):
        moment_ms = era_ms + time_ms[i]
        if moment_ms > floor_time_ms or (moment_ms == floor_time_ms and seq[i] > floor_seq):
            floor_time_ms, floor_seq = moment_ms, seq[i]
        keys[0, i], keys[1, i] = floor_time_ms, floor_seq


class _Sources:
    """Which sources are open on a partition, and which have ended: {source: offset of its END}."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.ended: dict[str, int] = {}

    def obey(self, control: Control, offset: int) -> None:
        """Take a START or an END."""
        if control.control is ControlKind.START:
            self.open.add(control.source_id)
            self.ended.pop(control.source_id, None)
        else:
            self.open.discard(control.source_id)
            self.ended[control.source_id] = offset


class _Change(NamedTuple):
    """A START or an END that was read, and the partition's frontier before it."""

    offset: int
    control: Control
    frontier: Moment


class _Partition:
    """What has been read of one partition and not yet taken.

    frontier: no event that is still to be read has a smaller key. passed: the sources as of the position, behind
    which the changes lie that were read since.
    """

    def __init__(self) -> None:
        self.events = EventBatch.empty()
        self.keys = np.zeros((2, 0), np.int64)  # of `events`, see `_running_max`
        self.frontier: Moment = _BEGIN
        self.rejects: list[DeadLetter] = []
        self.next_offset = 0
        self.skip_before: Position = (0, 0)
        self.sources = _Sources()
        self.passed = _Sources()
        self.changes: list[_Change] = []

    def add(self, decoded: Decoded, events: EventBatch) -> None:
        """Buffer events under their keys; each control record acts on the events behind it."""
        keys = np.empty((2, len(events)), np.int64)
        first = 0
        for offset, control in decoded.controls:
            last = int(np.searchsorted(events.offset, offset))
            self._add_keys(events, keys, first, last)
            self.obey(control, offset)
            first = last
        self._add_keys(events, keys, first, len(events))
        self.events = EventBatch.concat([self.events, events])
        self.keys = np.concatenate([self.keys, keys], axis=1)

    def _add_keys(self, events: EventBatch, keys: NDArray[np.int64], first: int, last: int) -> None:
        if last > first:
            part = slice(first, last)
            _running_max(events.event_time_ms[part], events.source_seq[part], *self.frontier, keys[:, part])
            self.frontier = (int(keys[0, last - 1]), int(keys[1, last - 1]))

    def obey(self, control: Control, offset: int) -> None:
        """Take a control record."""
        if control.control is ControlKind.WATERMARK:
            era_ms = self.frontier[0] - self.frontier[0] % _ERA_MS
            self.frontier = max(self.frontier, (era_ms + control.event_time_ms, control.source_seq + 1))
            return
        self.changes.append(_Change(offset, control, self.frontier))
        self.sources.obey(control, offset)
        if control.control is ControlKind.END and not self.sources.open:
            self.frontier = max(self.frontier, (len(self.sources.ended) * _ERA_MS, -1))

    def pass_changes(self, position: Position) -> None:
        """Move `passed` on to `position`."""
        while self.changes and (self.changes[0].offset, 0) < position:
            change = self.changes.pop(0)
            self.passed.obey(change.control, change.offset)

    def count_until(self, bound: Moment, *, inclusive: bool) -> int:
        """How many buffered events have keys below `bound`, or at it."""
        time_ms, seq = self.keys
        below = (time_ms < bound[0]) | ((time_ms == bound[0]) & (seq < bound[1]))
        if inclusive:
            below |= (time_ms == bound[0]) & (seq == bound[1])
        return int(below.sum())


class Intake:
    """Buffers what is read and gives it out in the lane's order.

    partitions: those that the lane reads. room: buffered events of a partition above which it should be paused.
    """

    def __init__(self, partitions: Sequence[int], room: int = 65_536) -> None:
        self._partitions = {partition: _Partition() for partition in partitions}
        self._room = room
        self._ready = EventBatch.empty()
        self._ready_at = 0
        self._ready_keys = np.zeros((2, 0), np.int64)  # of `_ready`, when there is a merge
        self.accepted = 0
        self.taken_append_ms = 0  # when the log took the newest event that `take` gave out
        self.marks: dict[
            int, tuple[int, int]
        ] = {}  # {partition: offset, append time in ms} of the last event taken
        self.totals: dict[str, int | None] = {}

    def offer(self, partition: int, decoded: Decoded) -> None:
        """Take in what was read of `partition`, in log order."""
        state = self._partitions[partition]
        events, rejects, accepted = decoded.events, decoded.rejects, decoded.accepted
        if state.skip_before > (0, 0):
            events, rejects, skipped = _skip(state.skip_before, events, rejects)
            accepted -= skipped
            state.skip_before = (0, 0)
        self.accepted += accepted
        state.next_offset = decoded.next_offset
        state.rejects.extend(rejects)
        for _, control in decoded.controls:
            if control.control is ControlKind.START:
                self.totals[control.source_id] = control.total_events
        if len(self._partitions) == 1:
            self._ready = EventBatch.concat([self._ready.take(slice(self._ready_at, None)), events])
            self._ready_at = 0
            for offset, control in decoded.controls:
                state.obey(control, offset)
        else:
            state.add(decoded, events)
            self._merge()

    def _merge(self) -> None:
        """Move to `ready` what no partition can precede any more."""
        states = list(self._partitions.values())
        bound = min(state.frontier for state in states)
        # Of equal keys, those of the first partition go first, and this one can still bring more of them.
        holder = [state.frontier for state in states].index(bound)
        over = self._all_ended
        parts, keys = [], []
        for number, state in enumerate(states):
            count = len(state.events) if over else state.count_until(bound, inclusive=number <= holder)
            if not count:
                continue
            parts.append(state.events.take(slice(0, count)))
            keys.append(state.keys[:, :count])
            state.events, state.keys = state.events.take(slice(count, None)), state.keys[:, count:]
        if parts:
            moments = np.concatenate(keys, axis=1)
            order = np.lexsort((moments[1], moments[0]))  # stable
            rest = self._ready.take(slice(self._ready_at, None))
            self._ready_keys = np.concatenate(
                [self._ready_keys[:, self._ready_at :], moments[:, order]], axis=1
            )
            self._ready, self._ready_at = EventBatch.concat([rest, EventBatch.concat(parts).take(order)]), 0

    def take(self, max_events: int) -> Taken | None:
        """Return the next events in order, at most `max_events`; None when nothing can be taken yet."""
        events = self._ready.take(slice(self._ready_at, self._ready_at + max_events))
        self._ready_at += len(events)
        if len(events):
            self.taken_append_ms = int(events.append_time_ms.max())
            self._mark(events)
        rejects: list[DeadLetter] = []
        for partition, state in self._partitions.items():
            if state.rejects:
                reached, _ = self._next_event(partition)
                passed = [one for one in state.rejects if _position_of(one) < reached]
                state.rejects = state.rejects[len(passed) :]
                rejects.extend(passed)
        return Taken(events, rejects) if len(events) or rejects else None

    def _mark(self, events: EventBatch) -> None:
        for partition in self._partitions:
            mine = np.flatnonzero(events.partition == partition)
            if len(mine):
                last = int(mine[-1])
                self.marks[partition] = (int(events.offset[last]), int(events.append_time_ms[last]))

    def _next_event(self, partition: int) -> tuple[Position, Moment]:
        """Where the next event of `partition` to be taken stands, and its key: at least the frontier, if unread."""
        state = self._partitions[partition]
        ready = self._ready.partition[self._ready_at :] == partition
        if ready.any():
            at = self._ready_at + int(ready.argmax())
            key = self._ready_keys[:, at].tolist() if len(self._partitions) > 1 else state.frontier
            return (int(self._ready.offset[at]), int(self._ready.index[at])), (key[0], key[1])
        if len(state.events):
            time_ms, seq = state.keys[:, 0].tolist()
            return (int(state.events.offset[0]), int(state.events.index[0])), (time_ms, seq)
        return max((state.next_offset, 0), state.skip_before), state.frontier

    def position(self, partition: int) -> Position:
        """The next event of `partition` to be taken, good or bad."""
        rejects = self._partitions[partition].rejects
        following, _ = self._next_event(partition)
        return min(following, _position_of(rejects[0])) if rejects else following

    def next_offset(self, partition: int) -> int:
        """Where reading `partition` goes on."""
        return self._partitions[partition].next_offset

    @property
    def positions(self) -> dict[int, Position]:
        """The position of every partition."""
        return {partition: self.position(partition) for partition in self._partitions}

    @property
    def has_events(self) -> bool:
        """Whether `take` has an event to give."""
        return self._ready_at < len(self._ready)

    @property
    def waiting(self) -> int:
        """Events read and not yet taken, bad ones included."""
        bad = sum(one.events for state in self._partitions.values() for one in state.rejects)
        return len(self._ready) - self._ready_at + self._buffered() + bad

    @property
    def watermark_delay_ms(self) -> int:
        """By how much event time the newest buffered event is ahead of what the merge has reached; 0 without a merge."""
        newest = max((int(s.keys[0, -1]) for s in self._partitions.values() if len(s.events)), default=0)
        reached = min(state.frontier for state in self._partitions.values())[0]
        return max(newest - reached, 0) if newest // _ERA_MS == reached // _ERA_MS else 0

    def _buffered(self) -> int:
        return sum(len(state.events) for state in self._partitions.values())

    @property
    def full(self) -> set[int]:
        """Partitions that should not be read for now: far ahead of the one that holds the merge back."""
        behind = min(state.frontier for state in self._partitions.values())
        return {
            partition
            for partition, state in self._partitions.items()
            if len(state.events) > self._room and state.frontier > behind
        }

    @property
    def ended(self) -> bool:
        """Whether a source was announced, all of them have ended on every partition, and nothing waits."""
        return self._all_ended and not self.waiting

    @property
    def _all_ended(self) -> bool:
        announced = self.totals.keys()
        states = self._partitions.values()
        return bool(announced) and all(announced <= state.sources.ended.keys() for state in states)

    @property
    def total_events(self) -> int | None:
        """What all announced sources will send, None where one does not know or none was announced."""
        totals = list(self.totals.values())
        known = [total for total in totals if total is not None]
        total = sum(known)
        return total if totals and len(known) == len(totals) and total <= _MAX_TOTAL_EVENTS else None

    def meta(self) -> dict[str, Any]:
        """Positions, and the sources and the merge's frontiers as of them, for a checkpoint."""
        positions = self.positions
        for partition, state in self._partitions.items():
            state.pass_changes(positions[partition])
        return {
            "positions": {str(p): list(position) for p, position in positions.items()},
            "frontiers": {str(p): list(self._frontier_at_position(p)) for p in positions},
            "open": {str(p): sorted(state.passed.open) for p, state in self._partitions.items()},
            "ended": {str(p): dict(state.passed.ended) for p, state in self._partitions.items()},
            "marks": {str(p): list(mark) for p, mark in self.marks.items()},
            "totals": self.totals,
            "accepted": self.accepted - self.waiting,
        }

    def _frontier_at_position(self, partition: int) -> Moment:
        """The frontier that what will be read again must find, so that it gets the same keys."""
        following, frontier = self._next_event(partition)
        changes = self._partitions[partition].changes
        return changes[0].frontier if changes and (changes[0].offset, 0) < following else frontier

    def restore(self, meta: Mapping[str, Any]) -> None:
        """Become what `meta` describes; reading must go on at the positions' offsets."""
        for key, (offset, index) in meta["positions"].items():
            state = self._partitions[int(key)]
            state.next_offset = offset
            state.skip_before = (offset, index)
            time_ms, seq = meta["frontiers"][key]
            state.frontier = (time_ms, seq)
            for sources in (state.sources, state.passed):
                sources.open = set(meta["open"][key])
                sources.ended = dict(meta["ended"][key])
        self.totals = dict(meta["totals"])
        self.accepted = meta["accepted"]
        # Checkpoints of 0.1.0 have no marks.
        self.marks = {int(p): (offset, time_ms) for p, (offset, time_ms) in meta.get("marks", {}).items()}


def grown_meta(meta: Mapping[str, Any], partitions: int, of: Sequence[int]) -> dict[str, Any]:
    """What `Intake.meta` said over some of `partitions` partitions, for a lane over those of a topic that has grown.

    of: the lane's partitions. A new partition p begins at its first offset, with the sources and the frontier of
    p modulo `partitions`, where its users were until now. A lane of new partitions alone has accepted nothing yet.
    """
    came_from = {partition: str(partition % partitions) for partition in of}
    return {
        "positions": {
            str(p): meta["positions"][f] if p < partitions else [0, 0] for p, f in came_from.items()
        },
        **{
            name: {str(p): meta[name][f] for p, f in came_from.items()}
            for name in ("frontiers", "open", "ended")
        },
        "marks": {key: mark for key, mark in meta.get("marks", {}).items() if int(key) in of},
        "totals": dict(meta["totals"]),
        "accepted": meta["accepted"] if min(of) < partitions else 0,
    }


def _position_of(letter: DeadLetter) -> Position:
    return letter.offset, max(letter.index, 0)


def _skip(
    before: Position, events: EventBatch, rejects: list[DeadLetter]
) -> tuple[EventBatch, list[DeadLetter], int]:
    """Leave out what lies before a position: (events, rejects, how many events were left out)."""
    offset, index = before
    keep = (events.offset > offset) | ((events.offset == offset) & (events.index >= index))
    late = [one for one in rejects if _position_of(one) >= before]
    skipped = int((~keep).sum()) + sum(one.events for one in rejects) - sum(one.events for one in late)
    return events.take(keep), late, skipped
