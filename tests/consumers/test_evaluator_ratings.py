"""Predicted ratings through a real embedded log: figures, repeats, interruptions, and result.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import CheckpointPolicy, Evaluator
from consumers.result import RunInfo, result_schema
from evaluation.prequential import PrequentialConfig
from evaluation.rating import BINS
from eventlog.errors import PredictionsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_ranks, summary, write
from tests.oracles.ranking_oracle import mean_figures
from tests.oracles.rating_oracle import Rated, rating_figures_by_definition

TOPIC = "test.predictions"
CONFIG = PrequentialConfig(windows=(20,), fading_factors=(0.9,), curve_interval=5, curve_points=8)
RUN = RunInfo(
    dataset="invented",
    data_source="Invented ratings.",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=0,
    seconds=4.0,
)
SCALE = (1.0, 5.0)  # of `prediction_stream.block`


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic(TOPIC, 2)
        yield log


def random_ratings(events: int, seed: int) -> NDArray[np.float64]:
    """Predicted ratings, some of them beyond the scale, some left out."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(3.0, 1.5, events)
    predicted[rng.random(events) < 0.1] = np.nan
    return predicted


def rated(predicted: NDArray[np.float64]) -> list[Rated]:
    """With what was given, as in `prediction_stream.block`."""
    return [Rated(1.0 + seq % 5, said) for seq, said in enumerate(predicted.tolist())]


def evaluate(log: SqliteLog, store: CheckpointStore | None = None, topic: str = TOPIC) -> Evaluator:
    with Evaluator(log, topic, config=CONFIG, store=store) as evaluator:
        while evaluator.step(0.0):
            pass
        return evaluator


def test_the_result_has_figures_of_both_kinds_of_models(log: SqliteLog) -> None:
    ranks = random_ranks(200, 1, ("popularity",))
    predicted = {"mean": random_ratings(200, 2), "other": random_ratings(200, 3)}
    blocks = [
        block(ranks, start, end, total=200, predicted=predicted)
        for start, end in itertools.pairwise([0, 7, 59, 61, 200])
    ]
    write(log, TOPIC, *blocks, summary(("popularity",), 200, rating_models=("mean", "other")))
    result = evaluate(log).result(RUN)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert json.loads(json.dumps(result)) == result
    models = result["models"]
    assert list(models) == ["mean", "other", "popularity"]
    assert models["popularity"]["all"] == pytest.approx(mean_figures(ranks["popularity"]))
    assert models["popularity"]["rating"] is None
    assert models["popularity"]["rating_last_70"] is None
    for name, column in predicted.items():
        events = rated(column)
        assert models[name]["rating"] == pytest.approx(rating_figures_by_definition(events, SCALE, BINS))
        assert models[name]["rating_last_70"] == pytest.approx(
            rating_figures_by_definition(events[60:], SCALE, BINS)
        )
        assert models[name]["all"] is models[name]["last_70"] is None
        assert models[name]["spans"] == {}


def test_a_run_of_models_that_only_rate_has_a_result(log: SqliteLog) -> None:
    predicted = random_ratings(100, 2)
    write(
        log,
        TOPIC,
        block({}, 0, 100, total=100, predicted={"mean": predicted}),
        summary((), 100, rating_models=("mean",)),
    )
    evaluator = evaluate(log)
    assert evaluator.done
    assert evaluator.events == 100
    result = evaluator.result(RUN)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert result["counts"]["ranked"] == 0
    assert result["last_70_from"] == 30
    assert result["models"]["mean"]["rating"] == pytest.approx(
        rating_figures_by_definition(rated(predicted), SCALE, BINS)
    )


def test_a_lane_without_events_has_no_rating_figures(log: SqliteLog) -> None:
    write(log, TOPIC, summary(("popularity",), 0, rating_models=("mean",)))
    result = evaluate(log).result(RUN)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert result["models"]["mean"]["rating"] is None


def test_ratings_that_come_again_are_dropped_and_any_cut_is_the_same(log: SqliteLog) -> None:
    ranks, predicted = random_ranks(100, 2, ("popularity",)), {"mean": random_ratings(100, 4)}
    edges = [(0, 40), (0, 40), (10, 30), (30, 70), (69, 100)]
    ended = summary(("popularity",), 100, rating_models=("mean",))
    cut = [block(ranks, start, end, total=100, predicted=predicted) for start, end in edges]
    write(log, TOPIC, *cut, ended)
    log.create_topic("once", 1)
    write(log, "once", block(ranks, 0, 100, total=100, predicted=predicted), ended)
    assert evaluate(log).result(RUN) == evaluate(log, topic="once").result(RUN)


