"""`engram evaluate --run DIR`: the figures of a finished run once more, from its predictions topic alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import typer

from consumers.evaluator import Evaluator
from consumers.result import RunInfo
from engram.parts import open_log
from engram.settings import load_saved
from eventlog.errors import EngramError, SettingsError
from eventlog.topics import Topics

_PATIENCE_S = 10.0


class FiguresDifferError(EngramError):
    """Recomputed figures are not those of the report."""


def recompute(folder: Path) -> None:
    """Recompute the figures and say that they equal `folder`/result.json exactly.

    Raises `FiguresDifferError` that names what differs, `SettingsError` when the folder holds no finished run.
    """
    report = folder / "result.json"
    if not report.is_file():
        raise SettingsError(
            f"run is {str(folder)!r}, expected the folder of a finished run; it has no result.json"
        )
    stated = json.loads(report.read_text("utf-8"))
    settings = load_saved(folder / "settings.toml")
    settings = msgspec.structs.replace(settings, log_path=str(folder / "log.sqlite"))
    run = RunInfo(**{field.name: stated[field.name] for field in fields(RunInfo)})
    topics = Topics.with_prefix(settings.topic_prefix)
    with open_log(settings) as log, Evaluator(log, topics.predictions) as evaluator:
        read_to_the_end(evaluator)
        computed = json.loads(json.dumps(evaluator.result(run)))
    differing = list(_differences(stated, computed))
    if differing:
        shown = "\n".join(f"  {line}" for line in differing[:20])
        raise FiguresDifferError(f"{len(differing)} values differ from {report}:\n{shown}")
    typer.echo(f"{computed['events']:,} events evaluated again: every value of {report} is the same.")
    typer.echo(f"digest {computed['digest']}")


def read_to_the_end(evaluator: Evaluator, patience_s: float = _PATIENCE_S) -> None:
    """Step until the lanes have ended and nothing follows, or nothing came for `patience_s`."""
    last_event_s = time.monotonic()
    while not evaluator.done and time.monotonic() - last_event_s < patience_s:
        if evaluator.step(0.5):
            last_event_s = time.monotonic()
    # A learner that was interrupted at its very end says its summary twice; the last one counts.
    while evaluator.step(0.5):
        pass


def _differences(stated: Any, computed: Any, at: str = "") -> Iterator[str]:
    if isinstance(stated, Mapping) and isinstance(computed, Mapping):
        for key in sorted(stated.keys() | computed.keys()):
            yield from _differences(stated.get(key), computed.get(key), f"{at}.{key}" if at else key)
    elif stated != computed:
        yield f"{at}: the report has {stated!r}, recomputed {computed!r}"
