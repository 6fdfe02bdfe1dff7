"""The evaluator over a real embedded log: figures, repeats, gaps, interruptions, and result.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import CheckpointPolicy, Evaluator
from consumers.metrics import EvaluatorMetrics
from consumers.result import RunInfo, result_schema
from evaluation.figures import figures_of
from evaluation.prequential import PrequentialConfig
from eventlog.errors import CheckpointMismatchError, OffsetGoneError, PredictionsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_ranks, summary, write
from tests.oracles.ranking_oracle import mean_figures, window_figures

TOPIC = "test.predictions"
CONFIG = PrequentialConfig(
    windows=(20, 50),
    time_windows_s=(300, 86_400),
    fading_factors=(0.9,),
    curve_interval=5,
    curve_points=8,
)
MODELS = ("hebbian", "popularity")
RUN = RunInfo(
    dataset="invented",
    data_source="Invented ranks.",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=0,
    seconds=4.0,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic(TOPIC, 2)
        yield log


def evaluate(log: SqliteLog, store: CheckpointStore | None = None) -> Evaluator:
    """Evaluate all that the topic has."""
    with Evaluator(log, TOPIC, config=CONFIG, store=store) as evaluator:
        while evaluator.step(0.0):
            pass
        return evaluator


def write_lane(log: SqliteLog, ranks: dict[str, list[int]], *cuts: int) -> None:
    """Write a whole lane in blocks cut at `cuts`, and its summary."""
    events = len(ranks[MODELS[0]])
    edges = [0, *cuts, events]
    blocks = [block(ranks, start, end, total=events) for start, end in itertools.pairwise(edges)]
    write(log, TOPIC, *blocks, summary(MODELS, events))


def test_figures_agree_with_the_oracle(log: SqliteLog) -> None:
    ranks = random_ranks(200, 1, MODELS)
    write_lane(log, ranks, 7, 64, 65, 199)
    evaluator = evaluate(log)
    assert evaluator.done
    assert evaluator.events == evaluator.total_events == 200
    for model, spans in evaluator.figures().items():
        assert spans["all"] == pytest.approx(mean_figures(ranks[model]))
        assert spans["last_70"] == pytest.approx(mean_figures(ranks[model][60:]))
        assert spans["window_20"] == pytest.approx(window_figures(ranks[model], 20))
        assert spans["window_50"] == pytest.approx(window_figures(ranks[model], 50))


def test_blocks_that_come_again_are_dropped_whole_or_in_part(log: SqliteLog) -> None:
    ranks = random_ranks(100, 2, MODELS)
    whole = block(ranks, 0, 100)
    write(
        log,
        TOPIC,
        block(ranks, 0, 40),
        block(ranks, 0, 40),  # a learner killed before its checkpoint says all of it again,
        block(ranks, 10, 30),
        block(ranks, 30, 70),  # cut elsewhere
        block(ranks, 69, 100),
        summary(MODELS, 100),
        summary(MODELS, 100),
    )
    again = evaluate(log)
    assert again.done
    log.create_topic("once", 1)
    write(log, "once", whole, summary(MODELS, 100))
    with Evaluator(log, "once", config=CONFIG) as once:
        once.step(0.0)
        assert once.digest() == again.digest()


def test_a_gap_is_fatal_and_named(log: SqliteLog) -> None:
    ranks = random_ranks(50, 3, MODELS)
    write(log, TOPIC, block(ranks, 0, 20), block(ranks, 21, 50))
    with pytest.raises(PredictionsError, match="goes on at lane_seq 21, expected 20"):
        evaluate(log)


def test_a_summary_must_agree_with_the_events(log: SqliteLog) -> None:
    write(log, TOPIC, block(random_ranks(50, 3, MODELS), 0, 20), summary(MODELS, 50))
    with pytest.raises(PredictionsError, match="ends after 50 events, expected 20"):
        evaluate(log)


@pytest.mark.parametrize("value", [b"", b"\x00\x01", b'{"lane": 0}', b"{", b"\xc1"])
def test_unreadable_messages_are_named_by_their_place(log: SqliteLog, value: bytes) -> None:
    write(log, TOPIC, block(random_ranks(5, 3, MODELS), 0, 5), value)
    with pytest.raises(PredictionsError, match=r"test\.predictions/0 at 1: not a prediction"):
        evaluate(log)


def test_other_models_and_other_lanes_are_refused(log: SqliteLog) -> None:
    ranks = random_ranks(10, 3, MODELS)
    write(log, TOPIC, block(ranks, 0, 5), block({"hebbian": ranks["hebbian"]}, 5, 10))
    with pytest.raises(PredictionsError, match=r"models \['hebbian'\], expected \['hebbian', 'pop"):
        evaluate(log)
    log.create_topic("lanes", 1)
    write(log, "lanes", block(ranks, 0, 5, lane=3))
    with Evaluator(log, "lanes") as evaluator, pytest.raises(PredictionsError, match="lane is 3"):
        evaluator.step(0.0)


def test_a_lane_that_goes_on_after_its_summary_has_not_ended(log: SqliteLog) -> None:
    ranks = random_ranks(30, 4, MODELS)
    write(log, TOPIC, block(ranks, 0, 20), summary(MODELS, 20))
    with Evaluator(log, TOPIC, config=CONFIG) as evaluator:
        ended = []
        assert evaluator.step(0.0) == 20
        ended.append(evaluator.done)
        write(log, TOPIC, block(ranks, 20, 30))
        assert evaluator.step(0.0) == 10
        ended.append(evaluator.done)
        with pytest.raises(PredictionsError, match=r"lanes \[0\] have not ended"):
            evaluator.result(RUN)
        write(log, TOPIC, summary(MODELS, 30))
        assert evaluator.step(0.0) == 0
        ended.append(evaluator.done)
    assert ended == [True, False, True]


def test_several_lanes_add_up(log: SqliteLog) -> None:
    ranks = [random_ranks(60, 5, MODELS), random_ranks(90, 6, MODELS)]
    for lane, of in enumerate(ranks):
        events = len(of["hebbian"])
        write(
            log,
            TOPIC,
            block(of, 0, events, lane=lane),
            summary(MODELS, events, lane=lane),
            partition=lane,
        )
    with Evaluator(log, TOPIC, lanes=(0, 1), config=CONFIG) as evaluator:
        evaluator.step(0.0)
        assert evaluator.done
        assert evaluator.events == 150
        for model, spans in evaluator.figures().items():
            both = ranks[0][model] + ranks[1][model]
            assert spans["all"] == pytest.approx(mean_figures(both))
            assert spans["last_70"] is None
        # 60 and 90 events at intervals of 5, 8 points at most: intervals 10 and 20, common points 20, 40, 60.
        assert evaluator.curves()["events"] == [40, 80, 120]
        result = evaluator.result(RUN)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert result["accounting"]["accepted"] == 60 + 3 + 90 + 3
    assert result["models"]["hebbian"]["state_bytes"] == 2000


def test_curves_are_the_figures_of_their_moment(log: SqliteLog) -> None:
    ranks = random_ranks(37, 7, MODELS)
    write_lane(log, ranks, 11)
    curves = evaluate(log).curves()
    assert curves["events"] == [5, 10, 15, 20, 25, 30, 35]
    assert curves["last_70_from"] == 11
    for at, events in enumerate(curves["events"]):
        expected = mean_figures(ranks["popularity"][:events])
        windowed = window_figures(ranks["popularity"][:events], 20)
        assert expected is not None
        assert windowed is not None
        spans = curves["models"]["popularity"]
        assert spans["all"]["ndcg@10"][at] == pytest.approx(expected["ndcg@10"])
        assert spans["window_20"]["recall@10"][at] == pytest.approx(windowed["recall@10"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_interrupted_anywhere_and_resumed_is_uninterrupted(log: SqliteLog, tmp_path: Path, seed: int) -> None:
    ranks = random_ranks(300, 8, MODELS)
    rng = np.random.default_rng(seed)
    cuts = sorted({int(cut) for cut in rng.integers(1, 300, 12)})
    store = CheckpointStore(tmp_path / f"evaluator-{seed}")
    edges = [0, *cuts, 300]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        again = max(0, start - int(rng.integers(0, 9)))  # the learner was interrupted too
        write(log, TOPIC, block(ranks, again, end, total=300))
        # A checkpoint at some blocks only; what came after it is lost with the process.
        policy = CheckpointPolicy(events=1 if index % 3 == 0 else 10**9, seconds=10**9)
        with Evaluator(log, TOPIC, config=CONFIG, store=store, policy=policy) as evaluator:
            evaluator.step(0.0)
            assert evaluator.events == end
    write(log, TOPIC, summary(MODELS, 300))
    resumed = evaluate(log, store)
    recomputed = evaluate(log)
    assert resumed.done
    assert resumed.result(RUN) == recomputed.result(RUN)
    assert resumed.digest() == recomputed.digest()
    for name, array in recomputed.lanes[0].arrays().items():
        assert array.tobytes() == resumed.lanes[0].arrays()[name].tobytes(), name
    # Done is a checkpoint: another evaluator has nothing left to read.
    with Evaluator(log, TOPIC, config=CONFIG, store=store) as evaluator:
        assert evaluator.done
        assert evaluator.events == 300
        assert evaluator.step(0.0) == 0


def test_resuming_reads_on_from_the_checkpoint_and_not_before(log: SqliteLog, tmp_path: Path) -> None:
    ranks = random_ranks(40, 9, MODELS)
    store = CheckpointStore(tmp_path / "evaluator")
    write(log, TOPIC, block(ranks, 0, 20))
    with Evaluator(log, TOPIC, config=CONFIG, store=store) as evaluator:
        evaluator.step(0.0)
        evaluator.checkpoint()
    write(log, TOPIC, block(ranks, 20, 40))
    with Evaluator(log, TOPIC, config=CONFIG, store=store) as evaluator:
        assert evaluator.events == 20
        assert evaluator.step(0.0) == 20


def test_a_checkpoint_of_other_settings_is_refused(log: SqliteLog, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "evaluator")
    write(log, TOPIC, block(random_ranks(20, 9, MODELS), 0, 20), summary(MODELS, 20))
    evaluate(log, store)
    with pytest.raises(CheckpointMismatchError, match="config"):
        Evaluator(log, TOPIC, store=store)
    log.create_topic("other", 2)
    with pytest.raises(CheckpointMismatchError, match=r"topic 'test.predictions', expected 'other'"):
        Evaluator(log, "other", config=CONFIG, store=store)


def test_a_topic_that_was_made_anew_is_no_silent_restart(log: SqliteLog, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "evaluator")
    ranks = random_ranks(20, 9, MODELS)
    write(log, TOPIC, *(block(ranks, at, at + 5) for at in (0, 5, 10, 15)), summary(MODELS, 20))
    evaluate(log, store)
    log.delete_topic(TOPIC)
    log.create_topic(TOPIC, 2)
    with pytest.raises(OffsetGoneError), Evaluator(log, TOPIC, config=CONFIG, store=store) as anew:
        anew.step(0.0)


def test_an_open_stream_takes_any_lane_and_is_never_done(log: SqliteLog) -> None:
    ranks = random_ranks(20, 9, MODELS)
    write(log, TOPIC, block(ranks, 0, 20, lane=5), summary(MODELS, 20, lane=5))
    with Evaluator(log, TOPIC, lanes=(), config=CONFIG) as evaluator:
        assert evaluator.figures() == {}
        assert evaluator.step(0.0) == 20
        assert not evaluator.done
        assert evaluator.total_events is None
        assert set(evaluator.figures()) == set(MODELS)


def test_result_is_as_the_schema_says(log: SqliteLog) -> None:
    ranks = random_ranks(200, 10, MODELS)
    write_lane(log, ranks, 50)
    result = evaluate(log).result(RUN)
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert json.loads(json.dumps(result)) == result
    assert result["events"] == 200
    assert result["events_per_second"] == 50.0
    assert result["last_70_from"] == 60
    first = ranks["hebbian"]
    assert result["counts"] == {
        "ranked": 200 - first.count(0),
        "repeats": first.count(0),
        "new_items": first.count(-1),
        "new_users": 20,
        "users": 7,
        "items": 9,
    }
    hebbian = result["models"]["hebbian"]
    assert hebbian["all"] == pytest.approx(mean_figures(first))
    assert hebbian["last_70"] == pytest.approx(mean_figures(first[60:]))
    assert hebbian["events_per_second"] == 200 / 0.5
    assert hebbian["state_bytes"] == 1000
    assert hebbian["rating"] is None
    # An event a second: all of them are of the last minutes of event time.
    assert set(hebbian["spans"]) == {"window_20", "window_50", "window_5m", "window_1d", "fading_0.9"}
    assert hebbian["spans"]["window_5m"] == hebbian["spans"]["window_1d"] == hebbian["all"]


def test_the_speed_of_a_model_is_of_the_events_that_were_timed(log: SqliteLog) -> None:
    """A learner that was interrupted has timed the events after its restart alone."""
    ranks = random_ranks(200, 10, MODELS)
    write(log, TOPIC, block(ranks, 0, 200, total=200), summary(MODELS, 200, timed_events=30))
    assert evaluate(log).result(RUN)["models"]["hebbian"]["events_per_second"] == 30 / 0.5


def test_the_schema_refuses_a_wrong_result(log: SqliteLog) -> None:
    write_lane(log, random_ranks(50, 10, MODELS))
    result = evaluate(log).result(RUN)
    spoilers: list[Callable[[dict[str, dict[str, dict[str, dict[str, float]]]]], object]] = [
        lambda r: r["models"]["hebbian"]["all"].update({"recall@10": 1.5}),
        lambda r: r["models"]["hebbian"]["all"].pop("ndcg@10"),
        lambda r: r["models"]["hebbian"].pop("last_70"),
        lambda r: r.pop("digest"),
        lambda r: r.update({"surprise": {}}),
        lambda r: r.update({"models": {}}),
    ]
    for spoil in spoilers:
        spoiled = json.loads(json.dumps(result))
        spoil(spoiled)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoiled, result_schema(), jsonschema.Draft202012Validator)


def test_the_digest_is_of_what_came_out_and_not_of_how(log: SqliteLog) -> None:
    ranks = random_ranks(100, 11, MODELS)
    write_lane(log, ranks, 30)
    log.create_topic("other", 1)
    events = [block(ranks, at, at + 1, total=100) for at in range(100)]
    slow = summary(MODELS, 100)
    faster = {
        name: type(model)(
            digest=model.digest, state_bytes=model.state_bytes + 1, seconds=9.0, config=model.config
        )
        for name, model in slow.models.items()
    }
    fields = {name: getattr(slow, name) for name in slow.__struct_fields__}
    write(log, "other", *events, type(slow)(**{**fields, "models": faster, "seconds": 77.0}))
    with Evaluator(log, "other", config=CONFIG) as other:
        while other.step(0.0):
            pass
        digest = other.result(RUN)["digest"]
    assert evaluate(log).result(RUN)["digest"] == digest
    # One model's state, or the last source sequence, makes another digest.
    changed = {
        **slow.models,
        "hebbian": type(slow.models["hebbian"])(digest="f" * 64, state_bytes=1, seconds=1.0, config={}),
    }
    for change in ({"models": changed}, {"last_seq": {"test": 7}}):
        topic = f"changed-{next(iter(change))}"
        log.create_topic(topic, 1)
        write(log, topic, block(ranks, 0, 100, total=100), type(slow)(**{**fields, **change}))
        with Evaluator(log, topic, config=CONFIG) as evaluator:
            evaluator.step(0.0)
            assert evaluator.result(RUN)["digest"] != digest


def test_figures_are_published_as_metrics(log: SqliteLog) -> None:
    registry = CollectorRegistry()
    ranks = random_ranks(100, 12, MODELS)
    write_lane(log, ranks, 30)
    with Evaluator(log, TOPIC, config=CONFIG, metrics=EvaluatorMetrics(registry)) as evaluator:
        evaluator.step(0.0)
        assert evaluator.done
        expected = figures_of([evaluator.lanes[0].ranking])
    assert registry.get_sample_value("engram_prequential_events_total") == 100
    for model in MODELS:
        for span in ("all", "last_70", "window_20", "window_50", "window_5m", "fading_0.9"):
            figures = expected[model][span]
            assert figures is not None
            for measure in ("recall", "ndcg", "mrr", "precision", "hr"):
                for k in ("5", "10", "20"):
                    labels = {"model": model, "k": k, "span": span}
                    name = f"engram_prequential_{measure}_ratio"
                    assert registry.get_sample_value(name, labels) == figures[f"{measure}@{k}"]
