"""The steps of a suite: experiments that are no cells, each in a process of its own, and their tables."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from consumers.versions import versions
from engram.compare_cells import peak_memory_bytes, read_kept, write_kept
from engram.compare_peers import parse_interpreters
from engram.compare_run import MEASURED_FILE, end_with_the_parent
from engram.figures_table import size
from engram.options import settings_command
from engram.settings import Settings
from engram.source_systems.registry import EXPERIMENTS, Asked, runner
from engram.source_systems.tables import ResultTable, as_json, markdown_of, of_json
from eventlog.errors import DataMissingError, SettingsError
from peers.catalogue import ENVIRONMENTS
from peers.install import interpreter, why_not

StepName = Annotated[str, typer.Option("--step")]
StepFolder = Annotated[Path, typer.Option("--folder")]
Pythons = Annotated[list[str] | None, typer.Option("--peer-python")]
Small = Annotated[bool, typer.Option("--small")]


class Step(NamedTuple):
    """An experiment: a `Job` of `compare_run`. pythons: texts ENVIRONMENT=PATH."""

    name: str
    settings: Settings
    identity: dict[str, Any]
    path: Path
    pythons: tuple[str, ...]

    @property
    def label(self) -> str:
        """How progress calls it."""
        return f"{self.name}: {EXPERIMENTS[self.name].about}"

    @property
    def ranks_path(self) -> Path:
        """It has no ranks; nothing is ever kept there."""
        return self.path.with_suffix(".ranks.npz")

    @property
    def arguments(self) -> list[str]:
        """See `Job`."""
        named = [word for text in self.pythons for word in ("--peer-python", text)]
        return ["compare-step", "--step", self.name, *named]

    def finished(self) -> dict[str, Any] | None:
        """See `Job`."""
        return read_kept(self.path, self.identity)

    def keep(self, measured: Mapping[str, Any], jobs: int) -> None:
        """See `Job`."""
        write_kept(self.path, self.identity, measured, jobs)


def choose_steps(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names. Raises `SettingsError` for one that is no experiment."""
    for name in names:
        if name not in EXPERIMENTS:
            raise SettingsError(f"step is {name!r}, expected one of {', '.join(EXPERIMENTS)}")
    return tuple(names)


def steps_of(
    names: Sequence[str], settings: Settings, peers_dir: Path, named: list[str], folder: Path
) -> list[Step]:
    """Make the steps. Raises `DataMissingError` where a data set's folder is not in the data folder."""
    interpreters = parse_interpreters(peers_dir, named)
    pythons = {name: str(path) for name, path in interpreters.named.items()}
    for name in ENVIRONMENTS:
        if name not in pythons and not why_not(peers_dir, name):
            pythons[name] = str(interpreter(peers_dir, name).absolute())
    texts = tuple(f"{name}={path}" for name, path in pythons.items())
    return [
        Step(name, settings, _identity(name, settings, sorted(pythons)), folder / f"{name}.json", texts)
        for name in names
    ]


def _identity(name: str, settings: Settings, environments: list[str]) -> dict[str, Any]:
    of = EXPERIMENTS[name]
    return {
        "step": name,
        "version": of.version,
        "seed": settings.seed,
        "data": {folder: _digest(settings, folder) for folder in of.datasets},
        "environments": environments if name == "leave-one-out" else [],
        "versions": versions(),
    }


def _digest(settings: Settings, dataset: str) -> str:
    """sha256 of a data set's files, by name."""
    folder = Path(settings.data_dir or "") / dataset
    if not settings.data_dir or not folder.is_dir():
        raise DataMissingError(
            f"the experiments need {dataset} in the data folder, and {folder} is none: expected --data-dir or ENGRAM_DATA_DIR"
        )
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        total.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


@settings_command()
def compare_step(
    settings: Settings, step: StepName, folder: StepFolder, peer_python: Pythons = None, small: Small = False
) -> None:
    """Run one experiment (a child of `engram compare`); end when the parent does."""
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    started, cpu = time.monotonic(), _cpu_seconds()
    pythons = dict(text.split("=", 1) for text in peer_python or ())
    tables = runner(step)(Asked(settings, folder, pythons, small))
    measured = {
        "tables": [as_json(table) for table in tables],
        "seconds": time.monotonic() - started,
        "cpu_seconds": _cpu_seconds() - cpu,
        "peak_memory_bytes": peak_memory_bytes(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    (folder / MEASURED_FILE).write_text(json.dumps(measured, allow_nan=False), "utf-8")


def _cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended: peers."""
    of = os.times()
    return of.user + of.system + of.children_user + of.children_system


def write_step(folder: Path, step: Step, command: str) -> list[Path]:
    """Write a finished step: STEP.md with all of its tables, and a CSV file each; return their paths.

    command: that made it.
    """
    kept = step.finished()
    if kept is None:
        return []
    tables = [of_json(table) for table in kept["tables"]]
    paths = [_write_csv(folder / f"{table.name}.csv", table, step) for table in tables]
    about = kept["identity"]["versions"]
    about_step = EXPERIMENTS[step.name].about
    lines = [f"# {about_step[0].upper()}{about_step[1:]}", ""]
    for table in tables:
        lines += [*markdown_of(table), ""]
    lines.append(
        f"Made by `{command}` ({kept['seconds']:.0f} s, {kept['cpu_seconds']:.0f} s of CPU "
        f"time, {size(kept['peak_memory_bytes'])} at most; seed {step.settings.seed}, engram {about['engram-stream']}, Python "
        f"{about['python']}, NumPy {about['numpy']}, {kept['machine']})."
    )
    path = folder / f"{step.name}.md"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return [*paths, path]


def _write_csv(path: Path, table: ResultTable, step: Step) -> Path:
    """Write the rows as they are; each says its seed, data digest and version."""
    same = {
        "seed": step.settings.seed,
        "data_digest": " ".join(digest[:16] for digest in step.identity["data"].values()),
        "version": step.identity["versions"]["engram-stream"],
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*(table.rows[0] if table.rows else ()), *same], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **same} for row in table.rows)
    return path
