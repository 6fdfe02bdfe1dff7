"""One run under faults: a stream in a log of its own, the jobs on it, the verdict, and the digests to compare with."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import msgspec
import numpy as np

from chaos.storm import Storm
from chaos.stream import Shape, create_topics, make_events, write_stream
from chaos.truth import Truth, read_truth
from chaos.verdict import Finding, judge
from chaos.victim import ROLES, Job, ReplayOf, Server, Wrap, as_it_is, synthetic
from eventlog.log import Log
from eventlog.open_log import open_log
from eventlog.topics import Topics
from online_models.model import ClockName

SEEDS = (11, 12, 13)  # of streams; what a fault does to one follows from its own seed
REPLAY_RATE = 12_000.0
SHAPES = (
    Shape(partitions=1, pack=1),
    Shape(partitions=4, pack=16),
    Shape(partitions=1, pack=256, late=0.3),
    Shape(partitions=4, pack=1, late=0.3),
    Shape(partitions=1, pack=16),
    Shape(partitions=4, pack=256),
)
CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")
BATCH_SIZES = (7, 64, 256)


class Run:
    """One stream in a log of its own (or topics of its own on Kafka), and the jobs on it.

    spec: `embedded`, for a log in the run's directory, or `kafka:HOST:PORT`. directory: made here. seed: of the
    stream, which has `events` events.
    """

    def __init__(
        self,
        spec: str,
        directory: Path,
        seed: int,
        shape: Shape,
        clock: ClockName,
        batch_size: int = 64,
        events: int = 6000,
    ) -> None:
        directory.mkdir(parents=True)
        self.prefix = f"faults-{uuid.uuid4().hex[:12]}"
        self.topics = Topics.with_prefix(self.prefix)
        self.directory = directory
        self.spec = spec if spec.startswith("kafka") else f"{spec}:{directory}/log.db"
        self.seed = seed
        self.shape = shape
        self.clock = clock
        self.batch_size = batch_size
        self.events = events
        self.checkpoint_every_events = 300
        self.replay: ReplayOf | None = None
        self.findings: list[Finding] = []

    @classmethod
    def drawn(
        cls, spec: str, directory: Path, rng: np.random.Generator, events: int, shape: Shape | None = None
    ) -> Run:
        """Return a run of a stream, layout (unless it is given), clock and batch size that `rng` draws."""
        drawn = SHAPES[int(rng.integers(len(SHAPES)))]
        clock, size = CLOCKS[int(rng.integers(len(CLOCKS)))], int(rng.choice(BATCH_SIZES))
        return cls(spec, directory, int(rng.choice(SEEDS)), shape or drawn, clock, size, events)

    def digest_depends_on(self) -> tuple[bool, int, int, ClockName, float, int]:
        """What alone may change a result: of the layout nothing, unless events are late within a partition."""
        late = 0.0 if self.replay else self.shape.late
        return (
            self.replay is not None,
            self.seed,
            self.events,
            self.clock,
            late,
            self.shape.partitions if late else 1,
        )

    def log(self) -> Log:
        """Open the log."""
        return open_log(self.spec)

    def write(self) -> None:
        """Write the whole stream at once."""
        with self.log() as log:
            events = make_events(self.seed, self.events, late=self.shape.late)
            write_stream(log, self.topics, events, self.shape, self.seed)

    def prepare_replay(self, rate: float = REPLAY_RATE) -> None:
        """Create the topics; the stream is what a producer sends, `rate` events a second."""
        self.replay = ReplayOf(users=200 + self.seed, events=self.events, pack=self.shape.pack, rate=rate)
        with self.log() as log:
            create_topics(log, self.topics, self.shape.partitions)

    def job(self, role: str, directory: str | None = None) -> Job:
        """A role's job; directory: another one than the role's own."""
        own = self.directory / (directory or role)
        own.mkdir(exist_ok=True)
        return Job(
            role=role,
            log=self.spec,
            prefix=self.prefix,
            directory=str(own),
            batch_size=self.batch_size,
            checkpoint_every_events=self.checkpoint_every_events,
            clock=self.clock,
            replay=self.replay,
        )

    def jobs(self, *roles: str) -> dict[str, Job]:
        """Jobs by role."""
        return {role: self.job(role) for role in roles}

    def undisturbed(self, server: Server, *roles: str) -> None:
        """Run these roles one after the other, in processes of their own, without a fault."""
        for role in roles:
            Storm(server, np.random.default_rng(0), 1.0, 0).run(self.jobs(role))

    def here(self, *roles: str, wrap: Wrap = as_it_is) -> None:
        """Run these roles one after the other in this process, each one life. Raises what it raises."""
        for role in roles:
            ROLES[role](self.job(role), wrap)

    def truth(self) -> Truth:
        """What must come of the stream."""
        with self.log() as log:
            return read_truth(log, self.topics.ratings)

    def judge(self, truth: Truth, *, complete: bool) -> None:
        """Add what is wrong to the findings."""
        with self.log() as log:
            checkpoints = self.directory / "learner"
            self.findings += judge(log, self.topics, checkpoints, truth, complete=complete)

    def judge_replay(self, truth: Truth, *, repeats: bool | None = None) -> None:
        """Add to the findings what the log has not exactly once; repeats: whether events may be there again."""
        if self.replay is None:
            return
        sent = synthetic(self.replay).block(0, self.events)
        columns = (range(sent.size), sent.users.tolist(), sent.items.tolist(), sent.event_time_ms.tolist())
        want = [(seq, u.decode(), i.decode(), time_ms) for seq, u, i, time_ms in zip(*columns, strict=True)]
        if [(event.seq, event.user, event.item, event.time_ms) for event in truth.events] != want:
            self.findings.append(Finding("lost", f"the log has {len(truth.events)} events of {len(want)}"))
        # What a killed producer has under way, Kafka may take later: readers drop what is sent again then.
        allowed = not self.spec.startswith("embedded") if repeats is None else repeats
        if truth.repeats and not allowed:
            self.findings.append(Finding("twice", f"{truth.repeats} events were sent again"))

    def digests(self) -> dict[str, str]:
        """What the evaluator said at its end."""
        content = (self.directory / "evaluator" / "result.json").read_bytes()
        return msgspec.json.decode(content, type=dict[str, str])

    def delete(self) -> None:
        """Delete its topics and its directory."""
        if self.spec.startswith("kafka"):
            with self.log() as log:
                for topic in self.topics:
                    log.delete_topic(topic)
        shutil.rmtree(self.directory)


class References:
    """Digests of undisturbed runs on the embedded log, laid out in another way where that may change nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[object, dict[str, str]] = {}

    def of(self, run: Run) -> dict[str, str]:
        """Digests that `run` must have. Raises `RuntimeError` where the undisturbed run itself is not right."""
        key = run.digest_depends_on()
        if key not in self._known:
            replay, seed, events, clock, late, partitions = key
            shape = Shape(partitions=partitions, pack=100, late=late)
            plain = Run("embedded", self._directory / uuid.uuid4().hex, seed, shape, clock, 1000, events)
            if replay:
                plain.prepare_replay()
                assert plain.replay is not None
                plain.replay = msgspec.structs.replace(plain.replay, rate=1e6)
                plain.here("producer")
            else:
                plain.write()
            plain.here("learner", "evaluator")
            plain.judge(plain.truth(), complete=True)
            if plain.findings:
                raise RuntimeError(f"an undisturbed run is not right: {plain.findings[:3]}")
            self._known[key] = plain.digests()
            plain.delete()
        return self._known[key]
