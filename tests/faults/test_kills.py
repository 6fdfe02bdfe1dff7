"""Killed anywhere and started again, a run gives what an undisturbed run gives: nothing lost, nothing applied twice.

Real processes and SIGKILL: at every failpoint (before and after each numbered step of a commit) and at random
times. The verdict is that of `chaos.verdict`, after each death of a learner and at the end. Scores are kept
in the JSON file that ENGRAM_FAULTS_OUT names.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from _pytest.mark import ParameterSet

from eventlog.open_log import open_log
from eventlog.topics import Topics
from online_models.model import ClockName
from chaos.storm import Storm, add_scores
from chaos.stream import Shape, create_topics, make_events, write_stream
from chaos.verdict import Finding, Truth, judge, read_truth
from chaos.victim import Job, ReplayOf, Server, synthetic

SEEDS = (11, 12, 13)  # of streams; what a storm does follows from its own
REPLAYED, REPLAY_RATE = 6000, 12_000.0
SHAPES = (
    Shape(partitions=1, pack=1),
    Shape(partitions=4, pack=16),
    Shape(partitions=1, pack=256, late=0.3),
    Shape(partitions=4, pack=1, late=0.3),
    Shape(partitions=1, pack=16),
    Shape(partitions=4, pack=256),
)
CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def scores_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("ENGRAM_FAULTS_OUT")
    return Path(named) if named else tmp_path_factory.mktemp("faults") / "scores.json"


class Run:
    """One stream in a log of its own (or topics of its own on Kafka), and the jobs on it."""

    def __init__(
        self, spec: str, directory: Path, seed: int, shape: Shape, clock: ClockName, batch_size: int = 64
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
        self.replay: ReplayOf | None = None
        self.findings: list[Finding] = []

    @property
    def digest_depends_on(self) -> tuple[bool, int, ClockName, float, int]:
        """What alone may change a result: of the layout nothing, unless events are late within a partition."""
        late = 0.0 if self.replay else self.shape.late
        return self.replay is not None, self.seed, self.clock, late, self.shape.partitions if late else 1

    def write(self) -> None:
        with open_log(self.spec) as log:
            events = make_events(self.seed, late=self.shape.late)
            write_stream(log, self.topics, events, self.shape, self.seed)

    def prepare_replay(self) -> None:
        """Create the topics; the stream is what a producer sends."""
        self.replay = ReplayOf(users=200 + self.seed, events=REPLAYED, pack=self.shape.pack, rate=REPLAY_RATE)
        with open_log(self.spec) as log:
            create_topics(log, self.topics, self.shape.partitions)

    def jobs(self, *roles: str) -> dict[str, Job]:
        jobs = {}
        for role in roles:
            own = self.directory / role
            own.mkdir(exist_ok=True)
            jobs[role] = Job(
                role=role,
                log=self.spec,
                prefix=self.prefix,
                directory=str(own),
                batch_size=self.batch_size,
                clock=self.clock,
                replay=self.replay,
            )
        return jobs

    def undisturbed(self, server: Server, *roles: str) -> None:
        """Run these roles one after the other, without a kill."""
        for role in roles:
            Storm(server, np.random.default_rng(0), 1.0, 0).run(self.jobs(role))

    def truth(self) -> Truth:
        with open_log(self.spec) as log:
            return read_truth(log, self.topics.ratings)

    def judge(self, truth: Truth, *, complete: bool) -> None:
        """Add what is wrong to the findings."""
        with open_log(self.spec) as log:
            checkpoints = self.directory / "learner"
            self.findings += judge(log, self.topics, checkpoints, truth, complete=complete)

    def judge_replay(self, truth: Truth) -> None:
        """Add to the findings what the log has not exactly once."""
        if self.replay is None:
            return
        sent = synthetic(self.replay).block(0, REPLAYED)
        columns = (range(sent.size), sent.users.tolist(), sent.items.tolist(), sent.event_time_ms.tolist())
        want = [(seq, u.decode(), i.decode(), time_ms) for seq, u, i, time_ms in zip(*columns, strict=True)]
        if [(event.seq, event.user, event.item, event.time_ms) for event in truth.events] != want:
            self.findings.append(Finding("lost", f"the log has {len(truth.events)} events of {len(want)}"))
        # What a killed producer has under way, Kafka may take later: readers drop what is sent again then.
        if truth.duplicates and self.spec.startswith("embedded"):
            self.findings.append(Finding("twice", f"{truth.duplicates} events were sent again"))

    def digests(self) -> dict[str, str]:
        """What the evaluator said at its end."""
        content = (self.directory / "evaluator" / "result.json").read_bytes()
        return msgspec.json.decode(content, type=dict[str, str])

    def delete(self) -> None:
        with open_log(self.spec) as log:
            for topic in self.topics:
                log.delete_topic(topic)


Reference = Callable[[Run], dict[str, str]]


@pytest.fixture(scope="module")
def reference(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Digests of an undisturbed run on the embedded log, laid out in another way where that may change nothing."""

    @cache
    def of(replay: bool, seed: int, clock: ClockName, late: float, partitions: int) -> dict[str, str]:
        directory = tmp_path_factory.mktemp("reference") / "run"
        run = Run("embedded", directory, seed, Shape(partitions=partitions, pack=100, late=late), clock, 1000)
        if replay:
            run.prepare_replay()
            run.undisturbed(server, "producer")
        else:
            run.write()
        run.undisturbed(server, "learner", "evaluator")
        run.judge(run.truth(), complete=True)
        assert run.findings == []
        return run.digests()

    return lambda run: of(*run.digest_depends_on)


