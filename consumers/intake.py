"""One order out of several partitions.

A lane reads one partition, or (on replay) all of them merged by (event time, source sequence): then an event
leaves only when every partition has shown, by an event, a watermark or its end, that nothing earlier can follow.
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
Moment = tuple[int, int]  # (event_time_ms, source_seq)

_BEGIN: Moment = (-1, -1)
_NEVER: Moment = (2**63 - 1, 2**63 - 1)


class Taken(NamedTuple):
    """Events in the lane's order, and the dead letters that lay before or between them."""

    events: EventBatch
    rejects: list[DeadLetter]


@numba.njit(cache=True)
def _running_max(
    time_ms: NDArray[np.int64], seq: NDArray[np.int64], floor_time_ms: int, floor_seq: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make moments non-decreasing: an event that is late within its own partition keeps its place there."""
    out_time_ms, out_seq = np.empty_like(time_ms), np.empty_like(seq)
    for i in range(len(time_ms)):
        if time_ms[i] > floor_time_ms or (time_ms[i] == floor_time_ms and seq[i] > floor_seq):
            floor_time_ms, floor_seq = time_ms[i], seq[i]
        out_time_ms[i], out_seq[i] = floor_time_ms, floor_seq
    return out_time_ms, out_seq


class _Partition:
    """What has been read of one partition and not yet taken."""

    def __init__(self) -> None:
        self.events = EventBatch.empty()
        self.time_ms = np.zeros(0, np.int64)  # keys of the merge, see `_running_max`
        self.seq = np.zeros(0, np.int64)
        self.frontier: Moment = _BEGIN
        self.floor: Moment = _BEGIN  # key of the last event taken
        self.rejects: list[DeadLetter] = []
        self.next_offset = 0
        self.skip_before: Position = (0, 0)
        self.open: set[str] = set()
        self.ended: dict[str, int] = {}  # {source: offset of its END}

    def count_until(self, bound: Moment) -> int:
        """How many buffered events have keys at or below `bound`."""
        below = (self.time_ms < bound[0]) | ((self.time_ms == bound[0]) & (self.seq <= bound[1]))
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
        if len(self._partitions) == 1:
            self._ready = EventBatch.concat([self._ready.take(slice(self._ready_at, None)), events])
            self._ready_at = 0
        elif len(events):
            time_ms, seq = _running_max(events.event_time_ms, events.source_seq, *state.frontier)
            state.events = EventBatch.concat([state.events, events])
            state.time_ms = np.concatenate([state.time_ms, time_ms])
            state.seq = np.concatenate([state.seq, seq])
            state.frontier = (int(time_ms[-1]), int(seq[-1]))
        for offset, control in decoded.controls:
            self._obey(state, control, offset)
        if len(self._partitions) > 1:
            self._merge()

    def _obey(self, state: _Partition, control: Control, offset: int) -> None:
        source = control.source_id
        match control.control:
            case ControlKind.START:
                state.open.add(source)
                state.ended.pop(source, None)
                self.totals[source] = control.total_events
            case ControlKind.WATERMARK:
                state.frontier = max(state.frontier, (control.event_time_ms, control.source_seq))
            case ControlKind.END:
                state.open.discard(source)
                state.ended[source] = offset
                if not state.open:
                    state.frontier = _NEVER

    def _merge(self) -> None:
        """Move to `ready` what no partition can precede any more."""
        states = list(self._partitions.values())
        bound = min(state.frontier for state in states)
        parts, times, seqs = [], [], []
        for state in states:
            count = state.count_until(bound)
            if not count:
                continue
            parts.append(state.events.take(slice(0, count)))
            times.append(state.time_ms[:count])
            seqs.append(state.seq[:count])
            state.events = state.events.take(slice(count, None))
            state.time_ms, state.seq = state.time_ms[count:], state.seq[count:]
        if parts:
            # Stable: equal keys stay in order of their partition.
            keys = np.stack([np.concatenate(times), np.concatenate(seqs)])
            order = np.lexsort((keys[1], keys[0]))
            merged = EventBatch.concat(parts).take(order)
            rest = self._ready.take(slice(self._ready_at, None))
            rest_keys = self._ready_keys[:, self._ready_at :]
            self._ready, self._ready_at = EventBatch.concat([rest, merged]), 0
            self._ready_keys = np.concatenate([rest_keys, keys[:, order]], axis=1)

    def take(self, max_events: int) -> Taken | None:
        """Return the next events in order, at most `max_events`; None when nothing can be taken yet."""
        events = self._ready.take(slice(self._ready_at, self._ready_at + max_events))
        for partition, state in self._partitions.items() if len(self._partitions) > 1 else ():
            mine = np.flatnonzero(events.partition == partition)
            if len(mine):
                time_ms, seq = self._ready_keys[:, self._ready_at + mine[-1]].tolist()
                state.floor = (time_ms, seq)
        self._ready_at += len(events)
        rejects: list[DeadLetter] = []
        for partition, state in self._partitions.items():
            if state.rejects:
                reached = self.position(partition)
                passed = [one for one in state.rejects if (one.offset, max(one.index, 0)) < reached]
                state.rejects = state.rejects[len(passed) :]
                rejects.extend(passed)
        return Taken(events, rejects) if len(events) or rejects else None

    def position(self, partition: int) -> Position:
        """The next event of `partition` to be taken."""
        state = self._partitions[partition]
        ready = self._ready.partition[self._ready_at :] == partition
        if ready.any():
            at = self._ready_at + int(ready.argmax())
            return int(self._ready.offset[at]), int(self._ready.index[at])
        if len(state.events):
            return int(state.events.offset[0]), int(state.events.index[0])
        return state.next_offset, 0

    @property
    def positions(self) -> dict[int, Position]:
        """The position of every partition."""
        return {partition: self.position(partition) for partition in self._partitions}

    @property
    def waiting(self) -> int:
        """Events read and not yet taken, bad ones included."""
        bad = sum(one.events for state in self._partitions.values() for one in state.rejects)
        return len(self._ready) - self._ready_at + self._buffered() + bad

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
        states = self._partitions.values()
        sources = set(self.totals)
        return bool(sources) and not self.waiting and all(sources <= state.ended.keys() for state in states)

    @property
    def total_events(self) -> int | None:
        """What all announced sources will send, None where one does not know or none was announced."""
        totals = list(self.totals.values())
        known = [total for total in totals if total is not None]
        return sum(known) if totals and len(known) == len(totals) else None

    def meta(self) -> dict[str, Any]:
        """Positions, announced sources and the merge's frontier, for a checkpoint."""
        return {
            "positions": {str(p): list(self.position(p)) for p in self._partitions},
            "frontiers": {str(p): list(self._frontier_at_position(p)) for p in self._partitions},
            "open": {str(p): sorted(state.open) for p, state in self._partitions.items()},
            "ended": {str(p): self._ended_before_position(p) for p in self._partitions},
            "totals": self.totals,
            "accepted": self.accepted - self.waiting,
        }

    def _frontier_at_position(self, partition: int) -> Moment:
        """The frontier as it was before the events and controls that will be read again."""
        state = self._partitions[partition]
        if self.position(partition) == (state.next_offset, 0):
            return state.frontier
        return state.floor

    def _ended_before_position(self, partition: int) -> dict[str, int]:
        """Ends that will not be read again."""
        reached = self.position(partition)
        ended = self._partitions[partition].ended
        return {source: offset for source, offset in ended.items() if (offset, 0) < reached}

    def restore(self, meta: Mapping[str, Any]) -> None:
        """Become what `meta` describes; reading must go on at the positions' offsets."""
        for key, (offset, index) in meta["positions"].items():
            state = self._partitions[int(key)]
            state.next_offset = offset
            state.skip_before = (offset, index)
            time_ms, seq = meta["frontiers"][key]
            state.frontier = state.floor = (time_ms, seq)
            state.open = set(meta["open"][key])
            state.ended = dict(meta["ended"][key])
        self.totals = dict(meta["totals"])
        self.accepted = meta["accepted"]


def _skip(
    before: Position, events: EventBatch, rejects: list[DeadLetter]
) -> tuple[EventBatch, list[DeadLetter], int]:
    """Leave out what lies before a position: (events, rejects, how many events were left out)."""
    offset, index = before
    keep = (events.offset > offset) | ((events.offset == offset) & (events.index >= index))
    late = [one for one in rejects if (one.offset, max(one.index, 0)) >= before]
    skipped = int((~keep).sum()) + sum(one.events for one in rejects) - sum(one.events for one in late)
    return events.take(keep), late, skipped
