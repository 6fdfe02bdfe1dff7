"""Changes of what a member of a consumer group is to read."""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum
from typing import NamedTuple, Protocol


class Answer(Awaitable[None], Protocol):
    """What the group waits for, before it gives a partition to another."""

    is_done: bool

    def success(self, value: None) -> object:
        """Say that it is done."""


class ChangeKind(Enum):
    """What becomes of partitions. REVOKED: give them up in order; LOST: they are another's already."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"


class Change(NamedTuple):
    """A change of the assignment; `done` must be called once it is made, for the group waits for it."""

    kind: ChangeKind
    partitions: frozenset[int]
    answer: Answer

    def done(self) -> None:
        """Let the group go on."""
        if not self.answer.is_done:
            self.answer.success(None)
