"""The fork server of `chaos.victim` with a trainer among its roles, and what is promised when that is killed.

The trainer is `engram train --watch`'s own loop over the item factors that it trains by default.
"""

from __future__ import annotations

import shutil

from batch_models.item_factors import NAME
from chaos.fault import Fault, Ground, Outcome
from chaos.run import Run
from chaos.storm import RANDOM_TIME, Storm
from chaos.stream import Shape
from chaos.verdict import Finding
from chaos.victim import ROLES, Job, Wrap, as_it_is, serve
from consumers.log_cut import LogFollower
from engram.retraining import Retraining, Triggers
from eventlog.event_checks import Limits
from eventlog.model_records import announced
from eventlog.model_registry import ModelRegistry
from eventlog.open_log import open_log
from eventlog.topics import Topics

TRAIN_EVERY = 200
EVENTS = 1000


def train(job: Job, wrap: Wrap = as_it_is) -> None:
    """Train on every 200 events of the stream, to its end."""
    topics = Topics.with_prefix(job.prefix)
    with wrap(open_log(job.log)) as log:
        follower = LogFollower(log, topics.ratings, merge=True, limits=Limits(), scale=(1.0, 5.0))
        registry = ModelRegistry(job.directory)
        retraining = Retraining(log, topics, registry, follower, NAME, triggers=Triggers(TRAIN_EVERY))
        while not retraining.done:
            retraining.step(0.2)
        retraining.close()


ROLES["trainer"] = train


def _versions(run: Run) -> list[tuple[int, str]]:
    """(events, digest) of what was announced, in order; a cut that was announced again with the same, once."""
    with run.log() as log:
        said = announced(log, run.topics.models, NAME)
    return list(dict.fromkeys((one.events, one.digest) for one in said))


def kill_trainer(ground: Ground) -> Outcome:
    """Kill the trainer at times that are drawn; every cut is trained and announced, with the undisturbed digest."""
    run = ground.draw(EVENTS, Shape(partitions=1, pack=16))
    run.write()
    storm = Storm(ground.server(), ground.rng, 0.3, 5, faults={"trainer": (RANDOM_TIME,)})
    storm.run({"trainer": run.job("trainer")})
    plain = Run("embedded", ground.directory / "plain", run.seed, run.shape, run.clock, events=EVENTS)
    plain.write()
    plain.here("trainer")
    have, want = _versions(run), _versions(plain)
    findings = []
    if [cut for cut, _ in have] != [cut for cut, _ in want]:
        findings.append(Finding("lost", f"versions of the cuts {have}, expected {want}"))
    elif have != want:
        findings.append(Finding("other", f"versions {have}, expected {want}"))
    if not findings:
        run.delete()
        shutil.rmtree(plain.directory)
    return Outcome(storm.kills, storm.kills, findings=findings)


FAULTS = (
    Fault("trainer killed", "each cut trained and announced, with the undisturbed digest", kill_trainer),
)

if __name__ == "__main__":
    serve()
