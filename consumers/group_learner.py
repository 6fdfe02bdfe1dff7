"""A learner in a consumer group: it learns the partitions that the group gives it, each a lane of its own.

    changes of the assignment ► a step of the learner ► changes ► ...

Assigned: the lane's checkpoint is restored, and reading goes on at its positions, before the first event is learned.
Revoked: what was learned is committed, and only then does the group give the partition to another. Lost, or fenced by a newer
owner's epoch: the lane is dropped as it is, for its successor has gone on from the last commit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from consumers.learner import Learner
from eventlog.membership import Change, ChangeKind

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

    def step(self, timeout_s: float) -> int:
        """Make the changes that are due, then step; returns how many events were taken."""
        for change in self._membership.changes():
            try:
                self._make(change)
            finally:
                change.done()
        taken = self._learner.step(timeout_s)
        self._learner.release(frozenset(self._learner.fenced), commit=False)
        return taken

    def _make(self, change: Change) -> None:
        mine = {stream.lane.number for stream in self._learner.streams}
        _log.info("partitions %s: %s", sorted(change.partitions), change.kind.value)
        self._learner.rebalanced(change.kind.value)
        if change.kind is ChangeKind.ASSIGNED:
            self._learner.take(change.partitions - mine)
        else:
            self._learner.release(change.partitions & mine, commit=change.kind is ChangeKind.REVOKED)

    def close(self) -> None:
        """Commit, and give everything up."""
        self._learner.close()
