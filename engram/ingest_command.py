"""`engram ingest`: JSON lines from a file or standard input into the ratings topic."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from engram import options
from engram.children import StopRequest
from engram.options import settings_command
from engram.parts import create_topics, open_log
from engram.settings import Settings
from engram.source import rating_limits
from eventlog.deadletter import DeadLetter
from eventlog.errors import SettingsError
from eventlog.topics import Topics
from producers.ingest import Acknowledged, Ingest
from producers.line_reader import read_lines

_LIMITS = ("rating_min", "rating_max", "max_future_s", "max_message_bytes")
_SHOWN_BYTES = 160

File = Annotated[
    Path | None, typer.Argument(help="File of JSON lines; standard input without one, or for -.")
]
SourceId = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Who numbers the lines: with the same name and the same lines again, it goes on where it was stopped. "
        "[default: of the file's name, place and first line; for standard input a new one each time]",
        show_default=False,
    ),
]


@settings_command(*options.LOG, "partitions", *_LIMITS)
def ingest(settings: Settings, file: File = None, source: SourceId = None) -> None:
    """Write JSON lines into the ratings topic; bad ones go to the dead letters and are reported."""
    stop = StopRequest()
    topics = Topics.with_prefix(settings.topic_prefix)
    limits = rating_limits(settings)
    if str(file) == "-":
        file = None
    name = source
    if name is None:
        name = _name_of(file) if file else f"stdin-{uuid.uuid4().hex[:12]}"
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(file.open("rb")) if file else sys.stdin.buffer
        except OSError as error:
            raise SettingsError(f"file is {str(file)!r}, expected JSON lines: {error.strerror}") from None
        log = stack.enter_context(open_log(settings))
        create_topics(log, topics, settings.partitions)
        writing = Ingest(log, topics, name, limits, on_acknowledged=_acknowledged, on_rejected=_rejected)
        report = writing.run(_until(stop, read_lines(stream.fileno())))
    typer.echo(
        f"{name}: {report.read:,} lines read, {report.accepted:,} accepted, {report.rejected:,} rejected, "
        f"{report.skipped:,} in the log already"
    )


def _name_of(file: Path) -> str:
    """Name a file by its name, place and first line: tomorrow's file of the same name is another source."""
    try:
        with file.open("rb") as lines:
            first = lines.readline(1 << 16)
    except OSError as error:
        raise SettingsError(f"file is {str(file)!r}, expected JSON lines: {error.strerror}") from None
    place = hashlib.sha256(str(file.resolve()).encode() + b"\n" + first).hexdigest()
    return f"{file.name}:{place[:12]}"


def _until(stop: StopRequest, lines: Iterator[bytes | None]) -> Iterator[bytes | None]:
    for line in lines:
        if stop:
            return
        yield line


def _acknowledged(batch: Acknowledged) -> None:
    places = ", ".join(
        f"ratings[{partition}] up to offset {offset:,}"
        for partition, offset in sorted(batch.positions.items())
    )
    typer.echo(f"acknowledged {batch.events:,} events, {places}")


def _rejected(letter: DeadLetter) -> None:
    """Editors count lines from 1."""
    shown = letter.payload[:_SHOWN_BYTES].decode(errors="backslashreplace")
    more = "..." if len(letter.payload) > _SHOWN_BYTES else ""
    typer.echo(f"line {letter.offset + 1}: {letter.reason.value}: {letter.detail}: {shown}{more}", err=True)
