"""A storm of kills over one run: victims are started, killed and started again until the run is done.

A try that does not strike (its process had finished, or never came past the failpoint) is no kill. Kills of a run
hold when the verdict on it is clean and its digests are those of an undisturbed run.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from consumers.failpoints import NAMES
from tests.faults.victim import Job, Server

RANDOM_TIME = "random time"
# Passed once a poll or batch; the others once a commit.
_OFTEN = {"polled", "batch_learned", "evaluated"}
_OF_EVALUATOR = ("evaluated", "checkpoint_objects", "checkpoint_manifest")
FAULTS = {
    "learner": (*(name for name in NAMES if name != "evaluated"), *[RANDOM_TIME] * 4),
    "evaluator": (*_OF_EVALUATOR, *[RANDOM_TIME] * 2),
    "producer": (RANDOM_TIME,),
}
LIFE_LIMIT_S = 120.0


class Score(msgspec.Struct):
    """Of one fault: lives that it was planned for, those that it ended, and kills after which all was right."""

    tries: int = 0
    struck: int = 0
    held: int = 0


class _Life(NamedTuple):
    pid: int
    fault: str
    started: float
    kill_at: float


@dataclass
class Storm:
    """Kills the processes of one run.

    mean_delay_s: of the exponential delays of kills at random times. wanted: kills, after which lives are left in
    peace. after_death: called with the role when a life was killed.
    """

    server: Server
    rng: np.random.Generator
    mean_delay_s: float
    wanted: int
    after_death: Callable[[str], None] = lambda role: None
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
                        if now > life.kill_at:
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

    def _start(self, role: str, job: Job) -> _Life:
        now = time.monotonic()
        if self.kills >= self.wanted:
            return _Life(self.server.start(job), "", now, np.inf)
        plan = self._plan.setdefault(role, [])
        if not plan:  # every fault has its turn before any comes again
            plan.extend(self.rng.permutation(FAULTS[role]).tolist())
        fault = plan.pop()
        self.tried[role, fault] += 1
        if fault == RANDOM_TIME:
            return _Life(self.server.start(job), fault, now, now + self.rng.exponential(self.mean_delay_s))
        count = int(self.rng.integers(1, 40 if fault in _OFTEN else 6))
        armed = msgspec.structs.replace(job, failpoint=(fault, count))
        return _Life(self.server.start(armed), fault, now, np.inf)

    def _died(self, role: str, life: _Life, status: int, job: Job) -> None:
        errors = Path(job.directory, "error.txt")
        if status != -signal.SIGKILL or not life.fault:
            said = errors.read_text() if errors.exists() else "no error was left"
            raise RuntimeError(f"{role} ended with status {status}: {said}")
        self.struck[role, life.fault] += 1
        self.after_death(role)


def add_scores(storm: Storm, log_kind: str, victims: str, held: bool, path: Path) -> dict[str, Score]:
    """Add a run's kills to the scores in the JSON file `path`; returns all of them, by `log, victims, role, fault`."""
    scores: dict[str, Score] = {}
    if path.exists():
        scores = msgspec.json.decode(path.read_bytes(), type=dict[str, Score])
    for (role, fault), tries in storm.tried.items():
        score = scores.setdefault(f"{log_kind}, {victims}, {role}, {fault}", Score())
        struck = storm.struck[role, fault]
        score.tries += tries
        score.struck += struck
        score.held += struck if held else 0
    path.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(scores.items())))))
    return scores
