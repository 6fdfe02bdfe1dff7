"""Something that happens at a certain call of a role to its log, and a role that ends at one."""

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


class _AtCall(Chance):
    """Does `act` before the call `name` for the time `number`, counted from 1."""

    def __init__(self, name: str, number: int, act: Callable[[], None]) -> None:
        super().__init__(Rates(), np.random.default_rng(0), 0)
        self._name = name
        self._left = number
        self._act = act

    def before(self, call: str) -> None:
        """Count calls."""
        if call == self._name:
            self._left -= 1
            if self._left == 0:
                self._act()


def at_call(name: str, number: int, act: Callable[[], None]) -> Wrap:
    """Wrap a log so that `act` is done before the call `name` for the time `number`."""

    def wrap(log: Log) -> Log:
        return FaultyLog(log, _AtCall(name, number, act))

    return wrap


def learn_partly(run: Run, rng: np.random.Generator) -> int:
    """Let a learner of a written run die, after some checkpoint or between two; how many checkpoints it leaves."""
    batch_size, run.batch_size = run.batch_size, 7
    run.checkpoint_every_events = 30

    def die() -> None:
        raise LogError("injected: the learner dies")

    call = "commit" if rng.random() < 0.7 else "append"
    number = int(rng.integers(1, max(2, run.events // run.checkpoint_every_events)))
    with contextlib.suppress(LogError):
        run.here("learner", wrap=at_call(call, number, die))
    run.batch_size = batch_size
    return len(store_of(run).versions())


def store_of(run: Run) -> CheckpointStore:
    """The learner's checkpoints."""
    return CheckpointStore(lane_folder(run.directory / "learner", 0))
