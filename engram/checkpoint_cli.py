"""`engram checkpoint list|show|verify|restore|repartition`: what checkpoints hold, going back, and more partitions."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from consumers.checkpoint import CheckpointInfo, CheckpointStore
from consumers.repartition import Lanes, check_multiple, left_behind, read_lanes, repartition
from consumers.stream import own_lane
from engram import options
from engram.deployment import RunOption, open_deployment, settings_of
from engram.figures_table import size
from engram.options import settings_command
from engram.settings import Settings
from eventlog.errors import (
    CheckpointBehindError,
    CheckpointCorruptError,
    CheckpointMismatchError,
    SettingsError,
)
from eventlog.log import Log
from eventlog.topics import Topics

app = typer.Typer(help="Checkpoints: list, show, verify, restore, repartition.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of a run, of all checkpoints, or of one owner's.")]
LearnersFolder = Annotated[Path, typer.Argument(help="Folder of a learner's checkpoints; it stays as it is.")]
Out = Annotated[Path, typer.Option("--out", help="New folder for the checkpoints.")]
Partitions = Annotated[
    int | None,
    typer.Option("--partitions", min=1, help="Give the topic so many first.", show_default="as it has"),
]
Force = Annotated[bool, typer.Option("--force", help="Also where events are left behind as dead letters.")]
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


@settings_command(*options.LOG, "merge")
def repartition_lanes(
    settings: Settings,
    folder: LearnersFolder,
    out: Out,
    run: RunOption = None,
    partitions: Partitions = None,
    force: Force = False,
) -> None:
    """Make the checkpoints for a ratings topic that has got more partitions, a multiple; stop producers and learner first.

    --merge false says of a topic of one partition that its learner was a live one; else the checkpoints tell.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"out is {str(out)!r}, expected a new folder; it exists and is not empty")
    settings = settings_of(settings, run)
    with contextlib.ExitStack() as stack:
        log, topics = stack.enter_context(open_deployment(settings))
        for lane in sorted(folder.glob("lane-*")):
            stack.enter_context(own_lane(lane))
        lanes = read_lanes(folder, merged=settings.merge)
        have = _partitions_of(log, topics, lanes)
        wanted = partitions or have
        if wanted < have:
            raise SettingsError(f"partitions is {wanted}, expected at least {have}, which the topic has")
        check_multiple(lanes, wanted)
        if left := left_behind(log, lanes, wanted):
            _tell_left_behind(lanes, left, force=force, may_learn=have == lanes.partitions)
        for topic in {topics.ratings, topics.predictions, topics.contributions} & log.topics().keys():
            log.grow_topic(topic, max(wanted, log.partition_count(topic)))
        # Under another name until it is whole: a learner would begin anew where a lane is missing.
        unfinished = out.with_name(f"{out.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for made in repartition(lanes, wanted, unfinished):
            typer.echo(
                f"lane {made.number}: {len(made.partitions)} partitions, {made.rows.known_users:,} users, "
                f"{len(made.rows.items):,} items, {made.learned:,} events learned here"
                + (f", {made.inherited:,} before" if made.inherited else "")
            )
        unfinished.replace(out)
    merge = "" if lanes.merged else " --merge false"
    typer.echo(f"Go on with: engram learn{merge} --partitions {wanted} --checkpoint-dir {out}")


app.command("repartition")(repartition_lanes)


def _partitions_of(log: Log, topics: Topics, lanes: Lanes) -> int:
    """How many partitions the topic of the lanes has.

    Raises `CheckpointMismatchError` for another deployment's, and where it is no multiple of what the lanes have.
    """
    if lanes.topic != topics.ratings:
        raise CheckpointMismatchError(
            f"the checkpoints are of {lanes.topic}, and topic_prefix names {topics.ratings}: expected the same"
        )
    have = log.partition_count(lanes.topic)
    if have != lanes.partitions:
        check_multiple(lanes, have)
    return have


def _tell_left_behind(lanes: Lanes, left: Mapping[int, int], *, force: bool, may_learn: bool) -> None:
    """Say that events would be dead letters. Raises `CheckpointBehindError` unless forced.

    may_learn: whether the learner can still learn them, as the topic has its old number of partitions.
    """
    each = ", ".join(f"{count:,} in partition {partition}" for partition, count in left.items())
    said = (
        f"{sum(left.values()):,} events of {lanes.topic} have not been learned, and belong to another partition then "
        f"({each}): they become dead letters (wrong_partition), which `engram dlq redrive --reason wrong_partition` sends "
        "to where they belong"
    )
    if force:
        typer.echo(said, err=True)
        return
    first = "let the learner reach the end of its partitions first, or " if may_learn else ""
    raise CheckpointBehindError(f"{said}: {first}go on with --force")
