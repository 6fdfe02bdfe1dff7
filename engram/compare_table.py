"""A comparison as one table: CSV, Markdown and the terminal, from the same rows."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

from engram.compare_cells import StreamChoice
from engram.compare_chart import draw_chart, write_page
from engram.figures_table import rate, ratio, size
from peers.catalogue import PEERS

CSV_FILE: Final = "compare.csv"
RUNS_FILE: Final = "compare_seeds.csv"
MARKDOWN_FILE: Final = "compare.md"
CHART_FILE: Final = "compare.png"
PAGE_FILE: Final = "compare.html"
COLUMNS: Final = (
    "model", "Recall@10", "±", "± seeds", "NDCG@10", "MRR@10", "coverage@20", "RMSE", "MAE", "AUC", "accuracy", "ev/s", "state",
)  # fmt: skip
_ONLY_WIDE: Final = ("±", "± seeds", "MRR@10", "coverage@20", "MAE", "accuracy")
_RATIOS: Final = (
    "recall@10",
    "recall@10_half",
    "seeds_half",
    "ndcg@10",
    "mrr@10",
    "coverage@20",
    "rmse",
    "mae",
    "auc",
    "accuracy",
)

_PEERS_SAY: Final = (
    "Models with a dot in their names, EASE and neurorec are peers, each in an environment of its own (peers/requirements) "
    "on the same events and candidates; we rank what they score. Their ev/s is of CPU time: Python, the peer's own calls."
)
_SEEDS_SAY: Final = (
    "What draws at random has, where ± seeds is said, the means of {seeds} seeds, the first and those that follow it; ± seeds is half of the 95 % interval of "
    "its Recall@10 (else RMSE, else AUC) over these, by Student's t. Its ± and ≈ are of each event's share of hits."
)
_SAME: Final = 0.05
_BY_SEED: Final = ("recall@10", "rmse", "auc")  # the first that a model has

Rows = Sequence[Mapping[str, Any]]


def explained(rows: Rows, command: str) -> list[str]:
    """Say how the figures were measured, a sentence or two a line. command: that measured them."""
    measured = [row for row in rows if not row["note"]]
    if not measured:
        return [f"{row['model']}: {row['note']}" for row in rows]
    jobs = max(row["jobs"] for row in measured)
    side = (
        "one at a time"
        if jobs == 1
        else f"up to {jobs} at a time, so speeds are of processes that shared the machine: compare them with "
        "--jobs 1"
    )
    first = measured[0]
    seeds = max(row.get("seeds", 1) for row in measured)
    return [
        "Recall, NDCG, MRR and coverage (protocol P): each event is ranked among all items seen so far, less the user's "
        f"own, and then learned; the last 70 % of events. Equal times are ordered by {first['tie_rule']}; equal scores "
        f"count {first['tie_ranking']} the model.",
        "RMSE, MAE, AUC and accuracy of likes (protocol R): predicted before it is learned; all events, and only of "
        "streams with all ratings.",
        f"Quality and speed are of the same run, a process for each model and stream, {side}. ev/s is of each model's "
        "kernels alone: test and learn; state is the model's own, without ids and histories, which all models share.",
        "± is half of the 95 % interval of Recall@10, users being what is independent; ≈: no "
        "significant difference from the stream's best (p >= .05, of the difference, likewise by user).",
        *([_SEEDS_SAY.format(seeds=seeds)] if seeds > 1 else []),
        *([_PEERS_SAY] if any(row["model"] in PEERS for row in rows) else []),
        *(f"Not measured: {row['model']} on {row['dataset']}: {row['note']}" for row in rows if row["note"]),
        f"Made by `{command}` on {os.cpu_count()} cores, {platform.system()} {platform.machine()}; seed {first['seed']}, engram "
        f"{first['version']}, Python {first['python']}, NumPy {first['numpy']}, Numba {first['numba']}.",
    ]


class TerminalTable:
    """The table for a terminal, with a section for each stream; a narrow console gets fewer columns."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        empty = {
            column
            for column, measure in zip(COLUMNS[1:], _RATIOS, strict=False)
            if all(_figure(row, measure) is None for row in self._rows)
        }
        columns = [column for column in COLUMNS if column not in empty]
        table = self._table(columns)
        if Measurement.get(console, options.update(max_width=1_000), table).maximum > options.max_width:
            table = self._table([column for column in columns if column not in _ONLY_WIDE])
        yield table

    def _table(self, columns: Sequence[str]) -> Table:
        shown = [COLUMNS.index(column) for column in columns]
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for stream, of_stream in _by_stream(self._rows):
            table.add_section()
            table.add_row(stream.label, style="bold")
            for row in of_stream:
                cells = _cells(row)
                table.add_row(*(cells[index] for index in shown))
        return table


