"""Beyond accuracy, slices, cold items and significance in the report, the CSV files and the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from consumers.evaluator import Evaluator
from consumers.result import RunInfo, result_schema
from engram.live_view import FinalTable
from engram.measures_table import p_value
from engram.report import write_report
from engram.report_curves import choose_time_window, duration
from engram.report_page import page
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_lists, random_ranks, summary, write
from tests.engram.test_report_page import Page

MODELS = ("decayed_popularity", "hebbian", "popularity")
EVENTS = 600
RUN = RunInfo(
    dataset="invented",
    data_source="SYNTHETIC STREAM.",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=3,
    seconds=4.0,
)
Written = tuple[Path, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """A report of 600 events of three models, the best of which is `hebbian`, and of one that ranks new items."""
    folder = tmp_path_factory.mktemp("run")
    ranks = {model: [-1] * 60 + column[60:] for model, column in random_ranks(EVENTS, 1, MODELS).items()}
    ranks["hebbian"] = [min(rank, 5) for rank in ranks["hebbian"]]
    cold = np.where(np.array(ranks["hebbian"]) == -1, 4, 0).astype(np.int32)
    with SqliteLog(folder / "log.db") as log:
        log.create_topic("predictions", 1)
        lists = random_lists(EVENTS, 2, MODELS, 7)
        one = block(ranks, 0, EVENTS, total=EVENTS, cold={"hebbian": cold}, top=lists)
        write(log, "predictions", one, summary(MODELS, EVENTS))
        with Evaluator(
            log,
            "predictions",
            config=PrequentialConfig(windows=(20, 50), time_windows_s=(60, 120, 3600), curve_interval=5),
            significance=SignificanceConfig(look_every=100, first_look=100, min_blocks=2, session_gap_s=5),
        ) as evaluator:
            evaluator.step(0.0)
            result, curves = evaluator.result(RUN), evaluator.curves()
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    write_report(folder / "run", result, curves)
    yield folder / "run", result, curves


def test_the_page_and_the_table_have_every_measure(written: Written) -> None:
    folder, result, _ = written
    said = Page((folder / "report.html").read_text("utf-8")).said
    table = (folder / "table.md").read_text("utf-8")
    for heading in ("Significance", "Beyond accuracy", "Slices", "Cold items"):
        assert heading in said
    for text in (said, table):
        for model in MODELS:
            of = result["models"][model]
            for measure in ("coverage@20", "gini@20", "novelty@20", "diversity@20", "serendipity@10"):
                assert f"{of['beyond']['last_70'][measure]:.5f}" in text
            for figures in of["slices"]["last_70"].values():
                if figures:
                    assert f"{figures['recall@10']:.5f}" in text
        assert f"{result['models']['hebbian']['cold']['last_70']['figures']['mrr@10']:.5f}" in text
    # The effect and its interval stand beside each p-value.
    assert len(result["significance"]["pairs"]) == 3
    for pair in result["significance"]["pairs"]:
        cells = (
            f"{pair['difference']:+.5f}",
            f"{pair['low']:+.5f} to {pair['high']:+.5f}",
            *(p_value(pair[p]) for p in ("p_cluster", "p_sign", "p_mcnemar")),
        )
        assert f"| {pair['model']} | {pair['baseline']} | {' | '.join(cells)} |" in table
        for cell in cells:
            assert cell in said


def test_p_values_are_never_written_as_0() -> None:
    assert [p_value(p) for p in (None, 0.0, 1e-9, 0.0001, 0.04999, 1.0)] == [
        "-",
        "<.0001",
        "<.0001",
        "0.0001",
        "0.0500",
        "1.0000",
    ]


def test_the_csv_files_have_every_figure_whole(written: Written) -> None:
    folder, result, _ = written

    def read(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((folder / name).read_text("utf-8"))))

    slices = {(row["model"], row["span"], row["slice"]): row for row in read("slices.csv")}
    pairs = {(row["model"], row["baseline"]): row for row in read("significance.csv")}
    table = {(row["model"], row["span"], row["measure"]): row["value"] for row in read("table.csv")}
    count = 0
    for name in MODELS:
        model = result["models"][name]
        for span in ("all", "last_70"):
            for one, figures in model["slices"][span].items():
                if figures:
                    count += 1
                    found = slices[name, span, one]
                    assert {measure: float(found[measure]) for measure in figures} == figures
            for measure, value in model["beyond"][span].items():
                assert float(table[name, span, measure]) == value
    assert count == len(slices)
    cold = result["models"]["hebbian"]["cold"]["all"]["figures"]
    assert {measure: float(table["hebbian", "all", f"cold_{measure}"]) for measure in cold} == cold
    for pair in result["significance"]["pairs"]:
        row = pairs[pair["model"], pair["baseline"]]
        for field, value in pair.items():
            assert row[field] == ("" if value is None else str(value))


def test_an_interval_is_drawn_for_each_pair(written: Written) -> None:
    folder, result, _ = written
    parsed = Page((folder / "report.html").read_text("utf-8"))
    drawn = [at for tag, at in parsed.tags if tag == "svg" and at.get("class") == "forest"]
    points = [at["class"] for tag, at in parsed.tags if tag == "path" and "point" in (at.get("class") or "")]
    pairs = result["significance"]["pairs"]
    assert len(drawn) == len(points) == len(pairs)
    sides = ["up" if pair["low"] > 0 else "down" if pair["high"] < 0 else "open" for pair in pairs]
    assert sorted(str(point).split()[0] for point in points) == sorted(sides)
    assert "up" in sides


def test_curves_have_a_window_of_event_time(written: Written) -> None:
    folder, result, curves = written
    assert choose_time_window(curves) == "window_2m"
    assert [duration(f"window_{name}") for name in ("2m", "1d", "45s")] == ["2 minutes", "day", "45 seconds"]
    text = page(result, curves)
    assert '<button data-mode="t" aria-pressed="false">last 2 minutes</button>' in text
    drawn = [at.get("class") for tag, at in Page(text).tags if tag == "path"]
    assert sorted(str(one) for one in drawn if str(one).startswith("t m")) == sorted(
        3 * ["t m0", "t m1", "t m2"]
    )
    assert folder.joinpath("curves.csv").read_text("utf-8").count(",window_2m,") == 3 * len(curves["events"])


@pytest.mark.parametrize("width", [80, 150])
def test_the_terminal_shows_the_champions_differences(written: Written, width: int) -> None:
    _, result, _ = written
    out = io.StringIO()
    Console(file=out, width=width).print(FinalTable(result))
    text = out.getvalue()
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    shown = text.split("Differences", 1)[1]
    for pair in result["significance"]["pairs"]:
        written_so = f"{pair['low']:+.4f} to {pair['high']:+.4f}"
        # Two floors are not compared with each other there.
        assert (written_so in shown) == (
            result["significance"]["champion"] in (pair["model"], pair["baseline"])
        )


def test_a_report_of_an_earlier_version_still_has_a_page(written: Written) -> None:
    _, result, curves = written
    old = json.loads(json.dumps(result))
    del old["significance"]
    for model in old["models"].values():
        for field in ("beyond", "slices", "cold"):
            del model[field]
    earlier = {
        **curves,
        "models": {
            name: {span: of for span, of in spans.items() if span in {"all", "window_20", "window_50"}}
            for name, spans in curves["models"].items()
        },
    }
    said = Page(page(old, earlier)).said
    assert "Significance" not in said
    assert "all events so far" in said
