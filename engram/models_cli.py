"""`engram models list|promote|rollback`: versions of batch models in the registry, and which one is to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engram import options
from engram.options import settings_command
from engram.parts import open_log
from engram.settings import Settings
from eventlog.artefact import digest_of
from eventlog.errors import ArtefactError
from eventlog.model_records import PARTITION, Announced, to_record
from eventlog.model_registry import ModelRegistry
from eventlog.topics import Topics

app = typer.Typer(help="Batch models: list, promote, roll back.", no_args_is_help=True)
_WIDTH = 120

Name = Annotated[str, typer.Argument(help="Name of the batch model.", show_default=False)]
VersionNumber = Annotated[int, typer.Argument(min=1, help="Number of the version.", show_default=False)]


@app.command("list")
@settings_command("registry")
def list_models(settings: Settings) -> None:
    """List models and versions: what each was trained on, whether it verifies, and which is the champion."""
    registry = ModelRegistry(settings.registry)
    table = Table(
        "model", "version", "champion", "events", "items", "factors", "digest", "created", "problem"
    )
    for name in registry.names():
        champion = registry.champion(name)
        for version in registry.versions(name):
            cells = [name, str(version), "*" if champion and champion.version == version else ""]
            try:
                artefact = registry.load(name, version)
            except ArtefactError as error:
                table.add_row(*cells, "", "", "", "", "", f"{error.reason}: {error}")
                continue
            manifest = artefact.manifest
            table.add_row(
                *cells,
                f"{manifest.events:,}",
                f"{len(manifest.item_ids):,}",
                str(artefact.factors),
                digest_of(manifest)[:12],
                manifest.created,
                "",
            )
    console = Console(soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    console.print(table)


@app.command()
@settings_command(*options.LOG, "registry")
def promote(settings: Settings, name: Name, version: VersionNumber) -> None:
    """Make a version the champion, and announce it, so that learners on the log adopt it now."""
    registry = ModelRegistry(settings.registry)
    registry.load(name, version)  # verified whole before anybody is told
    registry.promote(name, version)
    _announce(settings, registry, name, version, "promoted by hand")


@app.command()
@settings_command(*options.LOG, "registry")
def rollback(settings: Settings, name: Name) -> None:
    """Go back to the champion before this one, and announce it."""
    registry = ModelRegistry(settings.registry)
    version = registry.rollback(name).version
    _announce(settings, registry, name, version, "rolled back by hand")


def _announce(settings: Settings, registry: ModelRegistry, name: str, version: int, trigger: str) -> None:
    """Tell the learners, where there is a log with a topic for it."""
    typer.echo(f"{name}: champion is version {version}")
    topic = Topics.with_prefix(settings.topic_prefix).models
    if settings.log == "embedded" and not Path(settings.log_path).exists():
        return
    manifest = registry.manifest(name, version)
    said = Announced(
        name=name, version=version, digest=digest_of(manifest), events=manifest.events, trigger=trigger
    )
    with open_log(settings) as log:
        if topic not in log.topics():
            return
        with log.writer() as writer:
            writer.append(topic, PARTITION, [to_record(said)])
            writer.flush()
    typer.echo(f"announced on {topic}")
