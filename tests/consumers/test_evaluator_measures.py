"""Measures beside ranks and ratings through a real embedded log: result.json, interruptions, lanes and metrics."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import CheckpointPolicy, Evaluator
from consumers.metrics import EvaluatorMetrics
from consumers.result import RunInfo, result_schema
from evaluation.prequential import PrequentialConfig
from evaluation.rating import BINS
from evaluation.significance import SignificanceConfig
from eventlog.errors import CheckpointMismatchError, PredictionsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_lists, random_ranks, summary, write
from tests.oracles.beyond_oracle import (
    Listed,
    coverage_by_definition,
    diversity_by_definition,
    gini_by_definition,
    novelty_by_definition,
    serendipity_by_definition,
)
from tests.oracles.ranking_oracle import mean_figures
from tests.oracles.rating_oracle import Rated, like_figures_by_definition
from tests.oracles.sessions_oracle import Paired, interval_by_definition, sessions_by_definition

TOPIC = "test.predictions"
MODELS = ("hebbian", "popularity")
EVENTS = 400
CONFIG = PrequentialConfig(windows=(20,), time_windows_s=(90,), curve_interval=5, curve_points=8)
LOOKS = SignificanceConfig(look_every=50, first_look=50, min_blocks=2, session_gap_s=18)
RUN = RunInfo(
    dataset="invented",
    data_source="Invented predictions.",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=0,
    seconds=4.0,
)
# As many new items at first as the lists are of.
RANKS = {model: [-1] * 60 + ranks[60:] for model, ranks in random_ranks(EVENTS, 1, MODELS).items()}
LIKED = {"taste": np.random.default_rng(3).random(EVENTS)}
COLD = {"content": np.where(np.array(RANKS["hebbian"]) == -1, np.arange(EVENTS) % 30, 0).astype(np.int32)}
TOP = random_lists(EVENTS, 5, MODELS, 7)
ENDED = summary(MODELS, EVENTS, liking_models=("taste", "content"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic(TOPIC, 1)
        yield log


def part(start: int, end: int):  # type: ignore[no-untyped-def]
    """Events [start, end) of the lane; `content` only ranks new items, and says nothing of likes."""
    liked = LIKED | {"content": np.full(EVENTS, np.nan)}
    return block(RANKS, start, end, total=EVENTS, liked=liked, cold=COLD, top=TOP)


def evaluator_of(log: SqliteLog, topic: str = TOPIC, **parts: object) -> Evaluator:
    return Evaluator(log, topic, config=CONFIG, significance=LOOKS, **parts)  # type: ignore[arg-type]


def evaluate(log: SqliteLog, topic: str = TOPIC, **parts: object) -> Evaluator:
    with evaluator_of(log, topic, **parts) as evaluator:
        while evaluator.step(0.0):
            pass
        return evaluator


def test_the_result_has_all_measures_and_they_are_those_of_the_oracles(log: SqliteLog) -> None:
    write(log, TOPIC, *itertools.starmap(part, itertools.pairwise((0, 7, 119, 121, EVENTS))), ENDED)
    result = evaluate(log).result(RUN)
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert json.loads(json.dumps(result)) == result
    known = RANKS["hebbian"].count(-1)
    for model in MODELS:
        lists = TOP.models[model]
        rows = [
            [Listed(*one) for one in zip(*(column[row].tolist() for column in lists), strict=True)]
            for row in range(len(TOP.at))
        ]
        for span, first in (("all", 0), ("last_70", 120)):
            kept = [row for at, row in zip(TOP.at.tolist(), rows, strict=True) if at >= first]
            found = result["models"][model]["beyond"][span]
            assert found["coverage@20"] == pytest.approx(coverage_by_definition(kept, known))
            assert found["gini@20"] == pytest.approx(gini_by_definition(kept, known))
            learned = [at for at in TOP.at.tolist() if at >= first]
            assert found["novelty@20"] == pytest.approx(novelty_by_definition(kept, learned))
            assert found["diversity@20"] == pytest.approx(diversity_by_definition(kept))
            assert found["serendipity@10"] == pytest.approx(
                serendipity_by_definition(RANKS[model][first:], RANKS["popularity"][first:])
            )
        slices = result["models"][model]["slices"]["all"]
        # Every 17 events a user is an event older: 1st event, 2nd to 5th, 6th to 20th, then the rest.
        for name, (start, end) in {
            "user_1": (0, 17),
            "user_2_5": (17, 85),
            "user_6_20": (85, 340),
            "user_21": (340, 400),
        }.items():
            expected = mean_figures(RANKS[model][start:end])
            assert expected is not None
            assert slices[name]["recall@10"] == pytest.approx(expected["recall@10"])
        # Item band of event s by 1 + 3 s, but for new items.
        band = [rank for s, rank in enumerate(RANKS[model]) if rank != -1 and 100 <= 1 + 3 * s <= 999]
        assert slices["item_100_999"]["mrr@10"] == pytest.approx(mean_figures(band)["mrr@10"])  # type: ignore[index]
        # An event a second, windows of 90 s in panes of 1,407 ms.
        panes = [s * 1000 // 1407 for s in range(EVENTS)]
        window = [rank for pane, rank in zip(panes, RANKS[model], strict=True) if pane > panes[-1] - 64]
        assert result["models"][model]["spans"]["window_90s"] == pytest.approx(mean_figures(window))
    taste = result["models"]["taste"]
    rated = [Rated(1.0 + s % 5, said) for s, said in enumerate(LIKED["taste"].tolist())]
    likes = like_figures_by_definition(rated, (1.0, 5.0), (0.0, 1.0), 0.5, BINS)
    assert likes is not None
    assert taste["rating"] == {"rmse": None, "mae": None, **likes}
    assert taste["beyond"] is taste["slices"] is taste["cold"] is None
    said = [rank for rank in COLD["content"].tolist() if rank > 0]
    cold = result["models"]["content"]["cold"]["all"]
    assert (cold["new_items"], cold["said"]) == (known, len(said))
    assert cold["figures"] == pytest.approx(mean_figures(said))
    [pair] = result["significance"]["pairs"]
    events = [
        Paired(s % 17, s * 1000, *ranks)
        for s, ranks in enumerate(zip(RANKS["hebbian"], RANKS["popularity"], strict=True))
    ]
    sessions = sessions_by_definition(events, 18_000, 50)
    assert pair["sessions"] == len(sessions)
    assert pair["difference"] == pytest.approx(interval_by_definition(sessions)[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_interrupted_anywhere_and_resumed_is_uninterrupted(log: SqliteLog, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    store = CheckpointStore(tmp_path / "evaluator")
    edges = [0, *sorted({int(cut) for cut in rng.integers(1, EVENTS, 12)}), EVENTS]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        write(log, TOPIC, part(max(0, start - int(rng.integers(0, 9))), end))
        policy = CheckpointPolicy(events=1 if index % 3 == 0 else 10**9, seconds=10**9)
        with evaluator_of(log, store=store, policy=policy) as evaluator:
            evaluator.step(0.0)
            assert evaluator.events == end
    write(log, TOPIC, ENDED)
    resumed, recomputed = evaluate(log, store=store), evaluate(log)
    assert resumed.result(RUN) == recomputed.result(RUN)
    for name, array in recomputed.lanes[0].arrays().items():
        assert array.tobytes() == resumed.lanes[0].arrays()[name].tobytes(), name
    assert evaluate(log, store=store).result(RUN) == recomputed.result(RUN)


def test_a_checkpoint_of_other_looks_is_refused(log: SqliteLog, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "evaluator")
    write(log, TOPIC, part(0, EVENTS), ENDED)
    evaluate(log, store=store)
    with pytest.raises(CheckpointMismatchError, match="config"):
        Evaluator(log, TOPIC, config=CONFIG, store=store)


def test_every_measure_is_in_the_digest(log: SqliteLog) -> None:
    whole = part(0, EVENTS)
    user = whole.user_seen.copy()
    user[9] = 400
    assert whole.top is not None
    lists = whole.top.models["hebbian"]
    genres = lists.genres.copy()
    genres[20:] ^= np.uint64(1 << 40)
    top = whole.top._replace(models={**whole.top.models, "hebbian": lists._replace(genres=genres)})
    cold = COLD["content"].copy()
    cold[np.flatnonzero(cold)[0]] += 1
    changes: list[dict[str, object]] = [
        {},
        {"user_seen": user},
        {"user_hash": whole.user_hash // 2},
        {"event_time_ms": whole.event_time_ms * 2},
        {"top": top},
        {"cold": {"content": cold}},
        {"liked": {**whole.liked, "taste": LIKED["taste"] / 2}},
    ]
    digests = set()
    for number, change in enumerate(changes):
        log.create_topic(f"change-{number}", 1)
        write(log, f"change-{number}", whole._replace(**change), ENDED)  # type: ignore[arg-type]
        digests.add(evaluate(log, f"change-{number}").digest())
    assert len(digests) == len(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_seen": np.zeros(9, np.int32)}, "user_seen has 9 values, expected 20"),
        ({"user_hash": np.zeros(21, np.uint32)}, "user_hash has 21 values, expected 20"),
        ({"cold": {"content": np.full(20, -1, np.int32)}}, "cold rank -1 to event"),
        ({"liked": {"taste": np.zeros(19)}}, "taste has 19 probabilities of like, expected 20"),
    ],
)
def test_a_wrong_column_is_named(log: SqliteLog, change: dict[str, object], message: str) -> None:
    one = block(RANKS, 0, 20, liked=LIKED, cold=COLD)
    write(log, TOPIC, one._replace(**change))  # type: ignore[arg-type]
    with pytest.raises(PredictionsError, match=message):
        evaluate(log)


def test_measures_are_published(log: SqliteLog) -> None:
    registry = CollectorRegistry()
    write(log, TOPIC, part(0, EVENTS), ENDED)
    evaluator = evaluate(log, metrics=EvaluatorMetrics(registry))
    result = evaluator.result(RUN)
    beyond = result["models"]["hebbian"]["beyond"]
    for measure, unit in (
        ("coverage", "ratio"),
        ("gini", "ratio"),
        ("novelty", "bits"),
        ("diversity", "ratio"),
        ("serendipity", "ratio"),
    ):
        k = "10" if measure == "serendipity" else "20"
        for span in ("all", "last_70"):
            labels = {"model": "hebbian", "k": k, "span": span}
            name = f"engram_prequential_{measure}_{unit}"
            assert registry.get_sample_value(name, labels) == beyond[span][f"{measure}@{k}"]
    [pair] = result["significance"]["pairs"]
    labels = {"model": "hebbian", "baseline": "popularity"}
    for name, field in (("", "difference"), ("_low", "low"), ("_high", "high"), ("_p", "p_cluster")):
        value = registry.get_sample_value(f"engram_prequential_difference{name}_ratio", labels)
        assert value == pair[field]
    decided = {None: 0, "hebbian": 1, "popularity": -1}[pair["better"]]
    assert registry.get_sample_value("engram_prequential_difference_decided", labels) == decided
    sliced = {"model": "popularity", "slice": "user_21"}
    expected = result["models"]["popularity"]["slices"]["all"]["user_21"]["recall@10"]
    assert registry.get_sample_value("engram_prequential_slice_recall_ratio", sliced) == expected
    cold = result["models"]["content"]["cold"]["all"]["figures"]["recall@10"]
    labels = {"model": "content", "span": "all"}
    assert registry.get_sample_value("engram_prequential_cold_recall_ratio", labels) == cold


def test_several_lanes_have_what_adds_up(log: SqliteLog) -> None:
    for lane, (start, end) in enumerate(((0, 150), (150, EVENTS))):
        one = part(start, end)._replace(lane=lane, first_seq=0, top=None)
        write(log, TOPIC, one, summary(MODELS, end - start, lane=lane, liking_models=("taste", "content")))
    result = evaluate(log, lanes=(0, 1)).result(RUN)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    hebbian = result["models"]["hebbian"]
    assert hebbian["slices"]["last_70"] is hebbian["beyond"]["last_70"] is None
    assert hebbian["beyond"]["all"]["serendipity@10"] == pytest.approx(
        serendipity_by_definition(RANKS["hebbian"], RANKS["popularity"])
    )
    assert sum(of["ranked"] for name, of in hebbian["slices"]["all"].items() if name.startswith("user")) == (
        EVENTS - RANKS["hebbian"].count(0)
    )
    assert result["significance"]["looks"] is None
    assert result["significance"]["pairs"][0]["ranked"] == EVENTS - RANKS["hebbian"].count(0)
