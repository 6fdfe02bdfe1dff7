"""Failpoints: places between numbered steps where a test can kill this process with SIGKILL.

`ENGRAM_FAILPOINT=name:count` kills at the count-th passage of `name` (counted from 1). Unset, a failpoint costs
one comparison. The names are in `NAMES`, so that a test can walk through all of them.
"""

from __future__ import annotations

import os
import signal

NAMES = (
    "polled",
    "batch_learned",
    "outputs_appended",
    "outputs_acknowledged",
    "checkpoint_objects",
    "checkpoint_manifest",
    "checkpointed",
    "offsets_committed",
    "evaluated",
)

_name, _, _count = os.environ.get("ENGRAM_FAILPOINT", "").partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Kill this process if `name` is armed and its count is reached."""
    if name == _name:
        _pass()


def arm(name: str, count: int) -> None:
    """Arm `name` in this process, to strike at its count-th passage. Raises `ValueError` for an unknown name."""
    global _name, _left
    if name not in NAMES:
        raise ValueError(f"failpoint is {name!r}, expected one of {NAMES}")
    _name, _left = name, count


def _pass() -> None:
    global _left  # noqa: PLW0603
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
