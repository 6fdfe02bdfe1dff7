"""The processes that faults strike, and the fork server that starts them.

`python -m chaos.victim` imports everything and compiles the kernels once, then forks one child per life: a
life costs milliseconds. Logs are opened in the children only. Commands and answers are JSON lines, see `Server`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from chaos.stream import Shape, make_events, write_stream
from eventlog.event_checks import Limits
from eventlog.log import Log
from online_models.model import ClockName
from producers.synthetic import SyntheticConfig, SyntheticStream

ROOT = Path(__file__).parents[1]
MODELS = ("popularity", "decayed_popularity", "hebbian")


class ReplayOf(msgspec.Struct, frozen=True, kw_only=True):
    """A replay of a synthetic stream: its users (other numbers make other streams), its events, its pace."""

    users: int
    events: int
    pack: int
    rate: float


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One life: a role on a log, until done or killed.

    failpoint: where it kills itself, with the count of passages; None for a life that only others end.
    directory: the role's own, for checkpoints, its result and its errors. limits: of events.
    replay: what a producer sends.
    """

    role: str
    log: str
    prefix: str
    directory: str
    batch_size: int = 64
    checkpoint_every_events: int = 300
    clock: ClockName = "event_count"
    failpoint: tuple[str, int] | None = None
    limits: Limits = Limits()
    replay: ReplayOf | None = None


Wrap = Callable[[Log], Log]


def as_it_is(log: Log) -> Log:
    """Return the log itself."""
    return log


# --- roles: run in the child ---------------------------------------------------------------------------------------


def learn(job: Job, wrap: Wrap = as_it_is) -> None:
    """Learn the ratings topic to its end; one that fails commits nothing more, and lets others have its checkpoints."""
    from consumers.lane_config import LaneConfig
    from consumers.learner import Learner, LearnerConfig
    from eventlog.open_log import open_log
    from eventlog.topics import Topics

    config = LearnerConfig(
        lane=LaneConfig(MODELS, {}, clock=job.clock),
        batch_size=job.batch_size,
        checkpoint_every_events=job.checkpoint_every_events,
        checkpoint_every_s=3600.0,
        limits=job.limits,
    )
    with wrap(open_log(job.log)) as log:
        learner = Learner(log, Topics.with_prefix(job.prefix), config, Path(job.directory))
        try:
            learner.run()
        except BaseException:
            for stream in learner.streams:
                stream.close()
            raise
        learner.close()


STOP = "stop"  # a file in a member's directory


def learn_in_a_group(job: Job) -> None:
    """Learn what a consumer group gives, each partition a lane of its own, until a file says to stop."""
    from consumers.group_learner import GroupLearner
    from consumers.lane_config import LaneConfig
    from consumers.learner import Learner, LearnerConfig
    from eventlog.kafka_membership import KafkaMembership
    from eventlog.open_log import open_log
    from eventlog.topics import Topics

    topics, directory = Topics.with_prefix(job.prefix), Path(job.directory)
    config = LearnerConfig(
        lane=LaneConfig(MODELS, {}, clock=job.clock),
        merge=False,
        group=True,
        batch_size=job.batch_size,
        checkpoint_every_events=job.checkpoint_every_events,
        checkpoint_every_s=0.5,
        limits=job.limits,
        stop_at_end=False,
    )
    address, group = job.log.removeprefix("kafka:"), f"{job.prefix}.learners"
    with open_log(job.log) as log:
        learner = Learner(log, topics, config, directory, partitions=())
        with KafkaMembership(address, {}, topics.ratings, group, session_timeout_ms=2_000) as membership:
            member = GroupLearner(learner, membership)
            while not (directory / STOP).exists():
                member.step(0.05)
            member.close()


def evaluate(job: Job, wrap: Wrap = as_it_is) -> None:
    """Evaluate the predictions topic until its lane has ended; write the digests."""
    from consumers.checkpoint import CheckpointStore
    from consumers.evaluator import CheckpointPolicy, Evaluator
    from consumers.result import run_digest
    from evaluation.prequential import PrequentialConfig
    from eventlog.open_log import open_log
    from eventlog.topics import Topics

    config = PrequentialConfig(windows=(100, 1000), curve_interval=50)
    store = CheckpointStore(Path(job.directory))
    policy = CheckpointPolicy(job.checkpoint_every_events, 3600.0)
    topic = Topics.with_prefix(job.prefix).predictions
    with (
        wrap(open_log(job.log)) as log,
        Evaluator(log, topic, config=config, store=store, policy=policy) as evaluator,
    ):
        while not evaluator.done:
            evaluator.step(0.2)
        digest = evaluator.digest()
        result = {"evaluator": digest, "run": run_digest(digest, evaluator.summaries)}
        Path(job.directory, "result.json").write_bytes(msgspec.json.encode(result))


