"""Faults of the machine, in this process: a full disk, a read-only one, clocks that jump."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from chaos.fault import SAME, Fault, Ground, Outcome, finish
from chaos.run import Run
from chaos.traps import learn_partly
from chaos.verdict import Finding
from eventlog.errors import CheckpointError, EngramError, LogError

NOBODY = 65534
DAY_S = 86_400.0


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes (EFBIG, which programs meet as they meet ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in `folder` can be written by this process; root, who may write anywhere, is nobody meanwhile."""
    places = [folder, *folder.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for place, mode in modes.items():
            place.chmod(mode)


class Clock:
    """Wall clock and monotonic clock that jump now and then: the first to either side, the second forward only."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._wall_s = self._more_s = 0.0
        self._time, self._time_ns, self._monotonic = time.time, time.time_ns, time.monotonic
        self.jumps = 0

    def _jump(self) -> None:
        if self._rng.random() < 0.2:
            self.jumps += 1
            self._wall_s = float(self._rng.uniform(-400 * DAY_S, 400 * DAY_S))
            self._more_s += float(self._rng.exponential(60.0))

    def time(self) -> float:
        """Return what `time.time` does."""
        self._jump()
        return self._time() + self._wall_s

    def time_ns(self) -> int:
        """Return what `time.time_ns` does."""
        self._jump()
        return self._time_ns() + int(self._wall_s * 1e9)

    def monotonic(self) -> float:
        """Return what `time.monotonic` does."""
        self._jump()
        return self._monotonic() + self._more_s

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put them in place of the machine's."""
        with (
            mock.patch("time.time", self.time),
            mock.patch("time.time_ns", self.time_ns),
            mock.patch("time.monotonic", self.monotonic),
        ):
            yield


def clock_jumps(ground: Ground) -> Outcome:
    """Clocks jump while producer (of half the runs), learner and evaluator work."""
    run = ground.draw(300)
    clock = Clock(ground.rng)
    replay = bool(ground.rng.random() < 0.5)
    if replay:
        run.prepare_replay(rate=1e6)
    else:
        run.write()
    with clock.in_place():
        run.here(*(["producer"] if replay else []), "learner", "evaluator")
    return Outcome(int(clock.jumps > 0), clock.jumps, findings=finish(ground, run))


def _refused(run: Run, *roles: str) -> tuple[str, list[Finding]]:
    """Run what the disk may refuse: it ends by name, or goes through."""
    try:
        run.here(*roles)
    except (LogError, CheckpointError) as error:
        return type(error).__name__, []
    except EngramError as error:
        return type(error).__name__, [Finding("other", f"not an error of log or checkpoint: {error!r}")]
    except OSError as error:
        return type(error).__name__, [Finding("other", f"without a name: {error!r}")]
    return "progress", []


def disk_full(ground: Ground) -> Outcome:
    """Files cannot grow beyond a size that is drawn; then they can again."""
    run = ground.draw(300)
    run.write()
    learn_partly(run, ground.rng)
    largest = max(path.stat().st_size for path in run.directory.rglob("*") if path.is_file())
    with files_end_at(int(ground.rng.integers(512, 2 * largest))):
        ended, findings = _refused(run, "learner", "evaluator")
    run.findings += findings
    run.here("learner", "evaluator")
    struck = int(ended != "progress")
    return Outcome(struck, struck, ended, finish(ground, run))


def disk_read_only(ground: Ground) -> Outcome:
    """Log and checkpoints cannot be written; then they can again."""
    run = ground.draw(300)
    run.write()
    learn_partly(run, ground.rng)
    run.job("evaluator")
    with read_only(run.directory):
        ended, findings = _refused(run, "learner")
    run.findings += findings
    if ended == "progress":
        run.findings.append(Finding("other", "a learner went on, on a disk that it cannot write"))
    run.here("learner", "evaluator")
    return Outcome(ended=ended, findings=finish(ground, run))


_NAMED = "LogError or CheckpointError; with room again, the same result"
FAULTS = (
    Fault("disk full", _NAMED, disk_full, safe=False, logs=("embedded",)),
    Fault("disk read-only", _NAMED, disk_read_only, safe=False, logs=("embedded",)),
    Fault("clocks jump by up to 400 days", SAME, clock_jumps, safe=False, logs=("embedded",)),
)