def write_tables(folder: Path, rows: Rows, command: str, runs: Rows = ()) -> list[Path]:
    """Write `CSV_FILE` (full precision), `MARKDOWN_FILE`, `CHART_FILE` and `PAGE_FILE` into `folder`; return their paths.

    command: see `explained`. runs: a row a seed, for `RUNS_FILE`; without any there is no such file.
    """
    lines = [
        "| stream | " + " | ".join(COLUMNS) + " |",
        "|---|---" + "|---:" * (len(COLUMNS) - 1) + "|",
    ]
    for stream, of_stream in _by_stream(rows):
        for number, row in enumerate(of_stream):
            heading = _heading(stream, of_stream) if number == 0 else ""
            lines.append(f"| {heading} | " + " | ".join(_cells(row)) + " |")
    lines += [text for line in explained(rows, command) for text in ("", line)]
    paths = [folder / CSV_FILE, folder / MARKDOWN_FILE]
    parts = [path.with_name(path.name + ".part") for path in paths]
    _write_csv(parts[0], rows)
    parts[1].write_text("\n".join(lines) + "\n", "utf-8")
    if runs:
        paths.append(folder / RUNS_FILE)
        parts.append(folder / (RUNS_FILE + ".part"))
        _write_csv(parts[-1], runs)
    else:
        (folder / RUNS_FILE).unlink(missing_ok=True)
    for part, path in zip(parts, paths, strict=True):
        part.replace(path)
    chart = draw_chart(
        folder / CHART_FILE, [(stream.label, of_stream) for stream, of_stream in _by_stream(rows)]
    )
    page = write_page(folder / PAGE_FILE, lines, chart)
    return [*paths, chart, page]


def _write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _by_stream(rows: Rows) -> list[tuple[StreamChoice, list[Mapping[str, Any]]]]:
    streams: dict[StreamChoice, list[Mapping[str, Any]]] = {}
    for row in rows:
        stream = StreamChoice(row["dataset"], row["min_rating"] or None, row["first"] or None)
        streams.setdefault(stream, []).append(row)
    return list(streams.items())


def _heading(stream: StreamChoice, rows: Rows) -> str:
    events = next((row["events"] for row in rows if row["events"] is not None), None)
    return stream.label if events is None or stream.first else f"{stream.label}: {events:,} events"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    p = row.get("p_best")
    return (
        row["model"] + (" ≈" if p is not None and p >= _SAME else ""),
        *(ratio(_figure(row, measure)) for measure in _RATIOS),
        "not measured" if row["note"] else rate(row["events_per_second"]),
        "-" if row["state_bytes"] is None else size(row["state_bytes"]),
    )


def _figure(row: Mapping[str, Any], measure: str) -> float | None:
    if measure == "seeds_half":
        return next((half for name in _BY_SEED if (half := row.get(f"{name}_seeds_half")) is not None), None)
    if measure == "recall@10_half":
        low, high = row.get("recall@10_low"), row.get("recall@10_high")
        return None if low is None or high is None else (high - low) / 2
    value: float | None = row[measure]
    return value
