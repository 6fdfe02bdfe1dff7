"""Batch models taken over by a running learner: where, what is refused, after a restart, champion and challenger."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumers.evaluator import Evaluator
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.metrics import LearnerMetrics
from consumers.result import result_schema
from eventlog.artefact import Artefact, Manifest, Trace, digest_of
from eventlog.controls import Control, ControlKind
from eventlog.model_records import PARTITION, Adopted, Announced, Judged, decode_model_record, to_record
from eventlog.model_registry import Champion, ModelRegistry
from eventlog.sqlite_log import SqliteLog
from online_models.batch import BatchChampionConfig, BatchConfig
from tests.consumers.ratings_log import EVENTS, LIMITS, TOPICS, create_topics, records, replay, rows
from tests.consumers.test_learner import GOOD, RUN
from tests.online_models.event_streams import checkerboard
from tests.record_batches import pack

# A learner that is dropped like a killed process leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")

EVERY = 400
NAME = "made"
LANE = LaneConfig(models=("popularity", "batch"), configs={}, scale=(0.0, 5.0), drift="none")
REPLAYED = replace(LANE, configs={"batch": BatchConfig(adopt_every=EVERY)})
LAST = (GOOD - 1) // EVERY  # versions that a replay adopts


def made(seed: int, events: int, ids: list[str] | None = None, **changes: Any) -> Artefact:
    """A model of some of the stream's items, and of one that never comes, out of order."""
    rng = np.random.default_rng(seed)
    ids = ids or [f"i{row}" for row in rng.permutation(130)[:100].tolist()]
    said: dict[str, Any] = {
        "name": NAME,
        "kind": "factors",
        "encoder": Trace(length=5, step_decay=0.5),
        "item_ids": ids,
        "parameters": {},
        "seed": seed,
        "events": events,
        "clock_time_ms": 0,
        "data_digest": "",
        "scale": (0.0, 5.0),
        "created": "",
    }
    shape = (len(ids), 4)
    arrays = {
        "item_in": rng.normal(size=shape).astype(np.float32),
        "item_out": rng.normal(size=shape).astype(np.float32),
        "bias": np.zeros(len(ids), np.float32),
    }
    return Artefact(Manifest(**(said | changes)), arrays)


class Deployment:
    """A log with the small replay in it, and a registry."""

    def __init__(self, folder: Path, partitions: int = 1, events: Any = None) -> None:
        self.folder = folder
        self.registry = ModelRegistry(str(folder / "registry"))
        self.log = SqliteLog(folder / "log.db")
        create_topics(self.log, partitions)
        self.log.create_topic(TOPICS.models, 1)
        replay(self.log, partitions, 16, rows() if events is None else events)

    def announce(self, artefact: Artefact, **changes: Any) -> Manifest:
        manifest = self.registry.save(artefact)
        self.say(manifest, **changes)
        return manifest

    def say(self, manifest: Manifest, **changes: Any) -> None:
        said = {
            "name": NAME,
            "version": manifest.version,
            "digest": digest_of(manifest),
            "events": manifest.events,
        }
        with self.log.writer() as writer:
            record = to_record(Announced(**(said | {"trigger": "test"} | changes)))
            writer.append(TOPICS.models, PARTITION, [record])

    def learner(self, name: str = "checkpoints", lane: LaneConfig = REPLAYED, **settings: Any) -> Learner:
        chosen = {"batch_size": 64, "checkpoint_every_events": 200, "checkpoint_every_s": 1e9}
        metrics = settings.pop("metrics", None)
        config = LearnerConfig(
            lane=lane,
            limits=LIMITS,
            batch_model=NAME,
            registry=self.registry.address,
            **(chosen | settings),  # type: ignore[arg-type]
        )
        return Learner(self.log, TOPICS, config, self.folder / name, metrics)

    def said(self) -> list[Any]:
        return [decode_model_record(record.value or b"") for record in records(self.log, TOPICS.models)]

    def result(self) -> dict[str, Any]:
        with Evaluator(self.log, TOPICS.predictions) as evaluator:
            while not evaluator.done:
                assert evaluator.step(0.0) or evaluator.done
            result = evaluator.result(RUN)
        jsonschema.validate(result, result_schema())
        return result

    def again(self) -> None:
        """Forget the predictions."""
        partitions = self.log.partition_count(TOPICS.predictions)
        self.log.delete_topic(TOPICS.predictions)
        self.log.create_topic(TOPICS.predictions, partitions)


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    made: list[Deployment] = []

    def start(**settings: Any) -> Deployment:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        made.append(Deployment(folder, **settings))
        return made[-1]

    yield start
    for one in made:
        one.log.close()


def finish(learner: Learner) -> Learner:
    """Step to the end; a learner that waits for ever fails."""
    for _ in range(20_000):
        if learner.done:
            break
        learner.step(0.001)
    assert learner.done
    learner.close()
    return learner


