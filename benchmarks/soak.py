"""A soak: producer, learner and evaluator at a steady rate for a long time, with a fault every minute or so.

    python -m benchmarks.soak --minutes 30 --rate 10000 [--log kafka] --out DIR

A broker of its own, two partitions, packed messages, a population that turns over. The faults come in turn; whoever is
killed is started again after a second, as an orchestrator would. Sampled every few seconds: memory of each process
(resident set, /proc), lag in events, age of what is learned, events a second. Written to DIR: samples.csv, soak.json,
soak.png. The memory slope is that of ordinary least squares over events learned, with an intercept for each life of a
process and without its first minute.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.soak_chart import draw, memory_slope
from eventlog import local_broker
from eventlog.log import Record
from eventlog.open_log import open_log
from eventlog.topics import Topics

PREFIX = "soak"
PARTITIONS = 2
MODELS = ("popularity", "decayed_popularity", "hebbian")
RESTART_S = 1.0
FREEZE_S = 8.0
POISON = 1000
ROLES = ("producer", "learner", "evaluator")
FAULTS = (
    "poison",
    "broker killed",
    "producer killed",
    "learner frozen",
    "evaluator killed",
    "learner killed",
)


@dataclass
class Sample:
    """What was seen at `at_s`. mib: resident memory; NaN while a process is not there. life: its how-manieth."""

    at_s: float
    learned: float = float("nan")
    lag_events: float = float("nan")
    age_s: float = float("nan")
    evaluated: float = float("nan")
    evaluated_age_s: float = float("nan")
    mib: dict[str, float] = field(default_factory=dict)
    life: dict[str, int] = field(default_factory=dict)


@dataclass
class Process:
    """One service that is started again when it is killed."""

    role: str
    arguments: list[str]
    port: int | None
    output: IO[bytes]
    environment: dict[str, str]
    lives: int = 0
    handle: subprocess.Popen[bytes] | None = None
    down_since: float = 0.0

    def start(self) -> None:
        """Start another life."""
        self.lives += 1
        command = [sys.executable, "-m", "engram", *self.arguments]
        self.handle = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )

    def status(self) -> int | None:
        """Exit status, None while it runs."""
        assert self.handle is not None
        return self.handle.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is there."""
        assert self.handle is not None
        with suppress(ProcessLookupError):
            self.handle.send_signal(number)

    def resident_mib(self) -> float:
        """Resident memory."""
        assert self.handle is not None
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{self.handle.pid}/status").read_text().splitlines()
            return float(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
        return float("nan")

    def figures(self) -> dict[str, float]:
        """Sum of each of its Prometheus metrics over the labels; {} when it does not answer."""
        if self.port is None:
            return {}
        found: dict[str, float] = {}
        with suppress(OSError):
            address = f"http://127.0.0.1:{self.port}/metrics"
            text = urllib.request.urlopen(address, timeout=1.0).read().decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found


class Soak:
    """The processes of a soak, its faults and its samples."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack) -> None:
        self.args = args
        self.out: Path = args.out
        self.broker = self.out / "kafka"
        if args.log == "kafka":
            stack.enter_context(local_broker.ephemeral_broker(self.broker))
            self.spec = f"kafka:{local_broker.status(self.broker).address}"
        else:
            self.spec = f"embedded:{self.out / 'log.sqlite'}"
        kind, _, place = self.spec.partition(":")
        at = ["--bootstrap", place] if kind == "kafka" else ["--log-path", place]
        log = ["--log", kind, *at, "--topic-prefix", PREFIX, "--partitions", str(PARTITIONS)]
        self.events = int(args.minutes * 60 * args.rate)
        produce = ["produce", "synthetic", "--limit", str(self.events), "--rate", str(args.rate), *log]
        learn = ["learn", "--until-end", "--max-users", "4000", "--metrics-port", str(args.port), *log]
        learn += [flag for model in MODELS for flag in ("--model", model)]
        learn += ["--checkpoint-dir", str(self.out / "learner"), "--rating-min", "1", "--rating-max", "5"]
        evaluate = ["evaluate", "--watch", "--metrics-port", str(args.port + 1), *log]
        evaluate += ["--checkpoint-dir", str(self.out / "evaluator")]
        ports = (None, args.port, args.port + 1)
        self.processes = {
            role: Process(
                role,
                arguments,
                port,
                stack.enter_context((self.out / f"{role}.log").open("ab")),
                {**os.environ, "PYTHONPATH": str(Path.cwd())},
            )
            for role, arguments, port in zip(ROLES, (produce, learn, evaluate), ports, strict=True)
        }
        # The stream begins when its readers are there, so that starting up is no lag.
        for role in reversed(ROLES):
            if role == "producer":
                while not all(self.processes[other].figures() for other in ROLES[1:]):
                    time.sleep(0.2)
            self.processes[role].start()
            stack.callback(self.processes[role].signal, signal.SIGKILL)
        self.started = time.monotonic()
        self.samples: list[Sample] = []
        self.faults: list[tuple[float, str]] = []
        self.poisoned = 0

    def run(self) -> None:
        """Sample and disturb until the learner has learned everything."""
        due_fault, due_sample = self.started + self.args.fault_every, self.started
        limit = self.started + self.args.minutes * 60 * 2 + 600
        learner = self.processes["learner"]
        while learner.status() != 0:
            now = time.monotonic()
            if now > limit:
                raise RuntimeError(f"not done after {now - self.started:.0f} s; see {self.out}/*.log")
            self._restart()
            if now >= due_fault and self.processes["producer"].status() is None:
                self._disturb(FAULTS[len(self.faults) % len(FAULTS)])
                due_fault += self.args.fault_every
            if now >= due_sample:
                self._sample()
                due_sample = max(due_sample + self.args.sample_every, now)
            time.sleep(0.2)
        self._wait_for_evaluator()

    def _wait_for_evaluator(self) -> None:
        for _ in range(60):
            self._sample()
            if self.samples[-1].evaluated >= self.events:
                break
            time.sleep(1.0)
        self.processes["evaluator"].signal(signal.SIGTERM)

    def _restart(self) -> None:
        for process in self.processes.values():
            status = process.status()
            if status in {None, 0}:
                continue
            now = time.monotonic()
            if not process.down_since:
                process.down_since = now
                print(f"{now - self.started:7.0f} s  {process.role} ended with {status}", flush=True)
            elif now - process.down_since > RESTART_S:
                process.down_since = 0.0
                process.start()

    def _disturb(self, fault: str) -> None:
        at = time.monotonic() - self.started
        self.faults.append((at, fault))
        print(f"{at:7.0f} s  {fault}", flush=True)
        role = fault.split(maxsplit=1)[0]
        if fault == "poison":
            with open_log(self.spec) as log, log.writer() as writer:
                for partition in range(PARTITIONS):
                    bad = [Record(b"k", b"\xffpoison %d" % n) for n in range(POISON // PARTITIONS)]
                    writer.append(Topics.with_prefix(PREFIX).ratings, partition, bad)
            self.poisoned += POISON
        elif fault == "broker killed":
            if self.args.log == "kafka":
                os.kill(local_broker.status(self.broker).pid, signal.SIGKILL)
                while local_broker.status(self.broker).running:
                    time.sleep(0.05)
                local_broker.up(self.broker)
        elif fault == "learner frozen":
            self.processes[role].signal(signal.SIGSTOP)
            time.sleep(FREEZE_S)
            self.processes[role].signal(signal.SIGCONT)
        else:
            self.processes[role].signal(signal.SIGKILL)

    def _sample(self) -> None:
        learner = self.processes["learner"].figures()
        evaluator = self.processes["evaluator"].figures()
        nan = float("nan")
        alive = {role: one for role, one in self.processes.items() if one.status() is None}
        self.samples.append(
            Sample(
                at_s=time.monotonic() - self.started,
                learned=learner.get("engram_events_learned_total", nan),
                lag_events=learner.get("engram_learner_lag_events", nan),
                age_s=learner.get("engram_learner_lag_seconds", nan),
                evaluated=evaluator.get("engram_prequential_events_total", nan),
                evaluated_age_s=evaluator.get("engram_prequential_lag_seconds", nan),
                mib={role: one.resident_mib() for role, one in alive.items()},
                life={role: one.lives for role, one in alive.items()},
            )
        )


def main() -> None:
    """Soak, write what was seen, print the summary; exit code 1 when an event is lost or learned twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=10_000.0, help="events a second")
    parser.add_argument("--log", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--fault-every", type=float, default=120.0, help="seconds")
    parser.add_argument("--sample-every", type=float, default=5.0, help="seconds")
    parser.add_argument("--port", type=int, default=19_100, help="of metrics; the next one too")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        soak = Soak(args, stack)
        try:
            soak.run()
        finally:
            summary = report(soak)
    sys.exit(0 if summary["held"] else 1)


def report(soak: Soak) -> dict[str, object]:
    """Write samples, summary and picture; print and return the summary."""
    with (soak.out / "samples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = ["at_s", "learned", "lag_events", "age_s", "evaluated", "evaluated_age_s"]
        writer.writerow([*names, *(f"{role}_{what}" for role in ROLES for what in ("mib", "life"))])
        for one in soak.samples:
            row = [
                one.mib.get(role, "") if what == "mib" else one.life.get(role, "")
                for role in ROLES
                for what in ("mib", "life")
            ]
            writer.writerow([*(asdict(one)[name] for name in names), *row])
    with open_log(soak.spec) as log:
        topics = Topics.with_prefix(PREFIX)
        letters = sum(end - begin for begin, end in log.bounds(topics.dead_letters).values())
    evaluated = max((one.evaluated for one in soak.samples if one.evaluated == one.evaluated), default=0.0)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary: dict[str, object] = {
        "minutes": soak.args.minutes,
        "rate": soak.args.rate,
        "log": soak.args.log,
        "seconds": round(time.monotonic() - soak.started, 1),
        "events": soak.events,
        "evaluated": int(evaluated),
        "bad_messages": soak.poisoned,
        "dead_letters_with_repeats": letters,
        "faults": soak.faults,
        "lives": {role: one.lives for role, one in soak.processes.items()},
        "mib_per_million_events": {role: memory_slope(soak.samples, role) for role in ROLES},
        "cpu_s": round(cpu.ru_utime + cpu.ru_stime, 1),
        "held": evaluated == soak.events and letters >= soak.poisoned,
    }
    (soak.out / "soak.json").write_text(json.dumps(summary, indent=1))
    draw(soak.samples, soak.faults, soak.out / "soak.png")
    print(json.dumps(summary, indent=1))
    return summary


if __name__ == "__main__":
    main()
