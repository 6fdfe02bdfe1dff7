"""When a batch model is trained again, and what a trainer that died leaves to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batch_models.trainers import TRAINERS
from consumers.log_cut import LogFollower
from consumers.predictions import Drift, PredictionBlock
from engram.retraining import Retraining, Triggers
from eventlog.errors import SettingsError
from eventlog.model_records import announced
from eventlog.model_registry import ModelRegistry
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import LIMITS, TOPICS, create_topics, is_bad, replay, rows

NAME = "item_factors"
ROWS = [row for row in rows() if not is_bad(row)]


class Place:
    """A log with the small replay in it, and a registry."""

    def __init__(self, folder: Path) -> None:
        self.log = SqliteLog(folder / "log.db")
        create_topics(self.log, 1)
        replay(self.log, 1, 16, rows())
        self.registry = ModelRegistry(str(folder / "registry"))

    def trainer(self, **triggers: object) -> Retraining:
        follower = LogFollower(self.log, TOPICS.ratings, limits=LIMITS, scale=(0.0, 5.0))
        return Retraining(
            self.log, TOPICS, self.registry, follower, NAME, triggers=Triggers(**triggers)  # type: ignore[arg-type]
        )  # fmt: skip

    def announced(self) -> list[tuple[int, int, str]]:
        return [
            (said.events, said.version, said.trigger) for said in announced(self.log, TOPICS.models, NAME)
        ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    one.log.close()


def run(trainer: Retraining) -> None:
    while not trainer.done:
        trainer.step(0.0)
    trainer.close()


def test_every_so_many_events_as_long_as_the_stream_goes_on(place: Place) -> None:
    # 1,470 good events: the last multiple of 490 is the end, where nothing comes after it.
    run(place.trainer(every_events=490))
    assert place.announced() == [(490, 1, "490 events"), (980, 2, "980 events")]
    assert [place.registry.manifest(NAME, version).events for version in (1, 2)] == [490, 980]


def test_a_trainer_that_died_is_gone_on_from(place: Place) -> None:
    first = place.trainer(every_events=400)
    while not place.announced():
        first.step(0.0)
    first.close()
    # The next one had stored its version, and died before it could say so.
    cut = LogFollower(place.log, TOPICS.ratings, limits=LIMITS, scale=(0.0, 5.0))
    while cut.events < 800:
        cut.read(0.0)
        cut.take(800 - cut.events)
    stored = place.registry.save(TRAINERS[NAME](cut.cut(), 0))
    cut.close()
    run(place.trainer(every_events=400))
    assert [said[:2] for said in place.announced()] == [(400, 1), (800, stored.version), (1200, 3)]
    assert place.registry.versions(NAME) == [1, 2, 3]


def test_between_full_trainings_versions_are_tuned(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("torch")

    def trainer() -> Retraining:
        follower = LogFollower(place.log, TOPICS.ratings, limits=LIMITS, scale=(0.0, 5.0))
        return Retraining(
            *(place.log, TOPICS, place.registry, follower, "hybrid"),
            triggers=Triggers(every_events=300),
            full_every=3,
        )

    first = trainer()
    while len(place.registry.versions("hybrid")) < 2:
        first.step(0.0)
    first.close()
    # The version to start from is gone: then everything is trained.
    (Path(place.registry.address) / "hybrid" / "2" / "model.safetensors").unlink()
    run(trainer())
    manifests = [place.registry.manifest("hybrid", version) for version in (1, 2, 3, 4)]
    assert [one.events for one in manifests] == [300, 600, 900, 1200]
    assert [one.parameters.get("tuned_from") for one in manifests] == [None, 1, None, None]
    assert "hybrid 2 cannot be tuned, everything is trained" in caplog.text
    with pytest.raises(SettingsError, match="'item_factors', expected one of \\['hybrid'\\] to be tuned"):
        Retraining(
            *(place.log, TOPICS, place.registry, first.follower, NAME),
            full_every=2,
        )


def test_every_so_many_hours_of_event_time(place: Place) -> None:
    """Events are a few milliseconds apart: a share of an hour is some hundreds of them."""
    span_ms = ROWS[-1][2] - ROWS[0][2]
    run(place.trainer(every_hours=span_ms / 3_600_000 / 2.5))
    found = place.announced()
    assert found
    assert all("hours" in trigger for *_, trigger in found)


def test_a_drift_that_a_learner_noticed(place: Place) -> None:
    trainer = place.trainer(on_drift=True)
    for _ in range(20):
        trainer.step(0.0)
    assert place.announced() == []
    n = 2
    block = PredictionBlock(
        lane=0,
        first_seq=0,
        total_events=None,
        sources=(),
        source_index=np.full(n, -1, np.int32),
        source_seq=np.zeros(n, np.int64),
        event_time_ms=np.zeros(n, np.int64),
        flags=np.zeros(n, np.uint8),
        ranks={"hebbian": np.ones(n, np.int32)},
        rating=np.ones(n),
        scale=(0.0, 5.0),
        predicted={},
        user_seen=np.zeros(n, np.int32),
        item_seen=np.zeros(n, np.int32),
        user_hash=np.zeros(n, np.uint32),
    )
    with place.log.writer() as writer:
        writer.append(TOPICS.predictions, 0, [block.to_record()])
        drifted = block._replace(first_seq=n, drifts=(Drift(2 * n, "hebbian", "adwin", 0.5, 0.25),))
        writer.append(TOPICS.predictions, 0, [drifted.to_record()])
    trainer.step(0.0)
    assert [said[2] for said in place.announced()] == ["drift"]
    trainer.step(0.0)
    assert len(place.announced()) == 1
    trainer.close()