def produce(job: Job, wrap: Wrap = as_it_is) -> None:
    """Replay a synthetic stream, from where the log has it."""
    from eventlog.open_log import open_log
    from eventlog.topics import Topics
    from producers.replay import Pace, Replay

    assert job.replay is not None
    pace = Pace(pack=job.replay.pack, rate=job.replay.rate)
    with wrap(open_log(job.log)) as log:
        replay = Replay(log, Topics.with_prefix(job.prefix), synthetic(job.replay), pace)
        replay.run()
        replay.close()


def synthetic(replay: ReplayOf) -> SyntheticStream:
    """What a producer replays."""
    return SyntheticStream(SyntheticConfig(events=replay.events, users=replay.users, items=400))


ROLES: dict[str, Callable[..., None]] = {
    "producer": produce,
    "learner": learn,
    "evaluator": evaluate,
    "member": learn_in_a_group,
}


# --- the fork server -----------------------------------------------------------------------------------------------


def _live(job: Job) -> None:
    """Be the child: run the role and exit; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if job.failpoint:
            from consumers import failpoints

            failpoints.arm(*job.failpoint)
        ROLES[job.role](job)
        status = 0
    except BaseException:
        Path(job.directory, "error.txt").write_text(traceback.format_exc())
    finally:
        os._exit(status)


def _warm() -> None:
    """Import and compile what lives need, by a whole small run; all its connections are closed before any fork."""
    import eventlog.kafka_log  # noqa: F401
    from eventlog.open_log import open_log
    from eventlog.topics import Topics

    with tempfile.TemporaryDirectory() as directory:
        for pack in (1, 16):
            spec, prefix = f"embedded:{directory}/log-{pack}.db", "warm"
            with open_log(spec) as log:
                shape = Shape(partitions=2, pack=pack)
                write_stream(log, Topics.with_prefix(prefix), make_events(0, 400), shape, 0)
            for role in ("producer", "learner", "evaluator"):
                own = Path(directory, f"{role}-{pack}")
                own.mkdir()
                replay = ReplayOf(users=200, events=400, pack=pack, rate=1e6)
                ROLES[role](Job(role=role, log=spec, prefix=prefix, directory=str(own), replay=replay))


def _serve(commands: IO[bytes], answers: IO[bytes]) -> None:
    """Answer `{"start": JOB}` with the child's id, `{"wait": [id, seconds]}` with its exit status or null."""
    alive: set[int] = set()
    ended: dict[int, int] = {}

    def answer(value: object) -> None:
        answers.write(msgspec.json.encode(value) + b"\n")
        answers.flush()

    try:
        answer("ready")
        for line in commands:
            command = msgspec.json.decode(line)
            if "start" in command:
                job = msgspec.convert(command["start"], Job)
                pid = os.fork()
                if pid == 0:
                    _live(job)
                # Here too, so that the group exists before anyone is told its number.
                with contextlib.suppress(PermissionError, ProcessLookupError):
                    os.setpgid(pid, pid)
                alive.add(pid)
                ended.pop(pid, None)  # numbers come around
                answer(pid)
            else:
                pid, seconds = command["wait"]
                status = ended[pid] if pid in ended else _wait(pid, seconds)
                if status is not None:
                    alive.discard(pid)
                    ended[pid] = status
                answer(status)
    finally:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _wait(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.001)


class Server:
    """The client's side of the fork server: starts lives, kills them, and tells how they ended.

    module: the server's, which ends in `serve`; another one than this has more roles.
    """

    def __init__(self, module: str = "chaos.victim") -> None:
        # One thread each: a fork takes only the forking thread along.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **single},
        )
        self._read()

    def start(self, job: Job) -> int:
        """Start a life; returns its process id, which is its group's too, and stays its own until `wait`."""
        return int(self._ask({"start": job}))

    def kill(self, pid: int) -> None:
        """Send SIGKILL to the life's group; one that has ended already stays as it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def freeze(self, pid: int) -> None:
        """Stop the life's group where it stands, until `thaw` or `kill`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        """Let the life's group go on."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGCONT)

    def wait(self, pid: int, seconds: float) -> int | None:
        """Wait for a life's end, at most `seconds`; returns its status, negative for a signal, None while it lives."""
        status: int | None = self._ask({"wait": [pid, seconds]})
        return status

    def close(self) -> None:
        """End the server and what still lives."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fork server ended with status {self._process.wait()}; see its stderr")
        return msgspec.json.decode(line)


def serve() -> None:
    """Be the fork server, on standard input and output."""
    _warm()
    _serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    serve()
