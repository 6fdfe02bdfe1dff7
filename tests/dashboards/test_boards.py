"""Dashboards: what the linter says, that committed JSON is what the code makes, and that the linter sees faults."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.metrics_table import METRICS
from dashboards.boards import BOARDS
from dashboards.grafana_json import COLUMNS, board_json, committed
from dashboards.health import HEALTH
from dashboards.lint import problems
from dashboards.panels import Board, Panel, Query, Row, at, per_second
from dashboards.promql import metrics_named

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_linter_has_nothing_to_say(board: Board) -> None:
    assert list(problems(board)) == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_committed_json_is_what_the_code_makes(board: Board) -> None:
    assert committed()[board.uid] == json.loads(board_json(board)), (
        "write it again: python -m dashboards.grafana_json"
    )


def test_there_are_no_other_files() -> None:
    assert committed().keys() == {board.uid for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_what_grafana_needs_is_in_the_json(board: Board) -> None:
    said = committed()[board.uid]
    variables = {one["name"]: one for one in said["templating"]["list"]}
    assert {"datasource", "job", "instance"} <= variables.keys()
    assert variables["datasource"]["type"] == "datasource"
    panels = [panel for panel in said["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in said["panels"]}) == len(said["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references and len(set(references)) == len(references)
        assert all(target["expr"].strip() for target in panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert {one["name"] for one in said["annotations"]["list"]} >= {"Drift"}


def test_every_metric_is_on_some_board() -> None:
    shown = {
        name
        for board in BOARDS
        for panel in board.panels()
        for query in panel.queries
        for name in metrics_named(query.expr)
    }
    shown |= {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    # Precision and hit rate are Recall by another name.
    same = {"engram_prequential_precision_ratio", "engram_prequential_hr_ratio"}
    assert {metric.name for metric in METRICS} - shown - same == set()


def board_of(*queries: Query, title: str = "a", unit: str = "s") -> Board:
    panel = Panel(title=title, question="What?", unit=unit, queries=queries)
    return Board(uid="engram-x", title="x", question="X?", rows=(Row(title="r", panels=(panel,)),))


@pytest.mark.parametrize(
    ("expr", "legend", "said"),
    [
        (at("engram_unknown"), "x", "engram_unknown is not in the metrics table"),
        ("engram_events_waiting", "x", "no selector"),
        ('engram_events_waiting{job="a", instance=~"$instance"}', "x", "does not match"),
        (at("engram_events_learned_total"), "x", "not under rate"),
        (f"rate({at('engram_events_waiting')}[$__rate_interval])", "x", "the gauge engram_events_waiting"),
        (f"rate({at('engram_events_learned_total')}[5m])", "x", "is over [5m]"),
        (at("engram_events_waiting", colour="red"), "x", "has no label colour"),
        (at("engram_events_waiting", k="$cutoff"), "x", "no variable cutoff"),
        (per_second("engram_events_learned_total"), "{{model}}", "the legend names model"),
        (per_second("engram_events_learned_total"), "", "no legend"),
        (at("engram_learner_batch_seconds"), "x", "engram_learner_batch_seconds is not in the metrics table"),
    ],
)
def test_the_linter_sees_a_faulty_query(expr: str, legend: str, said: str) -> None:
    found = list(problems(board_of(Query(expr=expr, legend=legend))))
    assert any(said in problem for problem in found), found


def test_the_linter_sees_a_faulty_panel() -> None:
    fine = Query(expr=at("engram_events_waiting"), legend="x")
    assert list(problems(board_of(fine))) == []
    assert any("no unit" in one for one in problems(board_of(fine, unit="")))
    assert any("no query" in one for one in problems(board_of()))
    twice = board_of(fine)
    assert any("titles" in one for one in problems(replace(twice, rows=(*twice.rows, *twice.rows))))
    assert any("uid" in one for one in problems(replace(HEALTH, uid="other")))
