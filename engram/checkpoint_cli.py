"""`engram checkpoint list|show|verify|restore`: what the checkpoints in a folder hold, and going back to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.checkpoint import CheckpointInfo, CheckpointStore
from engram.figures_table import size
from eventlog.errors import CheckpointCorruptError, SettingsError

app = typer.Typer(help="Checkpoints: list, show, verify, restore.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of a run, of all checkpoints, or of one owner's.")]
Version = Annotated[int | None, typer.Option("--version", help="Version to show.", show_default="the newest")]


def _stores(folder: Path) -> list[CheckpointStore]:
    """Every checkpoint store at or below `folder`. Raises `SettingsError` when there is none."""
    found = sorted({manifest.parent for manifest in folder.rglob("manifest-*.json")})
    if not found:
        raise SettingsError(f"folder is {str(folder)!r}, expected one with checkpoints; there are none")
    return [CheckpointStore(directory) for directory in found]


def _events(info: CheckpointInfo) -> str:
    """How many events a checkpoint stands for; the learner keeps one lane in each, the evaluator several."""
    if lane := info.meta.get("lane"):
        return f"{lane['learned']:,}"
    return f"{sum(lane['events'] for lane in info.meta.get('lanes', {}).values()):,}"


@app.command("list")
def list_command(folder: Folder) -> None:
    """List the checkpoints below a folder, oldest first."""
    table = Table("folder", "version", "events", "size", "whole")
    for store in _stores(folder):
        for info in store.describe():
            whole = "yes" if info.problem is None else "[red]NO[/red]"
            table.add_row(
                str(store.directory), str(info.version), _events(info), size(info.total_bytes), whole
            )
    Console().print(table)


@app.command()
def show(folder: Folder, version: Version = None) -> None:
    """Show what a checkpoint holds: positions, configuration, and each array."""
    console = Console()
    for store in _stores(folder):
        chosen = version if version is not None else store.versions()[-1]
        if chosen not in store.versions():
            raise SettingsError(
                f"version is {chosen}, expected one of {store.versions()} ({store.directory})"
            )
        checkpoint = store.load_version(chosen)
        console.print(f"[bold]{store.directory}[/bold], version {chosen}")
        console.print_json(json.dumps(checkpoint.meta))
        table = Table("array", "type", "shape", "size")
        for name, array in sorted(checkpoint.arrays.items()):
            table.add_row(name, str(array.dtype), str(array.shape), size(array.nbytes))
        console.print(table)


@app.command()
def verify(folder: Folder) -> None:
    """Read every checkpoint below a folder and compare each byte with its hash; exit code 1 if any differs."""
    good = 0
    problems = []
    for store in _stores(folder):
        for info in store.describe():
            if info.problem is None:
                good += 1
            else:
                problems.append(f"{store.directory}, version {info.version}: {info.problem}")
    if problems:
        raise CheckpointCorruptError("\n".join([f"{len(problems)} checkpoints are not whole", *problems]))
    typer.echo(f"{good} checkpoints are whole.")


@app.command()
def restore(
    folder: Folder, version: Annotated[int, typer.Argument(help="Version to go back to.", min=1)]
) -> None:
    """Make an older checkpoint the newest, keeping the others; stop its learner or evaluator first.

    It is verified, then stored again under the next version. The learner goes on from there: what it had published
    after that checkpoint it publishes again, with the same identities, and readers drop what they have had.
    """
    stores = _stores(folder)
    if len(stores) > 1:
        names = ", ".join(str(store.directory) for store in stores)
        raise SettingsError(
            f"folder is {str(folder)!r}, which has {len(stores)} owners, expected one of {names}"
        )
    [store] = stores
    if version not in store.versions():
        raise SettingsError(f"version is {version}, expected one of {store.versions()} ({store.directory})")
    newest = store.restore(version)
    typer.echo(
        f"{store.directory}: version {version} is whole, and is now the newest, as version {newest}. What was "
        "published after it is published again; readers drop it."
    )
