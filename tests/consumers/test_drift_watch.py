"""Drift of a lane: noticed at the ends of blocks, wherever the stream is cut; told to models, readers and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from consumers.checkpoint import CheckpointStore
from consumers.drift_log import DriftFollower, LaneDrift
from consumers.drift_watch import BLOCK, SETTLE, DriftWatch, Watched, watched_of
from consumers.evaluator import Evaluator
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.predictions import Drift, PredictionBlock, decode_prediction
from consumers.result import RunInfo, result_schema
from eventlog.errors import CheckpointMismatchError, PredictionsError, SettingsError
from eventlog.events import EventBatch
from eventlog.sqlite_log import SqliteLog
from online_models.decayed_popularity import DecayedPopularity
from online_models.interactions import Histories, Interactions, Predictions
from online_models.model import Model
from online_models.registry import MODELS
from tests.consumers.prediction_stream import block, random_ranks, summary, write
from tests.record_batches import columns

CHANGE = (SETTLE + 30) * BLOCK
EVENTS = CHANGE + 40 * BLOCK
MODELS_HERE = ("hebbian", "decayed_popularity", "rating_mean")
CONFIG = LaneConfig(models=MODELS_HERE, configs={}, scale=(1.0, 5.0))
RUN = RunInfo(
    dataset="invented",
    data_source="Invented.",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=0,
    seconds=4.0,
)


def changing_stream() -> EventBatch:
    """Each event is of a new user: of ten items, rated 3, until `CHANGE`; of 300 others, rated 1 or 5, from then on."""
    rng = np.random.default_rng(8)
    item = np.where(
        np.arange(EVENTS) < CHANGE, rng.integers(10, size=EVENTS), 10 + rng.integers(300, size=EVENTS)
    )
    rows = [(f"u{at}", f"i{number}", at, at) for at, number in enumerate(item.tolist())]
    ratings = np.where(np.arange(EVENTS) < CHANGE, 3.0, rng.choice([1.0, 5.0], EVENTS))
    return columns(rows, ratings=ratings)


STREAM = changing_stream()


def lane(config: LaneConfig = CONFIG) -> Lane:
    return Lane(0, (0,), 1, config)


def learn(into: Lane, start: int, end: int, size: int) -> list[PredictionBlock]:
    blocks = [
        into.test_then_learn(STREAM.take(slice(at, min(at + size, end)))) for at in range(start, end, size)
    ]
    return [one for one in blocks if one is not None]


def drifts(blocks: list[PredictionBlock]) -> list[Drift]:
    for one in blocks:
        # In the block that holds the event after which it was noticed.
        assert all(one.first_seq < drift.at <= one.first_seq + len(one.flags) for drift in one.drifts)
    return [drift for one in blocks for drift in one.drifts]


@pytest.fixture(scope="module")
def whole() -> tuple[list[Drift], str, dict[str, Any]]:
    of = lane()
    found = drifts(learn(of, 0, EVENTS, 4_096))
    return found, digests(of), {str(key): n for key, n in of.drifts.items()}


def digests(of: Lane) -> str:
    """Of detectors and models."""
    said = of.summary(0, 0, 0.0, {})
    return " ".join([said.drift_digest, *(model.digest for model in said.models.values())])


def test_a_change_is_noticed_at_the_end_of_a_block(whole: tuple[list[Drift], str, dict[str, Any]]) -> None:
    found, _, counts = whole
    first = {model: next(one for one in found if one.model == model) for model in CONFIG.models}
    for drift in first.values():
        assert drift.detector == "adwin"
        assert drift.at % BLOCK == 0
        assert CHANGE < drift.at <= CHANGE + 5_000
    # Ranks are even among ten, and of 300 new items (each new once) among those and nine in ten of what came later.
    # 1 - mean(ln rank) / ln items is 1 - 1.510 / 2.303 before; errors are 0 before, and 2 of 4 or more after.
    for name in ("hebbian", "decayed_popularity"):
        assert first[name].before == pytest.approx(0.344, abs=0.02)
        assert first[name].worse
    assert first["rating_mean"].before == pytest.approx(1.0, abs=0.01)
    assert first["rating_mean"].after < 0.55
    assert sum(counts.values()) == len(found)


@pytest.mark.parametrize("size", [37, 256, 1_000])
def test_the_size_of_batches_changes_nothing(
    size: int, whole: tuple[list[Drift], str, dict[str, Any]]
) -> None:
    of = lane()
    assert drifts(learn(of, 0, EVENTS, size)) == whole[0]
    assert digests(of) == whole[1]


@pytest.mark.parametrize("at", [100, CHANGE, CHANGE + 700, CHANGE + 12 * BLOCK + 1])
def test_an_interrupted_lane_notices_the_same(
    at: int, whole: tuple[list[Drift], str, dict[str, Any]]
) -> None:
    first, second = lane(), lane()
    before = drifts(learn(first, 0, at, 500))
    second.restore(
        {name: array.copy() for name, array in first.arrays().items()}, json.loads(json.dumps(first.meta()))
    )
    assert before + drifts(learn(second, at, EVENTS, 500)) == whole[0]
    assert digests(second) == whole[1]
    assert {str(key): n for key, n in second.drifts.items()} == whole[2]


def test_another_detector_needs_another_checkpoint() -> None:
    first = lane()
    learn(first, 0, 300, 300)
    with pytest.raises(CheckpointMismatchError, match="configuration"):
        lane(LaneConfig(models=CONFIG.models, configs={}, drift="none")).restore(
            first.arrays(), json.loads(json.dumps(first.meta()))
        )


def test_without_a_detector_nothing_is_noticed_and_all_else_is_the_same() -> None:
    without = lane(LaneConfig(models=CONFIG.models, configs={}, scale=(1.0, 5.0), drift="none"))
    blocks, others = learn(without, 0, EVENTS, 4_096), learn(lane(), 0, EVENTS, 4_096)
    assert drifts(blocks) == []
    assert without.drifts == {}
    for ours, theirs in zip(blocks, others, strict=True):
        assert ours.ranks["decayed_popularity"].tobytes() == theirs.ranks["decayed_popularity"].tobytes()


def test_page_hinkley_notices_it_too() -> None:
    config = LaneConfig(models=CONFIG.models, configs={}, scale=(1.0, 5.0), drift="page_hinkley")
    found = drifts(learn(lane(config), 0, EVENTS, 4_096))
    assert {one.model for one in found if CHANGE < one.at <= CHANGE + 5_000} == set(CONFIG.models)


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(SettingsError, match="drift is 'kswin', expected one of"):
        lane(LaneConfig(models=("popularity",), configs={}, drift="kswin"))


def test_a_model_is_told_of_its_own_drifts_between_two_events(
    whole: tuple[list[Drift], str, dict[str, Any]],
) -> None:
    class Told(DecayedPopularity):
        def __init__(self) -> None:
            super().__init__()
            self.learned = 0
            self.told: list[tuple[int, Drift]] = []

        def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
            super().test_then_learn(events, histories, out)
            self.learned += len(events.user)

        def adapt(self, drift: Drift) -> None:
            super().adapt(drift)
            self.told.append((self.learned, drift))

    for size in (100, 4_096):
        of, model = lane(), Told()
        of.models["decayed_popularity"] = model
        learn(of, 0, EVENTS, size)
        own = [drift for drift in whole[0] if drift.model == "decayed_popularity"]
        assert own
        assert model.told == [(drift.at, drift) for drift in own]


def test_what_a_model_learns_does_not_depend_on_its_company(
    whole: tuple[list[Drift], str, dict[str, Any]],
) -> None:
    """Nor do its drifts: a model that adapts is watched wherever it runs."""
    alone = lane(LaneConfig(models=("hebbian",), configs={}, scale=(1.0, 5.0)))
    found = drifts(learn(alone, 0, EVENTS, 4_096))
    assert found == [drift for drift in whole[0] if drift.model == "hebbian"]
    assert alone.summary(0, 0, 0.0, {}).models["hebbian"].digest in whole[1]


def test_drift_can_be_followed_and_each_is_told_once(tmp_path: Path) -> None:
    ranks = random_ranks(60, 1, ("a",))
    noticed = [Drift(at, "a", "adwin", 0.25, 0.125) for at in (10, 20, 60)]

    def part(start: int, end: int) -> PredictionBlock:
        return block(ranks, start, end)._replace(
            drifts=tuple(drift for drift in noticed if start < drift.at <= end)
        )

    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("p", 1)
        write(log, "p", part(0, 20))
        with DriftFollower(log, "p") as follower:
            assert follower.poll(0.0) == [LaneDrift(0, drift) for drift in noticed[:2]]
            assert follower.poll(0.0) == []
            # A learner that was restarted says it again, in other blocks.
            write(log, "p", part(10, 40), part(40, 60), summary(("a",), 60))
            assert follower.poll(0.0) == [LaneDrift(0, noticed[2])]
        with DriftFollower(log, "p", after={0: 20}) as later:
            assert later.poll(0.0) == [LaneDrift(0, noticed[2])]


def test_who_is_watched() -> None:
    def watched(*names: str) -> list[Watched]:
        return watched_of({name: MODELS[name]() for name in names})

    falls, floor, ratings = (
        lambda name: Watched(name, ratings=False, either_way=False),
        lambda name: Watched(name, ratings=False, either_way=True),
        lambda name: Watched(name, ratings=True, either_way=False),
    )
    assert watched("popularity", "decayed_popularity", "hebbian") == [
        falls("hebbian"),
        floor("decayed_popularity"),
    ]
    assert watched("popularity", "user_hebbian") == [falls("user_hebbian"), floor("popularity")]
    # The champion, and all that adapt.
    assert watched("user_hebbian", "hebbian", "isgd") == [falls("hebbian")]
    assert watched("rating_mean", "rating_means") == [ratings("rating_mean")]


def test_a_champion_that_gets_better_has_not_drifted() -> None:
    """Ranks of 50 and then of 1, and the other way round: of one model of either kind; the same happens to both."""
    models: dict[str, Model] = {"hebbian": MODELS["hebbian"](), "popularity": MODELS["popularity"]()}
    for before, after, expected in ((50, 1, {"popularity"}), (1, 50, {"hebbian", "popularity"})):
        watch = DriftWatch("adwin", models, (1.0, 5.0))
        found = []
        for number in range(SETTLE + 60):
            said = Predictions.nothing(BLOCK)
            said.ranks[:] = before if number < SETTLE + 30 else after
            # Half are the same in any case; repeats say nothing.
            said.ranks[:128] = 10
            said.ranks[-20:] = 0
            for name in models:
                watch.take(number * BLOCK, _events(), said, name)
            found += watch.end((number + 1) * BLOCK)
        assert {drift.model for drift in found} == expected
        # Of 100 items, where ln 10 / ln 100 is a half: (128 * .5 + 108 * (1 - ln rank / ln 100)) / 236.
        levels = {rank: (64 + 108 * (1 - np.log(rank) / np.log(100))) / 236 for rank in (1, 50)}
        for drift in found:
            assert drift.at > (SETTLE + 30) * BLOCK
            assert drift.before == pytest.approx(levels[before])
            assert drift.after == pytest.approx(levels[after])


def test_after_a_drift_nothing_is_said_until_the_models_have_settled() -> None:
    """Ranks fall from 1 to 8, 40 blocks later to 50, which is not said, and to 99 when the model has settled again."""
    models: dict[str, Model] = {"hebbian": MODELS["hebbian"]()}
    falls = (SETTLE + 30, SETTLE + 70, 2 * SETTLE + 80)
    watch, found = DriftWatch("adwin", models, (1.0, 5.0)), []
    for number in range(falls[2] + 30):
        said = Predictions.nothing(BLOCK)
        said.ranks[:] = (1, 8, 50, 99)[sum(number >= fall for fall in falls)]
        said.ranks[:64] = 2 + number % 7
        watch.take(number * BLOCK, _events(), said, "hebbian")
        found += [drift.at // BLOCK for drift in watch.end((number + 1) * BLOCK)]
    assert len(found) == 2
    for fall, at in zip((falls[0], falls[2]), found, strict=True):
        assert fall < at <= fall + 5_000 // BLOCK


def test_what_changes_slowly_is_no_drift() -> None:
    """A model's score falls by a sixth over 100,000 events; noise as of 256 events of a standard deviation of .25."""
    rng = np.random.default_rng(5)
    models: dict[str, Model] = {"hebbian": MODELS["hebbian"]()}
    watch = DriftWatch("adwin", models, (1.0, 5.0))
    for number in range(SETTLE + 400):
        said = Predictions.nothing(BLOCK)
        level = 0.5 - 0.08 * max(number - SETTLE, 0) / 400
        scores = np.clip(rng.normal(level, 0.25, BLOCK), 0, 1)
        said.ranks[:] = np.maximum(np.round(100 ** (1 - scores)), 1)
        watch.take(number * BLOCK, _events(), said, "hebbian")
        assert watch.end((number + 1) * BLOCK) == []