def steps(result: dict[str, Any]) -> list[tuple[int, str, str, int]]:
    return [(one["at"], one["model"], one["step"], one["version"]) for one in result["hand_over"]]


def announce_all(one: Deployment) -> None:
    for number in range(1, EVENTS // EVERY + 1):
        one.announce(made(number, number * EVERY))


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_replay_adopts_at_fixed_events_however_it_is_run(
    deploy: Callable[..., Deployment], partitions: int
) -> None:
    one = deploy(partitions=partitions)
    announce_all(one)
    digests = set()
    for batch_size in (7, 4096):
        one.again()
        finish(one.learner(f"checkpoints-{batch_size}", batch_size=batch_size))
        result = one.result()
        assert steps(result) == [(n * EVERY, "batch", "adopted", n) for n in range(1, LAST + 1)]
        digests.add(result["digest"])
    assert len(digests) == 1


def test_a_replay_waits_for_the_version_of_its_place(deploy: Callable[..., Deployment]) -> None:
    one = deploy()
    learner = one.learner()
    for _ in range(200):
        learner.step(0.0)
    [stream] = learner._streams
    assert stream.lane.learned == EVERY
    # Another cut's version is not what it waits for.
    one.announce(made(9, EVERY + 1))
    for _ in range(100):
        learner.step(0.003)
    assert stream.lane.learned == EVERY
    for number in range(1, LAST + 1):
        one.announce(made(number, number * EVERY))
    finish(learner)
    assert [step[:3] for step in steps(one.result())] == [
        (n * EVERY, "batch", "adopted") for n in range(1, LAST + 1)
    ]


@pytest.mark.parametrize("stop_after", [3, 9, 14])
def test_interrupted_equals_uninterrupted(deploy: Callable[..., Deployment], stop_after: int) -> None:
    one = deploy()
    announce_all(one)
    finish(one.learner("whole"))
    expected = one.result()
    one.again()
    for _ in range(30):
        learner = one.learner("killed", batch_size=64)
        for _ in range(stop_after):
            learner.step(0.01)
        if learner.done:
            learner.close()
            break
        # As if it had been killed: nothing is committed.
        for stream in learner._streams:
            stream.close()
    else:
        finish(one.learner("killed"))
    assert one.result()["digest"] == expected["digest"]


def _tear(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _corrupt(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])


def _unfinished(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "changes", "said", "reason"),
    [
        (_tear, {}, {}, "torn"),
        (_unfinished, {}, {}, "torn"),
        (_corrupt, {}, {}, "corrupt"),
        (None, {}, {"digest": "0" * 64}, "corrupt"),
        (None, {"scale": (1.0, 10.0)}, {}, "mismatch"),
    ],
)
@pytest.mark.parametrize("lane", [LANE, REPLAYED], ids=["live", "replay"])
def test_what_cannot_be_used_is_refused_and_the_stream_goes_on(
    deploy: Callable[..., Deployment],
    caplog: pytest.LogCaptureFixture,
    lane: LaneConfig,
    damage: Callable[[Path], None] | None,
    changes: dict[str, Any],
    said: dict[str, str],
    reason: str,
) -> None:
    one = deploy()
    for number in range(1, LAST + 1):
        manifest = one.registry.save(made(number, number * EVERY, **(changes if number == LAST else {})))
        if number == LAST and damage is not None:
            damage(one.folder / "registry" / NAME / str(manifest.version))
        if lane is REPLAYED or number == LAST:
            one.say(manifest, **(said if number == LAST else {}))
    registry = CollectorRegistry()
    finish(one.learner(lane=lane, metrics=LearnerMetrics(registry), batch_size=8))
    found = steps(one.result())
    assert [step[1:] for step in found if step[2] == "refused"] == [("batch", "refused", LAST)]
    assert len([step for step in found if step[2] == "adopted"]) == (LAST - 1 if lane is REPLAYED else 0)
    assert registry.get_sample_value("engram_batch_refused_total", {"reason": reason}) == 1
    assert registry.get_sample_value("engram_batch_steps_total", {"step": "refused"}) == 1
    version = LAST - 1 if lane is REPLAYED else 0
    assert registry.get_sample_value("engram_batch_version", {"model": "batch"}) == version
    assert f"{NAME} {LAST} is refused ({reason})" in caplog.text


