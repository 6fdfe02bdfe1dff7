"""`engram compare`: every model on every stream, test then learn, in one table of quality and speed.

Each cell is `engram/inline.py` in a process of its own: the learner and the evaluator of `engram replay`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engram.children import Child, StopRequest
from engram.compare_cells import (
    Cell,
    StreamChoice,
    cell_of,
    choose_models,
    measures_on,
    parse_streams,
    peak_memory_bytes,
    rows_of,
)
from engram.compare_table import TerminalTable, explained, write_tables
from engram.figures_table import rate, ratio
from engram.inline import run_inline
from engram.options import settings_command
from engram.parts import lane_config
from engram.replay_command import INTERRUPTED, StoppedError
from engram.settings import Settings, child_environment, to_toml
from engram.source import Source, find_source, open_stream
from engram.time_range import time_range_ms
from engram.warm import warm_up_evaluator, warm_up_learner
from eventlog.ownership import Owned
from online_models.registry import MODELS

_STEP_S = 0.05
_FILE_WIDTH = 140  # of output that is no terminal
_MEASURED = "measured.json"

Datasets = Annotated[
    str,
    typer.Option(
        metavar="NAME:RATING,...",
        help="Streams: data sets by name, each with the least rating that is kept (0: all ratings).",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of the tables, and of the finished cells.")]
Jobs = Annotated[
    int,
    typer.Option(min=1, help="Cells measured at a time; with more than one, speeds are not clean."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure all cells again, finished ones too.")]
CellFolder = Annotated[Path, typer.Option("--folder")]


@settings_command(
    "data_dir", "models", "params", "limit", "from_time", "to_time", "seed", "tie_order", "ties", "clock",
    "max_users", "max_items", "top_every",
    unnamed_models=tuple(MODELS),
)  # fmt: skip
def compare(
    settings: Settings,
    datasets: Datasets,
    out: Out = Path("runs/compare"),
    jobs: Jobs = 1,
    fresh: Fresh = False,
) -> None:
    """Measure every model on every stream, test then learn, in one table: quality, speed and size of the same run.

    Without --model, all models that lack no package; popularity and decayed_popularity always. Models that only
    predict ratings are measured where all ratings are kept. Stopped with Ctrl-C, the same command goes on.
    """
    streams = parse_streams(datasets)
    models, lacking = choose_models(settings.models)
    time_range_ms(settings)
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    for name, reason in lacking.items():
        console.print(f"Left out: {name} ({reason})", markup=False, highlight=False)
    for stream in streams:
        absent = [name for name in models if not measures_on(name, stream)]
        if absent:
            reason = (
                f"Not on {stream.label}, for they predict ratings and need all of them: {', '.join(absent)}"
            )
            console.print(reason, markup=False, highlight=False)
    in_use = f"another command runs in {out}: wait for it, or name another --out"
    with Owned(out / "lock", in_use):
        try:
            cells = _make_cells(settings, streams, models, out / "cells", console)
            comparing = _Comparing(cells, out, jobs, console)
            if fresh:
                comparing.forget()
            comparing.run()
        except (StoppedError, KeyboardInterrupt):
            command = shlex.join(["engram", *(word for word in sys.argv[1:] if word != "--fresh")])
            console.print(f"\nStopped. To go on: {command}", markup=False, highlight=False)
            raise SystemExit(INTERRUPTED) from None
        rows = rows_of([(cell, cell.finished() or {}) for cell in cells])
        written = write_tables(out, rows)
    console.print(TerminalTable(rows))
    for line in (*explained(rows), *map(str, written)):
        console.print(line, markup=False, highlight=False)


def _make_cells(
    settings: Settings,
    streams: Sequence[StreamChoice],
    models: Sequence[str],
    folder: Path,
    console: Console,
) -> list[Cell]:
    """Find and read each stream, and make its cells; a malformed line ends the command before anything is measured."""
    sources: dict[str, Source] = {}
    cells = []
    for stream in streams:
        own = msgspec.structs.replace(settings, dataset=stream.dataset, min_rating=stream.min_rating)
        if stream.dataset not in sources:
            sources[stream.dataset] = find_source(own)
            said = sources[stream.dataset].description
            console.print(said, markup=False, highlight=False, style="bold")
        place = sources[stream.dataset].folder
        if place is not None:
            own = msgspec.structs.replace(own, data_dir=str(place))
        digest = open_stream(own, place).digest()
        cells += [cell_of(own, stream, name, digest, folder) for name in models if measures_on(name, stream)]
    return cells


@settings_command()
def compare_cell(settings: Settings, folder: CellFolder) -> None:
    """Measure one cell (a child of `engram compare`); end when the parent does."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    warm_up_learner(lane_config(settings), settings.partitions)
    warm_up_evaluator()
    result = run_inline(settings, folder)
    measured = {"peak_memory_bytes": peak_memory_bytes(), "result": result}
    (folder / _MEASURED).write_text(json.dumps(measured, allow_nan=False), "utf-8")


