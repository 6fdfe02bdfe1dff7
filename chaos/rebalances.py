"""A storm of rebalances: members of a consumer group start, are killed, freeze and wake while events keep coming.

Each partition is a lane of its own here, so the verdict is on each: its predictions are the partition's events in
order, once each, and its last checkpoint says the same.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from chaos.fault import Fault, Ground, Outcome
from chaos.run import Run
from chaos.stream import Shape, create_topics, lay_out, make_events
from chaos.truth import Truth, read_topic
from chaos.verdict import Finding, judge_checkpoint, read_letters
from chaos.victim import STOP
from consumers.checkpoint import CheckpointStore
from consumers.stream import lane_folder

PARTITIONS = 4
MOST_MEMBERS = 3
CHANGES = 8  # of the membership, in one storm
SETTLING_S = 90.0  # for all to be learned once the storm is over


class _Members:
    """The lives that are or were in the group."""

    def __init__(self, ground: Ground, run: Run) -> None:
        self._server, self._rng = ground.server(), ground.rng
        self._job = run.job("member", "learner")
        self._run = run
        self._awake: list[int] = []
        self._frozen: list[int] = []
        self.struck = 0

    def start(self) -> None:
        """One more, which takes its share."""
        self._awake.append(self._server.start(self._job))

    def disturb(self) -> None:
        """Start, kill, freeze or wake one, as is drawn."""
        what = str(self._rng.choice(["start", "kill", "freeze", "wake"]))
        if what == "wake" and self._frozen:
            self._wake()
        elif what == "start" or not self._awake:
            if len(self._awake) + len(self._frozen) < MOST_MEMBERS:
                self.start()
            elif self._frozen:
                self._wake()
            else:
                self._strike("kill")
        else:
            self._strike("kill" if what == "kill" else "freeze")
        self.struck += 1

    def _strike(self, what: str) -> None:
        pid = self._awake.pop(int(self._rng.integers(len(self._awake))))
        if what == "kill":
            self._server.kill(pid)
            self._server.wait(pid, 30.0)
        else:
            self._server.freeze(pid)
            self._frozen.append(pid)

    def _wake(self) -> None:
        pid = self._frozen.pop(0)
        self._server.thaw(pid)
        self._awake.append(pid)

    def calm(self) -> None:
        """Wake all, and have at least one."""
        while self._frozen:
            self._wake()
        if not self._awake:
            self.start()

    def stop(self) -> None:
        """Have all stop in order; a life that ends in another way is a finding."""
        directory = Path(self._job.directory)
        (directory / STOP).touch()
        for pid in self._awake:
            status = self._server.wait(pid, 60.0)
            if status != 0:
                said = directory / "error.txt"
                why = said.read_text()[-300:] if said.exists() else ""
                self._run.findings.append(Finding("other", f"a member ended with {status}: {why}"))
                self._server.kill(pid)


def rebalance_storm(ground: Ground) -> Outcome:
    """Change the group again and again while a stream comes in, then let it settle, and judge every lane."""
    shape = Shape(partitions=PARTITIONS, pack=int(ground.rng.choice([1, 16])))
    run = ground.draw(1200, shape)
    events = make_events(run.seed, run.events)
    laid_out = lay_out(events, shape, run.seed)
    cuts = [np.linspace(0, len(records), CHANGES + 1).astype(int).tolist() for records in laid_out]
    with run.log() as log:
        create_topics(log, run.topics, PARTITIONS)
        members = _Members(ground, run)
        members.start()
        for change in range(CHANGES):
            with log.writer() as writer:
                for partition, records in enumerate(laid_out):
                    first, last = cuts[partition][change : change + 2]
                    writer.append(run.topics.ratings, partition, records[first:last])
            time.sleep(float(ground.rng.uniform(0.0, 1.5)))
            members.disturb()
        members.calm()
        truth = run.truth()
        deadline = time.monotonic() + SETTLING_S
        while any(_learned(run, lane) < len(events) for lane, events in truth.by_partition.items()):
            if time.monotonic() > deadline:
                run.findings.append(Finding("other", f"not all is learned after {SETTLING_S:g} s of peace"))
                break
            time.sleep(0.2)
        members.stop()
    if not run.findings:
        _judge(run, truth)
    if not run.findings:
        run.delete()
    return Outcome(members.struck, members.struck, findings=run.findings)


def _learned(run: Run, lane: int) -> int:
    """Events in a lane's newest checkpoint."""
    saved = CheckpointStore(lane_folder(run.directory / "learner", lane)).load()
    return saved.meta["lane"]["learned"] if saved else 0


def _judge(run: Run, truth: Truth) -> None:
    """Every lane against its partition."""
    with run.log() as log:
        letters, findings = read_letters(log, run.topics, truth, complete=True)
        predicted = read_topic(log, run.topics.predictions)
    for partition, events in truth.by_partition.items():
        said: list[int] = []
        for record in predicted:
            block = msgspec.msgpack.decode(record.value or b"")
            if record.partition == partition:
                if block["first_seq"] > len(said):
                    findings.append(Finding("lost", f"lane {partition} has a gap at {len(said)}"))
                seqs = np.frombuffer(block["source_seq"], np.int64).tolist()
                said += seqs[max(len(said) - block["first_seq"], 0) :]
        want = [event.seq for event in events]
        if said != want:
            kind = "twice" if len(said) > len(want) else "lost"
            findings.append(Finding(kind, f"lane {partition}: {len(said)} predictions of {len(want)} events"))
        saved = CheckpointStore(lane_folder(run.directory / "learner", partition)).load()
        if saved is None:
            findings.append(Finding("lost", f"lane {partition} has no checkpoint"))
            continue
        alone = Truth(events=events, bad=truth.bad)
        findings += judge_checkpoint(saved.arrays, saved.meta, alone, letters)
    run.findings += findings


FAULTS = (
    Fault(
        "rebalance storm: members start, die, freeze and wake",
        "each lane learns its partition, once each and in order",
        rebalance_storm,
        within_s=240.0,
        logs=("kafka",),
    ),
)