def test_live_a_version_is_adopted_when_it_is_ready_and_at_the_same_event_after_a_restart(
    deploy: Callable[..., Deployment],
) -> None:
    one = deploy()
    learner = one.learner("first", LANE, batch_size=16, checkpoint_every_events=10**9)
    [stream] = learner._streams
    for version in (1, 2):
        while stream.lane.learned < 400 * version:
            learner.step(0.0)
        one.announce(made(version, 0))
        assert stream.hand_over is not None
        # An announcement that stands there unread is read within 0.2 s; loading takes its time.
        while stream.hand_over.counts["adopted"] < version and not learner.done:
            learner.step(0.0)
            time.sleep(0.05)
    finish(learner)
    expected = one.result()
    adopted = [said for said in one.said() if isinstance(said, Adopted)]
    assert [(said.version, said.model, said.lane) for said in adopted] == [
        (1, "batch", 0),
        (2, "batch", 0),
    ]
    assert 400 <= adopted[0].at < adopted[1].at
    assert [step[0] for step in steps(expected)] == [said.at for said in adopted]
    # Learned anew from the beginning, with other batches: both versions are there, each has its event.
    one.again()
    finish(one.learner("second", LANE, batch_size=100))
    again = one.result()
    assert again["digest"] == expected["digest"]
    assert [said for said in one.said() if isinstance(said, Adopted)] == adopted


BOARD = checkerboard(3, users=320)
BOARD = BOARD[: len(BOARD) // 2]  # before tastes change


def two_tastes() -> list[tuple[str, str, int, int]]:
    """Users who have items of their own colour alone; equally popular."""
    return [
        (f"u{one.user}", f"i{one.item}", 1_000_000 + 10 * at, 60 * at + 1) for at, one in enumerate(BOARD)
    ]


def colours(sign: float, seed: int, events: int) -> Artefact:
    """A model that knows (sign 1), or has got wrong (-1), which items are of one colour."""
    groups = _components([(one.user, one.item) for one in BOARD])
    ids = [f"i{item}" for item in groups]
    artefact = made(seed, events, ids)
    one_hot = np.eye(2, dtype=np.float32)[list(groups.values())]
    # Without ties, which count against a model.
    bias = np.linspace(0.0, 0.01, len(ids), dtype=np.float32)
    arrays = {"item_in": one_hot, "item_out": sign * one_hot, "bias": bias}
    return Artefact(artefact.manifest, arrays)


def _components(pairs: list[tuple[int, int]]) -> dict[int, int]:
    """Items by group: those that are connected through users."""
    group = {item: item for _, item in pairs}
    of_user: dict[int, int] = {}
    for user, item in pairs:
        other = of_user.setdefault(user, item)
        low, high = sorted((group[item], group[other]))
        group = {one: low if at == high else at for one, at in group.items()}
    numbers = {at: number for number, at in enumerate(sorted(set(group.values())))}
    return {item: numbers[at] for item, at in group.items()}


def test_a_better_challenger_is_promoted_and_a_worse_one_rolled_back(
    deploy: Callable[..., Deployment],
) -> None:
    lane = replace(
        REPLAYED,
        models=("popularity", "batch", "batch_champion"),
        configs={
            "batch": BatchConfig(adopt_every=700),
            "batch_champion": BatchChampionConfig(look_every=100, first_look=200, min_blocks=20),
        },
    )
    one = deploy(events=two_tastes())
    one.announce(colours(1.0, 1, 700))
    one.announce(colours(-1.0, 2, 1400))
    one.announce(colours(-1.0, 2, 2100))
    digests = []
    for batch_size in (50, 333):
        one.again()
        finish(one.learner(f"checkpoints-{batch_size}", lane, batch_size=batch_size))
        result = one.result()
        digests.append(result["digest"])
    assert digests[0] == digests[1]
    found = steps(result)
    names = [(model, step, version) for _, model, step, version in found]
    assert names == [
        ("batch", "adopted", 1),
        ("batch_champion", "promoted", 1),
        ("batch", "adopted", 2),
        ("batch", "rolled_back", 1),
        ("batch", "adopted", 3),
    ]
    assert 700 < found[1][0] < 1400 < found[3][0] < 2100
    # Looks are at every 100th event from the adoption on.
    assert all((at - 700) % 100 == 0 for at, *_ in found)
    assert one.registry.champion(NAME) == Champion(1)
    judged = {(said.at, said.step, said.version) for said in one.said() if isinstance(said, Judged)}
    assert judged == {(at, step, version) for at, _, step, version in found if step != "adopted"}


def test_a_source_that_ends_where_a_version_is_due_ends(deploy: Callable[..., Deployment]) -> None:
    """Nothing comes after event 400, so nothing waits for its version."""
    one = deploy(events=[("u0", "i0", 1, 0)])
    with one.log.writer() as writer:
        start = Control(control=ControlKind.START, source_id="more", total_events=EVERY)
        end = Control(control=ControlKind.END, source_id="more", event_time_ms=10**6, source_seq=EVERY)
        packed = pack([(f"u{at}", "i1", 10 + at, at) for at in range(EVERY - 1)], source="more")
        writer.append(TOPICS.ratings, 0, [start.to_record(), packed, end.to_record()])
    finish(one.learner())
    assert one.result()["events"] == EVERY
    assert steps(one.result()) == []
