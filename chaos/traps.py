"""Something that happens at a certain poll of a role, and a role that ends at one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from chaos.faulty_log import Chance, FaultyLog, Rates
from chaos.run import Run
from chaos.victim import Wrap
from consumers.checkpoint import CheckpointStore
from consumers.stream import lane_folder
from eventlog.errors import LogError
from eventlog.log import Log


class _AtPoll(Chance):
    """Does `act` before the poll number `number`, counted from 1."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        super().__init__(Rates(), np.random.default_rng(0), 0)
        self._polls_left = number
        self._act = act

    def before(self, call: str) -> None:
        """Count polls."""
        if call == "poll":
            self._polls_left -= 1
            if self._polls_left == 0:
                self._act()


def at_poll(number: int, act: Callable[[], None]) -> Wrap:
    """Wrap a log so that `act` is done before poll `number`."""

    def wrap(log: Log) -> Log:
        return FaultyLog(log, _AtPoll(number, act))

    return wrap


def learn_partly(run: Run, rng: np.random.Generator) -> int:
    """Let a learner of a written run die at a poll that is drawn; how many checkpoints it leaves."""
    batch_size, run.batch_size = run.batch_size, 7
    polls = 2 + run.events // max(run.shape.pack, run.batch_size)

    def die() -> None:
        raise LogError("injected: the learner dies")

    run.checkpoint_every_events = 30
    with contextlib.suppress(LogError):
        run.here("learner", wrap=at_poll(int(rng.integers(2, polls + 1)), die))
    run.batch_size = batch_size
    return len(store_of(run).versions())


def store_of(run: Run) -> CheckpointStore:
    """The learner's checkpoints."""
    return CheckpointStore(lane_folder(run.directory / "learner", 0))
