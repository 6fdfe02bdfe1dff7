"""Test, then learn, around a peer's model: candidates and ranks are made here, alike for all. Needs numpy alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from peers.files import CALL_LIKES, RANK_EVENTS, Answer, Task, read_task, write_answer

REPEAT: Final = 0
NEW_ITEM: Final = -1


class Ranker(Protocol):
    """A model that ranks, and learns one event at a time."""

    def scores(self, user: int, candidates: NDArray[np.int64]) -> NDArray[Any]:
        """Score candidates (item rows that the user has not had) for a user; larger is better."""

    def learn(self, user: int, item: int, rating: float, time_ms: int) -> None:
        """Learn one event; the user or the item may be new."""


class Caller(Protocol):
    """A model that says how surely an event is a like, and learns one event at a time."""

    def says(self, user: int, bits: NDArray[np.uint8]) -> float:
        """Return the probability of a like, 0 to 1."""

    def learn(self, user: int, bits: NDArray[np.uint8], like: int) -> None:
        """Learn one event."""


def rank_events(task: Task, model: Ranker) -> tuple[NDArray[np.int32], float]:
    """Rank each event's item among all items known so far less the user's own, then learn it.

    Returns ranks (see `Answer`; equal scores count against the model, no number scores lowest) and the CPU seconds of
    the model's calls.
    """
    known = 0
    had = np.zeros((task.users, task.items), np.bool_)
    ranks = np.zeros(len(task.user), np.int32)
    seconds = 0.0
    for at, (user, item) in enumerate(zip(task.user.tolist(), task.item.tolist(), strict=True)):
        rating, time_ms = float(task.rating[at]), int(task.time_ms[at])
        if had[user, item]:
            ranks[at] = REPEAT
        elif item >= known:
            ranks[at] = NEW_ITEM
        else:
            candidates = np.flatnonzero(~had[user, :known])
            started = time.process_time()
            scores = np.asarray(model.scores(user, candidates), np.float64)
            seconds += time.process_time() - started
            scores = np.where(np.isnan(scores), -np.inf, scores)
            ranks[at] = np.count_nonzero(scores >= scores[np.searchsorted(candidates, item)])
        started = time.process_time()
        model.learn(user, item, rating, time_ms)
        seconds += time.process_time() - started
        known = max(known, item + 1)
        had[user, item] = True
    return ranks, seconds


def call_likes(task: Task, model: Caller) -> tuple[NDArray[np.float64], float]:
    """Say of each event how surely it is a like, then learn it; the answer's `said`, and CPU seconds."""
    said = np.empty(len(task.user))
    started = time.process_time()
    for at, (user, like) in enumerate(zip(task.user.tolist(), task.like.tolist(), strict=True)):
        said[at] = model.says(user, task.bits[at])
        model.learn(user, task.bits[at], like)
    return said, time.process_time() - started


def main(makers: Mapping[str, Callable[[Task], Any]], about: Mapping[str, Any]) -> None:
    """Run a peer's program: `TASK ANSWER MODEL`. makers: {model's name: what makes it for a task}."""
    task_path, answer_path, name = sys.argv[1:]
    task = read_task(Path(task_path))
    started = time.process_time()
    model = makers[name](task)
    before = time.process_time() - started
    said: NDArray[Any]
    if task.protocol == RANK_EVENTS:
        said, seconds = rank_events(task, model)
    elif task.protocol == CALL_LIKES:
        said, seconds = call_likes(task, model)
    else:
        started = time.process_time()
        said, seconds = model(task), time.process_time() - started
    state_bytes = int(getattr(model, "state_bytes", 0))
    settings = dict(about) | dict(getattr(model, "settings", {}))
    answer = Answer(said, before + seconds, state_bytes, _peak_memory_bytes(), settings)
    write_answer(Path(answer_path), answer)


def _peak_memory_bytes() -> int:
    """The most memory that this process has had resident; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
