"""A storm of kills over one run: victims are started, killed and started again until the run is done.

A try that does not strike (its process had finished, or never came past the failpoint) is no kill. Kills of a run
hold when the verdict on it is clean and its digests are those of an undisturbed run.
"""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from chaos.victim import Job, Server
from consumers.failpoints import NAMES

RANDOM_TIME = "random time"
FROZEN = "frozen"
# Passed once a poll or batch; the others once a commit.
_OFTEN = {"polled", "batch_learned", "evaluated"}
_OF_EVALUATOR = ("evaluated", "checkpoint_objects", "checkpoint_manifest")
FAULTS = {
    "learner": (*(name for name in NAMES if name != "evaluated"), *[RANDOM_TIME] * 4),
    "evaluator": (*_OF_EVALUATOR, *[RANDOM_TIME] * 2),
    "producer": (RANDOM_TIME,),
}
FREEZES = dict.fromkeys(FAULTS, (FROZEN,))
LIFE_LIMIT_S = 600.0
_LOG_ERROR = re.compile(r"^eventlog\.errors\.(BrokerError|LogError)", re.MULTILINE)


class _Life(NamedTuple):
    pid: int
    fault: str
    started: float
    kill_at: float


@dataclass
class Storm:
    """Kills the processes of one run, or freezes them for a while.

    mean_delay_s: of the exponential delays of kills and freezes at random times, and of how long one is frozen. wanted:
    kills, after which lives are left in peace. after_death: called with the role when a life was killed. faults: of
    each role, in turn. while_frozen: called with the role while it is. restarts: how many lives may end by an error of
    the log, each followed by another life.
    """

    server: Server
    rng: np.random.Generator
    mean_delay_s: float
    wanted: int
    after_death: Callable[[str], None] = lambda role: None
    faults: Mapping[str, Sequence[str]] = field(default_factory=lambda: FAULTS)
    while_frozen: Callable[[str], None] = lambda role: None
    restarts: int = 0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    _plan: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """Kills that struck."""
        return self.struck.total()

    def run(self, jobs: Mapping[str, Job]) -> None:
        """Run one job of each role side by side until all are done. Raises `RuntimeError` when one fails."""
        running = {role: self._start(role, job) for role, job in jobs.items()}
        try:
            while running:
                for role, life in list(running.items()):
                    status = self.server.wait(life.pid, 0.002)
                    now = time.monotonic()
                    if status is None:
                        if now > life.kill_at and life.fault == FROZEN:
                            running[role] = self._freeze(role, life)
                        elif now > life.kill_at:
                            self.server.kill(life.pid)
                        if now > life.started + LIFE_LIMIT_S:
                            raise RuntimeError(f"{role}: one life takes more than {LIFE_LIMIT_S:.0f} s")
                        continue
                    del running[role]
                    if status == 0:
                        continue
                    self._died(role, life, status, jobs[role])
                    running[role] = self._start(role, jobs[role])
        finally:
            for life in running.values():
                self.server.kill(life.pid)
                self.server.wait(life.pid, 10.0)

    def _freeze(self, role: str, life: _Life) -> _Life:
        """Stop a life for a while; it is to be frozen again later, as long as that is wanted."""
        self.server.freeze(life.pid)
        self.while_frozen(role)
        time.sleep(self.rng.exponential(self.mean_delay_s))
        self.server.thaw(life.pid)
        self.struck[role, FROZEN] += 1
        wait_s = self.rng.exponential(self.mean_delay_s) if self.kills < self.wanted else np.inf
        return life._replace(kill_at=time.monotonic() + wait_s)

    def _start(self, role: str, job: Job) -> _Life:
        now = time.monotonic()
        if self.kills >= self.wanted:
            return _Life(self.server.start(job), "", now, np.inf)
        plan = self._plan.setdefault(role, [])
        if not plan:  # every fault has its turn before any comes again
            plan.extend(self.rng.permutation(self.faults[role]).tolist())
        fault = plan.pop()
        self.tried[role, fault] += 1
        if fault in {RANDOM_TIME, FROZEN}:
            return _Life(self.server.start(job), fault, now, now + self.rng.exponential(self.mean_delay_s))
        count = int(self.rng.integers(1, 40 if fault in _OFTEN else 6))
        armed = msgspec.structs.replace(job, failpoint=(fault, count))
        return _Life(self.server.start(armed), fault, now, np.inf)

    def _died(self, role: str, life: _Life, status: int, job: Job) -> None:
        errors = Path(job.directory, "error.txt")
        if status == 1 and self.restarts and errors.exists() and _LOG_ERROR.search(errors.read_text()):
            self.restarts -= 1
            errors.unlink()
            return
        if status != -signal.SIGKILL or not life.fault:
            said = errors.read_text() if errors.exists() else "no error was left"
            raise RuntimeError(f"{role} ended with status {status}: {said}")
        self.struck[role, life.fault] += 1
        self.after_death(role)
