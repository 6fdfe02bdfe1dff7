"""A fault: what is done, what is promised then, and the outcome of one try of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from chaos.run import References, Run
from chaos.stream import Shape
from chaos.verdict import Finding
from chaos.victim import Server
from eventlog.errors import EngramError

SAME = "the result of an undisturbed run, bit for bit"


@dataclass
class Ground:
    """Where one fault is tried: the log, a directory of its own, what draws, the fork server, the references.

    log: `embedded` or `kafka:HOST:PORT`. kafka runs are of fewer events, for each takes seconds.
    """

    log: str
    directory: Path
    seed: int
    rng: np.random.Generator
    server: Callable[[], Server]
    references: References

    @property
    def on_kafka(self) -> bool:
        """Whether the log is Kafka's."""
        return self.log.startswith("kafka")

    def draw(self, events: int = 1500, shape: Shape | None = None) -> Run:
        """A run of a drawn stream."""
        name = f"run-{len(list(self.directory.glob('run-*')))}"
        return Run.drawn(self.log, self.directory / name, self.rng, events, shape)


@dataclass
class Outcome:
    """Of one try, or of some in one run. struck: how often the fault struck; tries: promises that were put to the test.

    ended: how it ended, `progress` or the name of the fatal error. findings: what did not hold.
    """

    tries: int = 1
    struck: int = 1
    ended: str = "progress"
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    name, promise: as they stand there. within_s: a try that takes longer hangs. safe: whether a user's own test
    cluster may be tried with it: it touches only topics and processes of its own. logs: where it can be tried.
    """

    name: str
    promise: str
    run: Callable[[Ground], Outcome]
    within_s: float = 120.0
    safe: bool = True
    logs: tuple[str, ...] = ("embedded", "kafka")


def finish(ground: Ground, run: Run, *, repeats: bool | None = None) -> list[Finding]:
    """Judge a run that was learned and evaluated to the end, compare its digests, and delete it where all is right."""
    truth = run.truth()
    run.judge_replay(truth, repeats=repeats)
    run.judge(truth, complete=True)
    if not run.findings and run.digests() != ground.references.of(run):
        run.findings.append(Finding("other", "digests differ from those of the undisturbed run"))
    if not run.findings:
        run.delete()
    return run.findings


def refused(
    error: type[EngramError], words: Sequence[str], attempt: Callable[[], object]
) -> tuple[str, list[Finding]]:
    """Attempt what must end in `error`, whose message names the way out; return its name and what did not hold."""
    try:
        attempt()
    except error as said:
        missing = [word for word in words if word not in str(said)]
        return type(said).__name__, [
            Finding("other", f"{type(said).__name__} does not say {word!r}: {said}") for word in missing
        ]
    except EngramError as said:
        return type(said).__name__, [
            Finding("other", f"{type(said).__name__}, expected {error.__name__}: {said}")
        ]
    return "progress", [Finding("other", f"no error, expected {error.__name__}")]
