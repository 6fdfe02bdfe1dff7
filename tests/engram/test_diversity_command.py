"""`engram evaluate diversity` as a user meets it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from engram.cli import main
from engram.diversity import cost_of_diversity
from engram.lane_events import events_of
from engram.settings import Settings
from engram.source import open_stream
from eventlog.events import Kind
from online_models.recommend import Order

EVENTS = 900


def evaluate(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, expected: int | None = None
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["engram", "evaluate", "diversity", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code or 0) == (expected or 0)


def cost(models: Sequence[str], orders: Sequence[Order], every: int) -> dict[str, Any]:
    settings = Settings(dataset="synthetic", limit=EVENTS, seed=4, models=tuple(models))
    stream = open_stream(settings, None)
    return cost_of_diversity(
        settings, stream, orders, candidates=50, every=every, progress=lambda done, total: None
    )


def test_without_diversity_every_event_is_hit_as_its_rank_says() -> None:
    """Lists made before each event against the ranks of the learner, which are made inside the kernel."""
    model = cost(["hebbian"], [Order()], 1)["models"]["hebbian"]
    for span in ("all", "last_70"):
        for measure in ("recall@10", "ndcg@10", "mrr@10"):
            assert model["orders"][0][span][measure] == model["all_events"][span][measure] > 0


def test_lists_are_made_before_the_event_is_learned() -> None:
    """Popularity's lists by hand, from counts as they are before each event."""
    settings = Settings(dataset="synthetic", limit=EVENTS, seed=4, models=("popularity",))
    stream = open_stream(settings, None)
    lane = Lane(0, (0,), 1, LaneConfig(("popularity",), {}, seed=4, top_every=0))
    events = stream.block(0, EVENTS)
    hits = asked = 0
    for first in range(0, EVENTS, 3):
        columns = events.take(slice(first, first + 3))
        user = lane.rows.users.find(bytes(columns.users[0]).decode())
        item = lane.rows.items.find(bytes(columns.items[0]).decode())
        counts = np.array(lane.models["popularity"].arrays()["count"])
        histories = lane.rows.histories
        start = histories.start[user] if user >= 0 else 0
        had = histories.items[start : start + (histories.length[user] if user >= 0 else 0)].tolist()
        if item not in had or item < 0:
            asked += 1
            rows = [row for row in range(len(counts)) if row not in had]
            best = sorted(rows, key=lambda row: (-counts[row], row))[:10]
            hits += item in best
        lane.test_then_learn(events_of(columns, first, stream.source_id, Kind.RATING))
    found = cost(["popularity"], [Order()], 3)["models"]["popularity"]["orders"][0]["all"]
    assert found["lists"] == asked
    assert found["recall@10"] == hits / asked


def test_diversity_rises_as_it_is_asked_for_and_files_say_what_the_table_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["synthetic", "--limit", str(EVENTS), "--model", "hebbian", "--model", "popularity"]
    evaluate(monkeypatch, tmp_path, *arguments, "--every", "4", "--diversity", "0,.3,1", "--out", "out")
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "diversity.json").read_text())
    assert list(result["models"]) == ["hebbian", "popularity"]
    for model in result["models"].values():
        labels = [order["label"] for order in model["orders"]]
        assert labels == [
            "diversity 0",
            "diversity 0.3",
            "diversity 1",
            "diversity 0, genre coverage",
            "diversity 0, session 0.1",
            "diversity 0, session 0.3",
        ]
        diversity = [order["last_70"]["diversity@10"] for order in model["orders"][:3]]
        assert diversity == sorted(diversity)
        assert diversity[0] < diversity[2]
        covering = model["orders"][3]["last_70"]
        assert covering["genres@10"] > model["orders"][0]["last_70"]["genres@10"]
        first = model["orders"][0]["last_70"]
        assert (first["gained"], first["lost"], first["recall@10 difference"]) == (0, 0, 0.0)
        for order in model["orders"]:
            figures = order["last_70"]
            gap = figures["recall@10"] - first["recall@10"]
            assert figures["recall@10 difference"] == pytest.approx(gap, abs=1e-12)
            assert f"{figures['recall@10']:.4f}" in said
    with (tmp_path / "out" / "diversity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 6 * 2
    assert float(rows[1]["recall@10"]) == result["models"]["hebbian"]["orders"][0]["last_70"]["recall@10"]
    assert "| hebbian | diversity 0 |" in (tmp_path / "out" / "diversity.md").read_text()
    assert (tmp_path / "out" / "diversity.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("synthetic", "--diversity", "0,1.5"), "diversity is '0,1.5', expected numbers from 0 to 1"),
        (("synthetic", "--diversity", ""), "diversity is empty"),
        (("synthetic", "--session", "x"), "session is 'x', expected numbers from 0 to 1"),
        (("synthetic", "--model", "rating_mean"), "expected one that ranks"),
        (("nothing",), "dataset is 'nothing'"),
    ],
)
def test_bad_usage_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    evaluate(monkeypatch, tmp_path, *arguments, expected=2)
    assert said in capsys.readouterr().err