def _events() -> Interactions:
    zeros = np.zeros(BLOCK, np.int64)
    return Interactions(*[zeros] * len(Interactions._fields))._replace(items=np.full(BLOCK, 100, np.int32))


def test_a_block_of_predictions_keeps_its_drifts() -> None:
    noticed = (Drift(5, "a", "adwin", 0.25, 0.125), Drift(8, "a", "adwin", 0.5, 1e-300))
    one = block(random_ranks(20, 1, ("a", "b")), 3, 12)._replace(drifts=noticed)
    found = decode_prediction(one.to_record().value or b"")
    assert isinstance(found, PredictionBlock)
    assert found.drifts == noticed
    # Of event 4, the drift at 5 is; of event 5 on, it is not.
    assert found.after(1).drifts == noticed
    assert found.after(2).drifts == noticed[1:]


def test_the_evaluator_keeps_drifts_once_and_through_an_interruption(tmp_path: Path) -> None:
    models = ("hebbian", "popularity")
    ranks = random_ranks(60, 1, models)
    noticed = [Drift(at, models[at // 10 % 2], "adwin", 0.25, 0.125) for at in (10, 20, 30, 60)]

    def part(start: int, end: int) -> PredictionBlock:
        return block(ranks, start, end)._replace(
            drifts=tuple(drift for drift in noticed if start < drift.at <= end)
        )

    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("p", 1)
        store = CheckpointStore(tmp_path / "checkpoints")
        write(log, "p", part(0, 20))
        with Evaluator(log, "p", store=store) as evaluator:
            evaluator.step(0.0)
            assert evaluator.drifts() == noticed[:2]
            evaluator.checkpoint()
        # Said again by a learner that was restarted, in other blocks.
        write(log, "p", part(10, 40), part(40, 60), summary(models, 60))
        with Evaluator(log, "p", store=store) as evaluator:
            evaluator.step(0.0)
            result = evaluator.result(RUN)
        with Evaluator(log, "p") as again:
            again.step(0.0)
            assert again.result(RUN)["digest"] == result["digest"]
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert result["drift"]["events"] == [{"lane": 0, **drift._asdict()} for drift in noticed]
    assert result["drift"]["counts"] == [
        {"model": "hebbian", "detector": "adwin", "drifts": 2},
        {"model": "popularity", "detector": "adwin", "drifts": 2},
    ]


def test_a_drift_of_other_events_is_refused(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("p", 1)
        wrong = block(random_ranks(9, 1, ("a",)), 0, 9)._replace(drifts=(Drift(10, "a", "adwin", 0.5, 0.25),))
        write(log, "p", wrong)
        with (
            Evaluator(log, "p") as evaluator,
            pytest.raises(PredictionsError, match="drift is at 10, expected more than 0 and 9 at most"),
        ):
            evaluator.step(0.0)