def test_the_digest_sees_one_predicted_rating(log: SqliteLog) -> None:
    ranks, predicted = random_ranks(50, 2, ("popularity",)), random_ratings(50, 4)
    other = predicted.copy()
    other[np.flatnonzero(~np.isnan(predicted))[7]] = 3.21
    digests = set()
    for topic, said in (("one", {"mean": predicted}), ("another", {"mean": other}), ("none", {})):
        log.create_topic(topic, 1)
        names = tuple(said)
        write(
            log, topic, block(ranks, 0, 50, predicted=said), summary(("popularity",), 50, rating_models=names)
        )
        digests.add(evaluate(log, topic=topic).digest())
    assert len(digests) == 3


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ranking", [("popularity",), ()])
def test_interrupted_anywhere_and_resumed_is_uninterrupted(
    log: SqliteLog, tmp_path: Path, ranking: tuple[str, ...], seed: int
) -> None:
    ranks = random_ranks(300, 8, ranking) if ranking else {}
    predicted = {"mean": random_ratings(300, 9), "other": random_ratings(300, 10)}
    rng = np.random.default_rng(seed)
    store = CheckpointStore(tmp_path / "evaluator")
    edges = [0, *sorted({int(cut) for cut in rng.integers(1, 300, 10)}), 300]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        again = max(0, start - int(rng.integers(0, 9)))  # the learner was interrupted too
        write(log, TOPIC, block(ranks, again, end, total=300, predicted=predicted))
        policy = CheckpointPolicy(events=1 if index % 3 == 0 else 10**9, seconds=10**9)
        with Evaluator(log, TOPIC, config=CONFIG, store=store, policy=policy) as evaluator:
            evaluator.step(0.0)
            assert evaluator.events == end
    write(log, TOPIC, summary(ranking, 300, rating_models=("mean", "other")))
    resumed, recomputed = evaluate(log, store), evaluate(log)
    assert resumed.result(RUN) == recomputed.result(RUN)
    for name, array in recomputed.lanes[0].arrays().items():
        assert array.tobytes() == resumed.lanes[0].arrays()[name].tobytes(), name
    with Evaluator(log, TOPIC, config=CONFIG, store=store) as done:
        assert done.done
        assert done.result(RUN) == recomputed.result(RUN)


def test_several_lanes_add_up_and_must_have_the_same_models(log: SqliteLog) -> None:
    predicted = [random_ratings(60, 5), random_ratings(90, 6)]
    for lane, column in enumerate(predicted):
        events = len(column)
        write(
            log,
            TOPIC,
            block({}, 0, events, lane=lane, predicted={"mean": column}),
            summary((), events, lane=lane, rating_models=("mean",)),
            partition=lane,
        )
    with Evaluator(log, TOPIC, lanes=(0, 1), config=CONFIG) as evaluator:
        evaluator.step(0.0)
        mean = evaluator.result(RUN)["models"]["mean"]
    both = [*rated(predicted[0]), *rated(predicted[1])]
    assert mean["rating"] == pytest.approx(rating_figures_by_definition(both, SCALE, BINS))
    assert mean["rating_last_70"] is None
    log.create_topic("other", 1)
    write(log, "other", block({}, 0, 60, predicted={"mean": predicted[0]}))
    write(log, "other", block({}, 0, 60, lane=1, predicted={"magic": predicted[0]}))
    with (
        Evaluator(log, "other", lanes=(0, 1), config=CONFIG) as evaluator,
        pytest.raises(PredictionsError, match=r"lane 1 has models \['magic'\], expected \['mean'\]"),
    ):
        evaluator.step(0.0)


@pytest.mark.parametrize(
    ("field", "message"),
    [("rating", "rating has 19 values, expected 20"), ("mean", "mean has 19 predicted ratings, expected 20")],
)
def test_a_column_that_was_cut_short_is_named(log: SqliteLog, field: str, message: str) -> None:
    whole = block({}, 0, 20, predicted={"mean": random_ratings(20, 1)})
    wire = msgspec.msgpack.decode(whole.to_record().value or b"")
    of = wire["predicted"] if field == "mean" else wire
    of[field] = of[field][:-8]
    write(log, TOPIC, msgspec.msgpack.encode(wire))
    with pytest.raises(PredictionsError, match=f"test.predictions/0 at 0: lane 0: {message}"):
        evaluate(log)


def test_other_rating_models_than_before_are_refused(log: SqliteLog) -> None:
    predicted = random_ratings(20, 1)
    write(
        log,
        TOPIC,
        *(block({}, at, at + 10, predicted={name: predicted}) for at, name in ((0, "a"), (10, "b"))),
    )
    with pytest.raises(PredictionsError, match=r"models are \['b'\], expected \['a'\]"):
        evaluate(log)
