"""The page of a run: what a colleague reads, that it needs no network, and the CSV files beside it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from consumers.evaluator import Evaluator
from consumers.result import RunInfo, result_schema
from engram.curves_chart import draw_curves
from engram.live_view import FinalTable
from engram.report import table_markdown, write_report
from engram.report_curves import ticks
from engram.report_page import page
from evaluation.prequential import PrequentialConfig
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_ranks, summary, write

MODELS = ("hebbian", "popularity")
EVENTS = 600
CONFIG = PrequentialConfig(windows=(20, 50), curve_interval=5)
RUN = RunInfo(
    dataset="<invented>",
    data_source="SYNTHETIC STREAM </script>, seed 3.",
    data_digest="0" * 64,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=3,
    seconds=4.0,
    settings={"pack": 256},
)
# What has no end tag.
VOID = {"meta", "path", "br"}


class Page(HTMLParser):
    """A page taken apart: its text, its tags, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(self.text)


Written = tuple[Path, dict[str, Any], dict[str, Any]]


def written(folder: Path, best: str | None) -> Written:
    """A report of 600 events; `best` never ranks a target below place 5, the other one as chance has it."""
    with SqliteLog(folder / "log.db") as log:
        log.create_topic("predictions", 1)
        ranks = random_ranks(EVENTS, 1, MODELS)
        if best is not None:
            ranks[best] = [min(rank, 5) for rank in ranks[best]]
        write(log, "predictions", block(ranks, 0, EVENTS, total=EVENTS), summary(MODELS, EVENTS))
        with Evaluator(log, "predictions", config=CONFIG) as evaluator:
            evaluator.step(0.0)
            result, curves = evaluator.result(RUN), evaluator.curves()
    write_report(folder / "run", result, curves)
    return folder / "run", result, curves


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    yield written(tmp_path_factory.mktemp("good"), "hebbian")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    yield written(tmp_path_factory.mktemp("bad"), "popularity")


def test_the_page_says_what_the_result_says(good: Written) -> None:
    folder, result, _ = good
    parsed = Page((folder / "report.html").read_text("utf-8"))
    for text in (
        "<invented>, all ratings: 600 events",
        RUN.data_source,
        result["digest"],
        "0" * 64,
        *result["versions"].values(),
        "603 accepted = 600 learned + 2 dead-lettered + 1 duplicate + 0 waiting.",
        "pack",
        "256",
        "popularity (floor)",
        "Equal times are ordered by hash; equal scores count against the model.",
    ):
        assert text in parsed.said, text
    for name in MODELS:
        for span in ("all", "last_70"):
            for value in result["models"][name][span].values():
                assert f"{value:.5f}" in parsed.said
    assert "BELOW" not in parsed.said


