"""The report folder, the live view and the final table of a run over a real embedded log."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from matplotlib.image import imread
from rich.console import Console

from consumers.evaluator import Evaluator
from consumers.result import RunInfo, result_schema
from engram.curves_chart import choose_window, draw_curves, spread
from engram.figures_table import rows, size
from engram.live_view import FinalTable, LiveView
from engram.report import write_report
from evaluation.prequential import PrequentialConfig
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_ranks, summary, write

MODELS = ("hebbian", "popularity")
CONFIG = PrequentialConfig(windows=(20, 50), curve_interval=5)
RUN = RunInfo(
    dataset="invented",
    data_source="SYNTHETIC STREAM, seed 3.",
    data_digest="0" * 64,
    min_rating=5.0,
    tie_rule="hash",
    tie_ranking="against",
    seed=3,
    seconds=4.0,
)


@pytest.fixture
def evaluator(tmp_path: Path) -> Iterator[Evaluator]:
    """An evaluator of 600 events, of which it has taken none yet."""
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("predictions", 1)
        ranks = random_ranks(600, 1, MODELS)
        # A model that is better than the floor, so that their order is known.
        ranks["hebbian"] = [min(rank, 5) for rank in ranks["hebbian"]]
        write(log, "predictions", block(ranks, 0, 600, total=600), summary(MODELS, 600))
        with Evaluator(log, "predictions", config=CONFIG) as evaluator:
            yield evaluator


def test_the_report_folder_is_complete(evaluator: Evaluator, tmp_path: Path) -> None:
    evaluator.step(0.0)
    result, curves = evaluator.result(RUN), evaluator.curves()
    folder = tmp_path / "runs" / "one"
    written = write_report(folder, result, curves)
    assert sorted(folder.iterdir()) == sorted(written)
    assert {path.name for path in written} == {
        "result.json",
        "curves.json",
        "curves.png",
        "table.md",
        "report.html",
        "table.csv",
        "curves.csv",
        "slices.csv",
        "significance.csv",
    }
    stored = json.loads((folder / "result.json").read_text("utf-8"))
    assert stored == result
    jsonschema.validate(stored, result_schema(), jsonschema.Draft202012Validator)
    assert json.loads((folder / "curves.json").read_text("utf-8")) == curves
    height, width, _ = imread(folder / "curves.png").shape
    assert (width, height) == (1560, 672)
    table = (folder / "table.md").read_text("utf-8")
    assert "# invented, rating ≥ 5: 600 events" in table
    assert "SYNTHETIC STREAM, seed 3." in table
    assert result["digest"] in table
    hebbian = result["models"]["hebbian"]
    figures = [f"{hebbian[s][f'{m}@10']:.5f}" for s in ("all", "last_70") for m in ("recall", "ndcg", "mrr")]
    assert f"| hebbian | {' | '.join(figures)} | 1,200 | 1,000 B |" in table  # 600 events in .5 s
    # The report can be written again over itself.
    write_report(folder, result, curves)


def test_models_are_in_order_of_recall(evaluator: Evaluator) -> None:
    evaluator.step(0.0)
    assert [cells[0] for cells in rows(evaluator.result(RUN))] == ["hebbian", "popularity"]


def test_a_run_without_events_has_a_report(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("predictions", 1)
        write(log, "predictions", summary(MODELS, 0))
        with Evaluator(log, "predictions") as evaluator:
            evaluator.step(0.0)
            assert evaluator.done
            result = evaluator.result(RUN)
            write_report(tmp_path / "report", result, evaluator.curves())
    jsonschema.validate(result, result_schema(), jsonschema.Draft202012Validator)
    assert result["models"]["hebbian"]["all"] is None
    assert "| hebbian | - | - |" in (tmp_path / "report" / "table.md").read_text("utf-8")


def test_gaps_in_curves_are_drawn_as_gaps(evaluator: Evaluator) -> None:
    evaluator.step(0.0)
    result, curves = evaluator.result(RUN), evaluator.curves()
    for span in curves["models"]["popularity"].values():
        span["recall@10"][-3:] = [None] * 3
    assert draw_curves(result, curves).startswith(b"\x89PNG")


def test_the_chart_takes_the_widest_window_that_is_a_tenth_of_the_events() -> None:
    spans: dict[str, object] = {"all": {}, "window_1000": {}, "window_10000": {}}

    def chosen(events: int) -> str | None:
        return choose_window({"events": [events], "models": {"m": spans}})

    assert chosen(100_000) == "window_10000"
    assert chosen(99_999) == "window_1000"
    assert chosen(50) == "window_1000"
    assert choose_window({"events": [], "models": {}}) is None


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    placed = spread([0.50, 0.10, 0.51, 0.505], 0.05)
    order = [0.10, 0.50, 0.505, 0.51]
    moved = [placed[[0.50, 0.10, 0.51, 0.505].index(height)] for height in order]
    assert moved == sorted(moved)
    assert placed[1] == 0.10
    gaps = [after - before for before, after in itertools.pairwise(moved[1:])]
    assert min(gaps) == pytest.approx(0.05, abs=1e-3)
    assert sum(moved[1:]) / 3 == pytest.approx(0.505, abs=1e-3)


def test_sizes_are_written_in_binary_units() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 << 20, 3 << 30, 2 << 40)] == [
        "0 B",
        "1,023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
        "2,048.0 GiB",
    ]


def test_without_a_terminal_the_live_view_writes_plain_lines(evaluator: Evaluator) -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=False)
    with LiveView(evaluator, heading="[ml] run", console=console, plain_interval_s=0.0) as view:
        view.update()
        evaluator.step(0.0)
        view.update()
    heading, before, after = out.getvalue().splitlines()
    assert heading == "[ml] run"
    assert before.startswith("0 events, ")
    assert after.startswith("600 of 600 (100%) events, ")
    figures = evaluator.figures()["hebbian"]["window_20"]
    assert figures is not None
    assert f"Recall@10 of the last 20: hebbian {figures['recall@10']:.5f}, popularity " in after
    assert "\x1b" not in out.getvalue()


def test_in_a_terminal_the_live_view_shows_progress_and_models(evaluator: Evaluator) -> None:
    out = io.StringIO()
    console = Console(file=out, width=140, force_terminal=True, color_system=None)
    with LiveView(evaluator, heading="a run", console=console) as view:
        view.update(now=True)
        evaluator.step(0.0)
    shown = out.getvalue()
    assert "a run" in shown
    assert "600 events" in shown
    assert "100%" in shown
    for name in (*MODELS, "last 20", "last 70 %"):
        assert name in shown


def test_the_live_view_leaves_the_terminal_alone_after_an_error(evaluator: Evaluator) -> None:
    out = io.StringIO()
    console = Console(file=out, width=140, force_terminal=True)
    view = LiveView(evaluator, heading="a run", console=console)
    with pytest.raises(KeyboardInterrupt), view:
        raise KeyboardInterrupt
    assert out.getvalue().endswith("\x1b[?25h")  # the cursor is visible again


@pytest.mark.parametrize(("width", "columns"), [(150, 6), (80, 3)])
def test_the_final_table_fits_the_console(evaluator: Evaluator, width: int, columns: int) -> None:
    evaluator.step(0.0)
    out = io.StringIO()
    Console(file=out, width=width).print(FinalTable(evaluator.result(RUN)))
    text = out.getvalue()
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.count("@10") == columns


def test_the_final_table_has_every_model(evaluator: Evaluator) -> None:
    evaluator.step(0.0)
    out = io.StringIO()
    Console(file=out, width=150).print(FinalTable(evaluator.result(RUN)))
    for text in (*MODELS, "600 events", "1,200", "2.0 KiB"):
        assert text in out.getvalue()
