"""Runs of models that predict ratings, from the data set to the report, and the scale that they are given."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from consumers.evaluator import Evaluator
from consumers.result import result_schema
from engram.inline import run_inline
from engram.live_view import LiveView
from engram.settings import Settings
from engram.source import open_stream, rating_limits, rating_scale
from evaluation.rating import BINS
from eventlog.errors import SettingsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, write
from tests.oracles.rating_oracle import Rated, rating_figures_by_definition

LIMIT = 2_000


def engram(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
    return subprocess.run(
        [sys.executable, "-m", "engram", *arguments],
        cwd=cwd,
        env=environment | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_running_mean_from_the_data_set_to_the_result(tmp_path: Path) -> None:
    settings = Settings(dataset="synthetic", limit=LIMIT, seed=5, models=("rating_mean",))
    result = run_inline(settings, tmp_path)
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    stream = open_stream(settings, None).block(0, LIMIT)
    seen: set[tuple[bytes, bytes]] = set()
    given: list[float] = []
    events: list[Rated] = []
    for user, item, rating in zip(
        stream.users.tolist(), stream.items.tolist(), stream.ratings.tolist(), strict=True
    ):
        first = (user, item) not in seen
        seen.add((user, item))
        mean = sum(given) / len(given) if given else 3.0
        events.append(Rated(rating, mean if first else float("nan")))
        if first:
            given.append(rating)
    assert len(given) < LIMIT
    found = result["models"]["rating_mean"]
    assert found["rating"] == pytest.approx(rating_figures_by_definition(events, (1.0, 5.0), BINS))
    last_70 = rating_figures_by_definition(events[LIMIT * 3 // 10 :], (1.0, 5.0), BINS)
    assert found["rating_last_70"] == pytest.approx(last_70)
    assert result["settings"]["rating_scale"] == [1.0, 5.0]


def test_batches_packs_and_partitions_change_nothing(tmp_path: Path) -> None:
    models = ("rating_means", "popularity", "river_biased_mf")
    results = [
        run_inline(
            Settings(dataset="synthetic", limit=LIMIT, models=models, **ways),
            tmp_path / str(number),
        )
        for number, ways in enumerate(
            ({}, {"batch_size": 7, "pack": 16}, {"partitions": 4}, {"partitions": 4, "pack": 1})
        )
    ]
    assert len({result["digest"] for result in results}) == 1
    assert all(result["models"]["river_biased_mf"]["rating"] for result in results)


def test_a_replay_of_models_that_only_rate_works_to_the_report(tmp_path: Path) -> None:
    arguments = ("synthetic", "--limit", str(LIMIT), "--model", "rating_means", "--model", "river_biased_mf")
    run = engram("replay", *arguments, "--out", "run", "--rating-max", "4", cwd=tmp_path)
    assert run.returncode == 0, run.stderr + run.stdout
    assert "Rating prediction" in run.stdout
    folder = tmp_path / "run"
    result = json.loads((folder / "result.json").read_text("utf-8"))
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    # Five stars are off the scale that was asked for, in the learner's process too.
    fives = int(np.count_nonzero(open_stream(settings(), None).block(0, LIMIT).ratings == 5.0))
    assert fives > 0
    assert result["accounting"]["dead_lettered"] == fives
    assert result["settings"]["rating_scale"] == [1.0, 4.0]
    for model in ("rating_means", "river_biased_mf"):
        assert result["models"][model]["rating"]["rmse"] > 0
        assert result["models"][model]["all"] is None
        assert f"| {model} | {result['models'][model]['rating']['rmse']:.5f} |" in (
            folder / "table.md"
        ).read_text("utf-8")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert engram("evaluate", "--run", "run", cwd=tmp_path).returncode == 0


def settings(**values: Any) -> Settings:
    return Settings(**{"dataset": "synthetic", "limit": LIMIT, **values})


@pytest.mark.parametrize("terminal", [True, False])
def test_the_live_view_of_models_that_only_rate(tmp_path: Path, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=terminal, color_system=None)
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("predictions", 1)
        write(log, "predictions", block({}, 0, 50, total=100, predicted={"mean": np.full(50, 3.0)}))
        with (
            Evaluator(log, "predictions") as evaluator,
            LiveView(evaluator, heading="a run", console=console, plain_interval_s=0.0) as view,
        ):
            evaluator.step(0.0)
            view.update(now=True)
    assert "50" in out.getvalue()


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ({}, (1.0, 5.0)),
        ({"dataset": "ml-100k"}, (1.0, 5.0)),
        ({"dataset": "ml-latest-small"}, (0.5, 5.0)),
        ({"dataset": "ml-latest-small", "rating_min": 0.0}, (0.0, 5.0)),
        ({"dataset": "ml-100k", "rating_max": 10.0}, (1.0, 10.0)),
        ({"dataset": None}, (0.0, 10.0)),
        ({"dataset": None, "rating_min": -1.0, "rating_max": 1.0}, (-1.0, 1.0)),
    ],
)
def test_the_scale_is_that_of_the_data_set_where_none_is_set(
    values: dict[str, Any], scale: tuple[float, float]
) -> None:
    assert rating_scale(settings(**values)) == scale
    limits = rating_limits(settings(**values, max_future_s=7.0))
    assert (limits.rating_min, limits.rating_max, limits.max_future_s) == (*scale, 7.0)


def test_a_bound_beyond_the_data_sets_own_is_named() -> None:
    with pytest.raises(SettingsError, match="rating_max is 1, expected more than rating_min, 1"):
        rating_scale(settings(rating_max=1.0))