def _end_with_the_parent() -> None:
    """Wait until the pipe from the parent closes, which it does however the parent ends."""
    # Not sys.stdin, whose lock a thread that waits would hold while the program ends.
    while os.read(0, 1):
        pass
    os._exit(1)


class _Running(NamedTuple):
    cell: Cell
    child: Child
    folder: Path


class _Comparing:
    """Measures the cells that are not finished, some at a time. Whatever happens, no child is left running."""

    def __init__(self, cells: Sequence[Cell], out: Path, jobs: int, console: Console) -> None:
        self._cells = cells
        self._folder = out / "cells"
        self._jobs = jobs
        self._console = console
        self._running: list[_Running] = []
        self._folder.mkdir(parents=True, exist_ok=True)

    def forget(self) -> None:
        """Drop what is finished."""
        for cell in self._cells:
            cell.path.unlink(missing_ok=True)

    def run(self) -> None:
        """Measure. Raises `StoppedError` on SIGINT and SIGTERM, `EngramError` when a cell fails."""
        stop = StopRequest()
        for left in self._folder.glob("*.running"):
            shutil.rmtree(left)
        waiting = [cell for cell in self._cells if cell.finished() is None]
        if kept := len(self._cells) - len(waiting):
            self._say(f"{kept} of {len(self._cells)} cells are finished already")
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            task = progress.add_task("", total=len(self._cells), completed=kept)
            try:
                while waiting or self._running:
                    if stop:
                        raise StoppedError
                    while waiting and len(self._running) < self._jobs:
                        self._start(waiting.pop(0))
                    labels = "; ".join(running.cell.label for running in self._running)
                    progress.update(task, description=labels)
                    for running in [one for one in self._running if not one.child.running]:
                        running.child.check()
                        self._finish(running)
                        progress.advance(task)
                        done = len(self._cells) - len(waiting) - len(self._running)
                        self._say(
                            f"{done} of {len(self._cells)}  {running.cell.label}: {_gist(running.cell)}"
                        )
                    time.sleep(_STEP_S)
            finally:
                for running in self._running:
                    running.child.stop()
                    shutil.rmtree(running.folder, ignore_errors=True)

    def _start(self, cell: Cell) -> None:
        folder = cell.path.with_suffix(".running")
        folder.mkdir()
        config = folder / "settings.toml"
        config.write_text(to_toml(cell.settings), "utf-8")
        arguments = ["compare-cell", "--config", str(config), "--folder", str(folder)]
        log_path = cell.path.with_suffix(".log")
        child = Child(cell.label, arguments, log_path, child_environment(cell.settings))
        self._running.append(_Running(cell, child, folder))

    def _finish(self, running: _Running) -> None:
        measured: dict[str, Any] = json.loads((running.folder / _MEASURED).read_bytes())
        running.cell.keep(measured, self._jobs)
        self._running.remove(running)
        shutil.rmtree(running.folder)
        # What a finished child said is of no more use.
        running.child.log_path.unlink(missing_ok=True)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def _gist(cell: Cell) -> str:
    """Say the one figure, the speed and the time of a finished cell."""
    [row] = rows_of([(cell, cell.finished() or {})])
    figure = (
        f"Recall@10 {ratio(row['recall@10'])}" if MODELS[cell.model].ranks else f"RMSE {ratio(row['rmse'])}"
    )
    return f"{figure}, {rate(row['events_per_second'])} ev/s, {row['seconds']:.1f} s"
