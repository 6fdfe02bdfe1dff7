"""Measure what a comparison still lacks, each cell in a process of its own, some at a time."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engram.children import Child, StopRequest
from engram.compare_cells import Cell
from engram.compare_rows import rows_of
from engram.figures_table import rate, ratio
from engram.replay_command import StoppedError
from engram.settings import Settings, child_environment, to_toml

MEASURED_FILE: Final = "measured.json"
RANKS_FILE: Final = "ranks.npz"
_STEP_S: Final = 0.05


class Job(Protocol):
    """A cell, or a step of a suite."""

    @property
    def label(self) -> str:
        """How progress calls it."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def ranks_path(self) -> Path:
        """Where its ranks are kept, if it has any."""

    @property
    def settings(self) -> Settings:
        """Of its child."""

    @property
    def arguments(self) -> list[str]:
        """What its child is told, beside settings and folder."""

    def finished(self) -> dict[str, Any] | None:
        """What is kept of it, None where nothing fits."""

    def keep(self, measured: Mapping[str, Any], jobs: int) -> None:
        """Keep what was measured."""


class _Running(NamedTuple):
    job: Job
    child: Child
    folder: Path


class Comparing:
    """Measures the cells that are not finished, some at a time. Whatever happens, no child is left running."""

    def __init__(self, cells: Sequence[Job], out: Path, jobs: int, console: Console) -> None:
        self._cells = cells
        self._folders = tuple(dict.fromkeys([out / "cells", *(cell.path.parent for cell in cells)]))
        self._jobs = jobs
        self._console = console
        self._running: list[_Running] = []
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)

    def forget(self) -> None:
        """Drop what is finished."""
        for cell in self._cells:
            cell.path.unlink(missing_ok=True)

    def run(self) -> None:
        """Measure. Raises `StoppedError` on SIGINT and SIGTERM, `EngramError` when a cell fails."""
        stop = StopRequest()
        for left in (left for folder in self._folders for left in folder.glob("*.running")):
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
                    labels = "; ".join(running.job.label for running in self._running)
                    progress.update(task, description=labels)
                    for running in [one for one in self._running if not one.child.running]:
                        running.child.check()
                        self._finish(running)
                        progress.advance(task)
                        done = len(self._cells) - len(waiting) - len(self._running)
                        self._say(f"{done} of {len(self._cells)}  {running.job.label}: {_gist(running.job)}")
                    time.sleep(_STEP_S)
            finally:
                for running in self._running:
                    running.child.stop()
                    shutil.rmtree(running.folder, ignore_errors=True)

    def _start(self, job: Job) -> None:
        folder = job.path.with_suffix(".running")
        folder.mkdir(parents=True)
        config = folder / "settings.toml"
        config.write_text(to_toml(job.settings), "utf-8")
        [command, *rest] = job.arguments
        arguments = [command, "--config", str(config), "--folder", str(folder), *rest]
        log_path = job.path.with_suffix(".log")
        child = Child(job.label, arguments, log_path, child_environment(job.settings))
        self._running.append(_Running(job, child, folder))

    def _finish(self, running: _Running) -> None:
        measured: dict[str, Any] = json.loads((running.folder / MEASURED_FILE).read_bytes())
        ranks = running.folder / RANKS_FILE
        if ranks.is_file():
            ranks.replace(running.job.ranks_path)
        running.job.keep(measured, self._jobs)
        self._running.remove(running)
        shutil.rmtree(running.folder)
        # What a finished child said is of no more use.
        running.child.log_path.unlink(missing_ok=True)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def _gist(job: Job) -> str:
    """Say the one figure, the speed and the time of a finished cell."""
    kept = job.finished() or {}
    if not isinstance(job, Cell):
        return f"{kept['seconds']:.1f} s"
    [row] = rows_of([(job, kept)])
    if row["note"]:
        return str(row["note"])
    figures = [
        f"{name} {ratio(row[key])}"
        for name, key in (("Recall@10", "recall@10"), ("RMSE", "rmse"), ("AUC", "auc"))
        if row[key] is not None
    ]
    return f"{figures[0] if figures else 'nothing counted'}, {rate(row['events_per_second'])} ev/s, {row['seconds']:.1f} s"


def end_with_the_parent() -> None:
    """Wait until the pipe from the parent closes, which it does however the parent ends."""
    # Not sys.stdin, whose lock a thread that waits would hold while the program ends.
    while os.read(0, 1):
        pass
    os._exit(1)
