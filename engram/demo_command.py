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
from online_models.batch import Batch
from online_models.blend_batch import BlendBatch
from online_models.registry import DEFAULT_MODELS

# Data set and least rating, best first. The first of them is the one to download.
_CHOICES = (("ml-1m", 4.0), ("ml-100k", None))
# The event before which the batch model that was trained on all before it is adopted: once, for 2 x 300,000 are more events
# than there are.
_RETRAINED_AT = {"ml-1m": 300_000, "ml-100k": 60_000, SYNTHETIC: 60_000}

Light = Annotated[bool, typer.Option("--light", help="Learn online alone: no batch model is trained.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the run.", show_default="runs/demo, or runs/demo-kafka")
]


@settings_command("log", "kafka", "data_dir", "limit", "metrics_port")
def demo(settings: Settings, out: Out = None, quiet: Quiet = False, light: Light = False) -> None:
    """Replay MovieLens, with one retraining; without any real data, the synthetic stream."""
    out = out or Path("runs") / ("demo-kafka" if settings.log == "kafka" else "demo")
    settings, source = choose(settings)
    if not light:
        settings = with_retraining(settings)
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


def with_retraining(settings: Settings) -> Settings:
    """Let a batch model be trained once on the log so far, and adopted by the running learner.

    With a limit, after three fifths of the events that it leaves, if that comes first.
    """
    at = _RETRAINED_AT[settings.dataset or SYNTHETIC]
    if settings.limit is not None:
        at = max(1, min(at, settings.limit * 3 // 5))
    models = settings.models or DEFAULT_MODELS
    added = tuple(name for name in (Batch.name, BlendBatch.name) if name not in models)
    return msgspec.structs.replace(settings, models=(*models, *added), retrain_every=at)


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
