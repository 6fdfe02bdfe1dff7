"""`engram demo`: the main job with nothing to choose; `make demo` runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from engram.options import settings_command
from engram.replay_command import Quiet, run_replay
from engram.settings import Settings
from engram.source import SYNTHETIC, Source, find_source
from eventlog import local_broker
from eventlog.errors import DataMissingError

# Data set and least rating, best first. The first of them is the one to download.
_CHOICES = (("ml-1m", 4.0), ("ml-100k", None))

Out = Annotated[
    Path | None, typer.Option(help="Folder of the run.", show_default="runs/demo, or runs/demo-kafka")
]


@settings_command("log", "kafka", "data_dir", "limit", "metrics_port")
def demo(settings: Settings, out: Out = None, quiet: Quiet = False) -> None:
    """Replay MovieLens and watch it being learned; without any real data, the synthetic stream."""
    out = out or Path("runs") / ("demo-kafka" if settings.log == "kafka" else "demo")
    settings, source = choose(settings)
    with _broker(settings) as settings:
        run_replay(settings, out, source=source, quiet=quiet)
    typer.echo("\nTo rate films yourself and watch it learn, on a web page: make app (or engram app)")


def choose(settings: Settings) -> tuple[Settings, Source]:
    """Choose what to replay: what is on this machine, else a download, else the synthetic stream."""
    offers = [(name, least, False) for name, least in _CHOICES] + [(*_CHOICES[0], True)]
    for name, least, download in offers:
        chosen = msgspec.structs.replace(settings, dataset=name, min_rating=least)
        try:
            return chosen, find_source(chosen, download=download)
        except DataMissingError as error:
            missing = error
    typer.echo(f"NO REAL DATA: {missing}")
    chosen = msgspec.structs.replace(settings, dataset=SYNTHETIC)
    return chosen, find_source(chosen)


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[Settings]:
    """Give the settings a broker where they need one; one that was started here is stopped again."""
    if settings.log != "kafka" or settings.kafka is not None:
        yield settings
        return
    started = not local_broker.status().running
    broker = local_broker.up()
    try:
        yield msgspec.structs.replace(settings, kafka=broker.address)
    finally:
        if started:
            local_broker.down()
