"""`engram report`: the page of a finished run, written again from its result.json and curves.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from eventlog.errors import SettingsError

Folder = Annotated[Path, typer.Argument(help="Folder of a finished run.")]


def report(folder: Folder) -> None:
    """Write report.html, one self-contained page of a run, with table.csv and curves.csv beside it."""
    from engram.report_page import write_page  # here, for services need no plotting

    result, curves = _read(folder / "result.json"), _read(folder / "curves.json")
    for path in write_page(folder, result, curves):
        typer.echo(path)


def _read(path: Path) -> dict[str, Any]:
    """Read one file of a report. Raises `SettingsError` when it is absent or no JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SettingsError(
            f"folder is {str(path.parent)!r}, expected that of a finished run; it has no {path.name}"
        ) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is no file of a report: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is no file of a report: expected a JSON object")
    return content