def storm_over_learner(
    server: Server, run: Run, rng: np.random.Generator, wanted: int, delay_s: float
) -> Storm:
    """Kill the learner; what it leaves is judged after every death."""
    run.write()
    truth = run.truth()
    storm = Storm(server, rng, delay_s, wanted, after_death=lambda _: run.judge(truth, complete=False))
    storm.run(run.jobs("learner"))
    if not run.findings:
        run.undisturbed(server, "evaluator")
    return storm


def storm_over_evaluator(
    server: Server, run: Run, rng: np.random.Generator, wanted: int, delay_s: float
) -> Storm:
    """Kill the evaluator of a run that is all in the log, in blocks of one event so that it takes many polls."""
    run.batch_size = 1
    run.write()
    run.undisturbed(server, "learner")
    storm = Storm(server, rng, delay_s / 10, wanted)
    storm.run(run.jobs("evaluator"))
    return storm


def storm_over_producer(
    server: Server, run: Run, rng: np.random.Generator, wanted: int, delay_s: float
) -> Storm:
    """Kill the producer, again and again, before anybody reads."""
    run.prepare_replay()
    storm = Storm(server, rng, delay_s, wanted)
    storm.run(run.jobs("producer"))
    run.undisturbed(server, "learner", "evaluator")
    return storm


def storm_over_all(server: Server, run: Run, rng: np.random.Generator, wanted: int, delay_s: float) -> Storm:
    """Kill producer, learner and evaluator while they work side by side."""
    run.prepare_replay()
    storm = Storm(server, rng, delay_s, wanted)
    storm.run(run.jobs("producer", "learner", "evaluator"))
    return storm


STORMS = {
    "learner": storm_over_learner,
    "evaluator": storm_over_evaluator,
    "producer": storm_over_producer,
    "all": storm_over_all,
}


def kills(log: str, victims: str, wanted: int, seed: int, *, full: bool = False) -> ParameterSet:
    marks = [pytest.mark.kafka] if log == "kafka" else []
    if full:
        marks += [pytest.mark.full, pytest.mark.timeout(1800)]
    return pytest.param(log, victims, wanted, seed, marks=marks, id=f"{log}-{victims}-{wanted}-kills")


@pytest.mark.parametrize(
    ("log", "victims", "wanted", "seed"),
    [
        kills("embedded", "learner", 12, 1),
        kills("embedded", "evaluator", 4, 2),
        kills("embedded", "producer", 3, 3),
        kills("embedded", "all", 6, 4),
        kills("kafka", "learner", 2, 5),
        kills("kafka", "evaluator", 1, 6),
        kills("kafka", "producer", 1, 7),
        kills("kafka", "all", 2, 8),
        kills("embedded", "learner", 100, 11, full=True),
        kills("embedded", "evaluator", 30, 12, full=True),
        kills("embedded", "producer", 20, 13, full=True),
        kills("embedded", "all", 50, 14, full=True),
        kills("kafka", "learner", 20, 15, full=True),
        kills("kafka", "evaluator", 5, 16, full=True),
        kills("kafka", "producer", 5, 17, full=True),
        kills("kafka", "all", 10, 18, full=True),
    ],
)
def test_a_run_that_is_killed_anywhere_gives_what_an_undisturbed_one_gives(
    log: str,
    victims: str,
    wanted: int,
    seed: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: Server,
    reference: Reference,
    scores_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = f"kafka:{request.getfixturevalue('kafka_bootstrap')}" if log == "kafka" else "embedded"
    rng = np.random.default_rng(seed)
    struck = runs = 0
    while struck < wanted:
        at = seed + runs
        run = Run(
            spec,
            tmp_path / str(runs),
            SEEDS[at % len(SEEDS)],
            SHAPES[at % len(SHAPES)],
            CLOCKS[int(rng.integers(2))],
            int(rng.choice([7, 64, 256])),
        )
        storm = STORMS[victims](server, run, rng, wanted - struck, 0.4 if log == "kafka" else 0.1)
        truth = run.truth()
        run.judge_replay(truth)
        run.judge(truth, complete=True)
        same = not run.findings and run.digests() == reference(run)
        scores = add_scores(storm, log, victims, same, scores_path)
        assert run.findings == []
        assert same
        struck += storm.kills
        runs += 1
        run.delete()
    with capsys.disabled():
        on_log = [score for name, score in scores.items() if name.startswith(f"{log}, ")]
        held, total, tries = (
            sum(getattr(one, name) for one in on_log) for name in ("held", "struck", "tries")
        )
        print(
            f"\nkilled on {log}, {victims}: {struck} times in {runs} runs, all held; "
            f"so far on {log}: {held} of {total} kills held, {tries} tries"
        )