def test_the_page_asks_for_nothing_from_elsewhere(good: Written) -> None:
    text = (good[0] / "report.html").read_text("utf-8")
    parsed = Page(text)
    assert not [tag for tag, at in parsed.tags if {"src", "href", "srcset", "action", "data"} & at.keys()]
    assert not [tag for tag, _ in parsed.tags if tag in {"link", "iframe", "img", "object", "embed"}]
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", text)
    [policy] = [at["content"] for _, at in parsed.tags if at.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_there_is_a_line_for_each_model_measure_and_mode(good: Written) -> None:
    folder, _, curves = good
    parsed = Page((folder / "report.html").read_text("utf-8"))
    drawn = [
        at["class"] for tag, at in parsed.tags if tag == "path" and re.match(r"[wa] m\d", at["class"] or "")
    ]
    assert sorted(map(str, drawn)) == sorted(3 * ["w m0", "w m1", "a m0", "a m1"])
    script = re.search(
        r'<script type="application/json" id="curves">(.*?)</script>',
        (folder / "report.html").read_text("utf-8"),
    )
    assert script is not None
    data = json.loads(script[1])
    assert data["events"] == curves["events"]
    assert data["models"] == ["hebbian", "popularity"]
    for of, name in zip(data["curves"], data["models"], strict=True):
        assert of["a"]["recall@10"] == pytest.approx(curves["models"][name]["all"]["recall@10"], abs=1e-6)
        # The window of 50 is the widest of a tenth of the events; before it is full it says nothing.
        full = [at for at, events in enumerate(curves["events"]) if events >= 50]
        assert of["w"]["ndcg@10"][: full[0]] == [None] * full[0]
        expected = curves["models"][name]["window_50"]["ndcg@10"]
        assert of["w"]["ndcg@10"][full[0] :] == pytest.approx(expected[full[0] :], abs=1e-6)


def test_the_csv_files_have_every_figure_whole(good: Written) -> None:
    folder, result, curves = good
    table = list(csv.DictReader(io.StringIO((folder / "table.csv").read_text("utf-8"))))
    said = {(row["model"], row["span"], row["measure"]): row["value"] for row in table}
    assert len(said) == len(table)
    for name, model in result["models"].items():
        for span, figures in ({"all": model["all"], "last_70": model["last_70"]} | model["spans"]).items():
            for measure, value in figures.items():
                assert float(said[name, span, measure]) == value
        assert int(said[name, "all", "state_bytes"]) == model["state_bytes"]
    points = list(csv.DictReader(io.StringIO((folder / "curves.csv").read_text("utf-8"))))
    assert (
        len(points) == len(curves["events"]) * len(MODELS) * 6
    )  # all, two windows by events and three by time
    last = [row for row in points if (row["model"], row["span"]) == ("popularity", "window_20")][-1]
    assert int(last["events"]) == curves["events"][-1]
    assert float(last["mrr@10"]) == curves["models"]["popularity"]["window_20"]["mrr@10"][-1]


def test_speed_and_state_of_every_model_are_on_the_page_in_the_table_and_in_the_result(good: Written) -> None:
    """Of a model that only predicts ratings too."""
    _, result, curves = good
    changed = json.loads(json.dumps(result))
    for at, model in enumerate(changed["models"].values()):
        model["events_per_second"], model["state_bytes"] = 12_345.0 + at, 3_072 + 1_024 * at
    changed["models"]["popularity"] |= {"all": None, "last_70": None, "spans": {}}
    jsonschema.validate(changed, result_schema())
    table, text = table_markdown(changed), page(changed, curves)
    for name, speed, state in (("hebbian", "12,345", "3.0 KiB"), ("popularity", "12,346", "4.0 KiB")):
        row = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
        assert row.endswith(f"| {speed} | {state} |")
        [cells] = re.findall(
            rf"<tr[^>]*><td>{name}</td>(?:<td>[^<]*</td>)*<td>{speed}</td><td>{state}</td></tr>", text
        )
        assert cells


def test_a_run_below_the_floor_says_so_first(bad: Written) -> None:
    folder, result, _ = bad
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    hebbian, popularity = (result["models"][name]["last_70"]["recall@10"] for name in MODELS)
    assert result["floor"] == {
        "measure": "recall@10",
        "span": "last_70",
        "model": "hebbian",
        "value": hebbian,
        "floors": {"popularity": popularity},
        "below": ["popularity"],
    }
    warning = f"BELOW THE POPULARITY FLOOR: hebbian has Recall@10 {hebbian:.5f} over the last 70 %, popularity {popularity:.5f}"
    assert (folder / "table.md").read_text("utf-8").splitlines()[0] == f"**{warning}**"
    text = (folder / "report.html").read_text("utf-8")
    assert warning in text
    assert text.index(warning) < text.index("<h1>")
    out = io.StringIO()
    Console(file=out, width=150).print(FinalTable(result))
    assert out.getvalue().splitlines()[0] == warning


def test_a_run_above_the_floor_says_nothing_of_it(good: Written) -> None:
    folder, result, _ = good
    assert result["floor"]["below"] == []
    assert (folder / "table.md").read_text("utf-8").startswith("# <invented>")


def test_gaps_and_runs_without_events_have_a_page(good: Written) -> None:
    _, result, curves = good
    holed = json.loads(json.dumps(curves))
    for span in holed["models"]["popularity"].values():
        span["recall@10"][40:45] = [None] * 5
    Page(page(result, holed))
    nothing = {"all": {measure: [] for measure in ("recall@10", "ndcg@10", "mrr@10")}}
    empty = Page(page(result, {"events": [], "last_70_from": None, "models": dict.fromkeys(MODELS, nothing)}))
    assert "there are no curves" in empty.said


@pytest.mark.parametrize(
    ("greatest", "step", "top"),
    [
        (0.0, 0.5, 1.0),
        (0.24, 0.05, 0.25),
        (0.25, 0.05, 0.25),
        (0.251, 0.1, 0.3),
        (1.0, 0.2, 1.0),
        (7.0, 2.0, 8.0),
    ],
)
def test_axes_end_at_a_round_number(greatest: float, step: float, top: float) -> None:
    assert ticks(greatest) == pytest.approx((step, top))


def test_models_that_only_predict_ratings_have_no_curve(good: Written) -> None:
    _, result, curves = good
    mixed = json.loads(json.dumps(result))
    rated = {"rmse": 0.91234, "mae": 0.7, "auc": 0.6, "accuracy": 0.5}
    mixed["models"]["hebbian"] |= {"all": None, "last_70": None, "spans": {}, "rating": rated}
    one = curves | {"models": {"popularity": curves["models"]["popularity"]}}
    assert draw_curves(mixed, one).startswith(b"\x89PNG")
    said = Page(page(mixed, one)).said
    assert "best Recall@10, last 70 %: popularity" in said
    assert said.count("0.91234") == 2  # in the table of rating prediction, and among all figures
    assert "popularity (floor)" in said
    assert "hebbian (floor)" not in said
    del mixed["models"]["popularity"]
    none = Page(page(mixed, curves | {"models": {}})).said
    assert "best RMSE, all events: hebbian" in none
    assert "there are no curves" in none


def test_drifts_are_marked_on_every_chart_and_listed(good: Written, tmp_path: Path) -> None:
    _, result, curves = good
    events = [
        {"lane": 0, "at": 256, "model": "hebbian", "detector": "adwin", "before": 0.25, "after": 0.125},
        {"lane": 0, "at": 512, "model": "popularity", "detector": "adwin", "before": 0.0625, "after": 0.5},
    ]
    counts = [{"model": model, "detector": "adwin", "drifts": 1} for model in MODELS]
    drifted = {**result, "drift": {"counts": counts, "events": events}}
    jsonschema.validate(drifted, result_schema(), jsonschema.Draft202012Validator)
    parsed = Page(page(drifted, curves))
    marks = [at for tag, at in parsed.tags if tag == "g" and str(at.get("class")).startswith("drift")]
    assert len(marks) == 2 * 3
    assert parsed.said.count("drift of hebbian, down, at event 256") == 3
    assert parsed.said.count("drift of popularity, up, at event 512") == 3
    for text in ("0.2500", "0.1250", "0.0625", "0.5000", "hebbian 1, popularity 1"):
        assert text in parsed.said
    assert draw_curves(drifted, curves) != draw_curves(result, curves)
    # Several lanes have no common order: a table, and no marks.
    several = {**drifted, "lanes": {**result["lanes"], "1": result["lanes"]["0"]}}
    parsed = Page(page(several, curves))
    assert not [tag for tag, _ in parsed.tags if tag == "g"]
    assert "0.0625" in parsed.said
    assert "drift of" not in Page(page(result, curves)).said
