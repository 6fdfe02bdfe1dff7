"""What goes to a peer's program and what comes back: two .npz files without pickles. Needs numpy alone.

Rows are dense, in order of first appearance, so that after an event of item row i all of 0 ... i are known.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

RANK_EVENTS: Final = "P"  # test, then learn: a rank for each event
CALL_LIKES: Final = "R"  # test, then learn: how surely each event is a like
LEAVE_ONE_OUT: Final = "L"  # learn all, then score all items for each question
PROTOCOLS: Final = (RANK_EVENTS, CALL_LIKES, LEAVE_ONE_OUT)


class Task(NamedTuple):
    """What a peer is asked; arrays that its protocol does not need are empty.

    protocol: one of `PROTOCOLS`. seed: of all that the peer draws. users, items: how many rows there are.
    user, item: int32[n], rows of the events in order. rating: float64[n], in the source's scale (NaN without one).
    time_ms: int64[n], event time. bits: uint8[n, b], what is known of an event before it (R). like: uint8[n], 0 or 1 (R).
    asked: int32[q], the users that are asked about (L).
    """

    protocol: str
    seed: int
    users: int
    items: int
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float64]
    time_ms: NDArray[np.int64]
    bits: NDArray[np.uint8]
    like: NDArray[np.uint8]
    asked: NDArray[np.int32]


class Answer(NamedTuple):
    """What a peer answers.

    said: int32[n] ranks (P: 1 is best, 0 a repeat, -1 an item never seen before), float64[n] from 0 to 1 (R), or
    float32[q, items] scores (L). seconds: CPU time of the peer's own calls. state_bytes: of its model, 0 where it does
    not say. peak_memory_bytes: of its process. about: settings and versions, for the table.
    """

    said: NDArray[Any]
    seconds: float
    state_bytes: int
    peak_memory_bytes: int
    about: dict[str, Any]


def _about(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"about is {text!r}, expected a JSON object")
    return found


def write_task(path: Path, task: Task) -> None:
    """Write a task; `read_task` reads it."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in task._asdict().items()}
    np.savez(path, **arrays)


def read_task(path: Path) -> Task:
    """Read what `write_task` wrote."""
    with np.load(path) as file:
        found = {name: file[name] for name in Task._fields}
    for name in ("seed", "users", "items"):
        found[name] = int(found[name])
    return Task(**found | {"protocol": str(found["protocol"])})


def write_answer(path: Path, answer: Answer) -> None:
    """Write an answer; `read_answer` reads it."""
    about = json.dumps(answer.about, sort_keys=True)
    numbers = {name: getattr(answer, name) for name in ("seconds", "state_bytes", "peak_memory_bytes")}
    np.savez(path, said=answer.said, about=about, **numbers)


def read_answer(path: Path, task: Task) -> Answer:
    """Read an answer to `task`. Raises `ValueError` where its form is not that of the task's protocol."""
    with np.load(path) as file:
        answer = Answer(
            file["said"],
            float(file["seconds"]),
            int(file["state_bytes"]),
            int(file["peak_memory_bytes"]),
            _about(str(file["about"])),
        )
    expected = (len(task.asked), task.items) if task.protocol == LEAVE_ONE_OUT else (len(task.user),)
    if answer.said.shape != expected:
        raise ValueError(f"said has the shape {answer.said.shape}, expected {expected}")
    if task.protocol == RANK_EVENTS and answer.said.dtype != np.int32:
        raise ValueError(f"said is {answer.said.dtype}, expected int32 ranks")
    if task.protocol == CALL_LIKES and not ((answer.said >= 0) & (answer.said <= 1)).all():
        raise ValueError("said has values outside 0 to 1, expected probabilities of a like")
    return answer
