"""The deployment that a tool looks at: a run's folder, or a log and a topic prefix. Looking creates nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from engram.parts import open_log, topics_of
from engram.settings import Settings, load_saved
from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.topics import Topics

RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="Folder of a run: its log and its topics; else those that the flags name."),
]


def settings_of(settings: Settings, run: Path | None) -> Settings:
    """Give the settings of the run in `run`, or `settings` where it is None.

    Raises `SettingsError` when the folder holds no run.
    """
    if run is None:
        return settings
    file = run / "settings.toml"
    if not file.is_file():
        raise SettingsError(f"run is {str(run)!r}, expected the folder of a run; it has no settings.toml")
    # The folder may have been moved since.
    return msgspec.structs.replace(load_saved(file), log_path=str(run / "log.sqlite"))


@contextlib.contextmanager
def open_deployment(settings: Settings) -> Iterator[tuple[Log, Topics]]:
    """Open the log that is there. Raises `SettingsError` when the embedded log's file does not exist."""
    if settings.log == "embedded" and not Path(settings.log_path).is_file():
        raise SettingsError(
            f"log_path is {settings.log_path!r}, expected the file of a log; there is none: give --run DIR, "
            "--log-path FILE, or --log kafka --bootstrap HOST:PORT"
        )
    with open_log(settings) as log:
        yield log, topics_of(settings)
