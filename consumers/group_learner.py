"""A learner in a consumer group: it learns the partitions that the group gives it, each a lane of its own.

    changes of the assignment ► a step of the learner ► changes ► ...

Assigned: the lane's checkpoint is restored, and reading goes on at its positions, before the first event is learned.
Revoked: what was learned is committed, and only then does the group give the partition to another. Lost, or fenced by a newer
owner's epoch: the lane is dropped as it is, for its successor has gone on from the last commit. A lane that was fenced
while the group still says that it is ours is claimed again after a while: whoever fenced it had not heard yet that it is
its no longer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Protocol

from consumers.learner import Learner
from eventlog.membership import Change, ChangeKind

RECLAIM_S = 1.0  # within it, who was taken for dead has heard of it
_log = logging.getLogger(__name__)


class Membership(Protocol):
    """What tells which partitions are this process's."""

    def changes(self) -> Sequence[Change]:
        """What has changed since the last call, in order."""


class GroupLearner:
    """Steps `learner` over what `membership` assigns."""

    def __init__(self, learner: Learner, membership: Membership) -> None:
        self._learner = learner
        self._membership = membership
        self._assigned: set[int] = set()
        self._reclaims: dict[
            int, float
        ] = {}  # {lane that another one has fenced: monotonic time at which to claim it}

    def step(self, timeout_s: float) -> int:
        """Make the changes that are due, then step; returns how many events were taken."""
        for change in self._membership.changes():
            try:
                self._make(change)
            finally:
                change.done()
        taken = self._learner.step(timeout_s)
        self._drop_fenced()
        return taken

    def _drop_fenced(self) -> None:
        """Drop lanes that another one has claimed; claim again those that the group says are ours."""
        now = time.monotonic()
        fenced = frozenset(self._learner.fenced)
        self._learner.release(fenced, commit=False)
        self._reclaims |= dict.fromkeys(fenced & self._assigned, now + RECLAIM_S)
        due = {lane for lane, at in self._reclaims.items() if at <= now}
        if due:
            _log.warning("lanes %s are claimed again: the group says that they are ours", sorted(due))
            self._reclaims = {lane: at for lane, at in self._reclaims.items() if lane not in due}
            self._learner.take(due - {stream.lane.number for stream in self._learner.streams})

    def _make(self, change: Change) -> None:
        mine = {stream.lane.number for stream in self._learner.streams}
        _log.info("partitions %s: %s", sorted(change.partitions), change.kind.value)
        self._learner.rebalanced(change.kind.value)
        if change.kind is ChangeKind.ASSIGNED:
            self._assigned |= change.partitions
            self._learner.take(change.partitions - mine)
        else:
            self._assigned -= change.partitions
            self._reclaims = {lane: at for lane, at in self._reclaims.items() if lane in self._assigned}
            self._learner.release(change.partitions & mine, commit=change.kind is ChangeKind.REVOKED)

    def close(self) -> None:
        """Commit, and give everything up."""
        self._learner.close()
