"""Faults of processes: killed with SIGKILL at every step of a commit or at any time, frozen, and woken as zombies."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from chaos.fault import SAME, Fault, Ground, Outcome, finish
from chaos.run import Run
from chaos.storm import FREEZES, Storm
from chaos.traps import store_of
from chaos.verdict import Finding

KILLS = 10  # of one run, on Kafka half as many
ROLES = ("producer", "learner", "evaluator")


def _storm(ground: Ground, run: Run, *, brief: bool = False) -> Storm:
    delay_s = 0.3 if ground.on_kafka else 0.06
    kills = KILLS // 2 if ground.on_kafka else KILLS
    return Storm(ground.server(), ground.rng, delay_s / 10 if brief else delay_s, kills)


def _outcome(ground: Ground, run: Run, storm: Storm) -> Outcome:
    findings = finish(ground, run)
    return Outcome(storm.kills, storm.kills, findings=findings)


def kill_learner(ground: Ground) -> Outcome:
    """Kill the learner; what it leaves is judged after every death."""
    run = ground.draw(1200)
    run.write()
    truth = run.truth()
    storm = _storm(ground, run)
    storm.after_death = lambda _: run.judge(truth, complete=False)
    storm.run(run.jobs("learner"))
    run.here("evaluator")
    return _outcome(ground, run, storm)


def kill_evaluator(ground: Ground) -> Outcome:
    """Kill the evaluator of a run that is all in the log, in blocks of one event so that it takes many polls."""
    run = ground.draw(1200)
    run.batch_size = 1
    run.write()
    run.here("learner")
    storm = _storm(ground, run, brief=True)
    storm.run(run.jobs("evaluator"))
    return _outcome(ground, run, storm)


def kill_producer(ground: Ground) -> Outcome:
    """Kill the producer, again and again, before anybody reads."""
    run = ground.draw(2000)
    run.prepare_replay()
    storm = _storm(ground, run)
    storm.run(run.jobs("producer"))
    run.here("learner", "evaluator")
    return _outcome(ground, run, storm)


def kill_all(ground: Ground) -> Outcome:
    """Kill producer, learner and evaluator while they work side by side."""
    run = ground.draw(2000)
    run.prepare_replay()
    storm = _storm(ground, run)
    storm.run(run.jobs(*ROLES))
    return _outcome(ground, run, storm)


def freeze_all(ground: Ground) -> Outcome:
    """Freeze producer, learner and evaluator at any time; who wakes goes on."""
    run = ground.draw(2000)
    run.prepare_replay()
    storm = _storm(ground, run)
    storm.faults = FREEZES
    storm.run(run.jobs(*ROLES))
    return _outcome(ground, run, storm)


def zombie_learner(ground: Ground) -> Outcome:
    """Freeze a learner; another one, with checkpoints of its own, learns everything; then the first wakes and goes on."""
    run = ground.draw(2000)
    run.write()
    server = ground.server()
    pid = server.start(run.job("learner", "zombie"))
    frozen = _freeze_at_work(ground, pid)
    run.here("learner")
    server.thaw(pid)
    status = server.wait(pid, 60.0)
    run.here("evaluator")
    if status != 0:
        run.findings.append(Finding("other", f"the zombie ended with {status}"))
    return Outcome(int(frozen), int(frozen), findings=finish(ground, run))


def zombie_owner(ground: Ground) -> Outcome:
    """Freeze a learner; another one on the same checkpoints is refused by name; the first wakes and goes on."""
    run = ground.draw(2000)
    run.write()
    server = ground.server()
    pid = server.start(run.job("learner"))
    while not store_of(run).versions() and server.wait(pid, 0.005) is None:
        pass  # it owns them from its first moments on
    frozen = _freeze_at_work(ground, pid)
    if frozen:
        second = server.start(run.job("learner"))
        status = server.wait(second, 60.0)
        said = (run.directory / "learner" / "error.txt").read_text() if status == 1 else f"status {status}"
        if "OwnedError" not in said or "stop it first" not in said:
            run.findings.append(
                Finding("other", f"the second learner was not refused by name: {said[-300:]}")
            )
    server.thaw(pid)
    if server.wait(pid, 60.0) != 0:
        run.findings.append(Finding("other", "the frozen learner did not finish"))
    run.here("evaluator")
    return Outcome(int(frozen), int(frozen), "OwnedError", finish(ground, run))


def zombie_producer(ground: Ground) -> Outcome:
    """Freeze a producer; another one finishes the stream; the first wakes and writes what it had: readers drop it."""
    run = ground.draw(2000)
    run.prepare_replay()
    server = ground.server()
    pid = server.start(run.job("producer", "zombie"))
    frozen = _freeze_at_work(ground, pid)
    while frozen and _holds_the_file(run):  # nobody could write then, which `eventlog.sqlite_store` says
        server.thaw(pid)
        frozen = _freeze_at_work(ground, pid)
    run.here("producer")
    server.thaw(pid)
    status = server.wait(pid, 60.0)
    if status != 0:
        run.findings.append(Finding("other", f"the zombie ended with {status}"))
    run.here("learner", "evaluator")
    return Outcome(int(frozen), int(frozen), findings=finish(ground, run, repeats=True))


def _holds_the_file(run: Run) -> bool:
    """Whether who is frozen is in the middle of a write to the embedded log's file."""
    if not run.spec.startswith("embedded"):
        return False
    with closing(sqlite3.connect(run.directory / "log.db", timeout=0.2, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def _freeze_at_work(ground: Ground, pid: int) -> bool:
    """Freeze a life at a time that is drawn; whether it had not ended yet."""
    server = ground.server()
    mean_s = 0.6 if ground.on_kafka else 0.15
    if server.wait(pid, float(ground.rng.uniform(0.02, 2 * mean_s))) is not None:
        return False
    server.freeze(pid)
    return True


FAULTS = (
    Fault("learner killed (SIGKILL)", SAME, kill_learner),
    Fault("evaluator killed", SAME, kill_evaluator),
    Fault("producer killed", SAME, kill_producer),
    Fault("all of them killed, side by side", SAME, kill_all),
    Fault("all of them frozen and woken", SAME, freeze_all),
    Fault("zombie: a learner that wakes when another has done its work", SAME, zombie_learner),
    Fault(
        "zombie: a second learner on a frozen one's checkpoints",
        f"OwnedError says to stop the first; {SAME}",
        zombie_owner,
    ),
    Fault("zombie: a producer that wakes when another has done its work", SAME, zombie_producer),
)
