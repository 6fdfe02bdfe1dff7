"""`engram dlq list|show|redrive`: dead letters, and sending their events once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from engram import options
from engram.deployment import RunOption, open_deployment, settings_of
from engram.options import settings_command
from engram.settings import Settings
from engram.source import rating_limits
from eventlog.deadletter import Reason
from eventlog.errors import EventError, SettingsError
from eventlog.redrive import (
    StoredLetter,
    event_of,
    parse_corrections,
    prepare,
    read_dead_letters,
    redrive,
)

app = typer.Typer(help="Dead letters: list, show, redrive.", no_args_is_help=True)

_LIMITS = ("rating_min", "rating_max", "max_future_s", "max_message_bytes")
_WIDTH = 120
_HEX_BYTES = 4_096

ReasonOption = Annotated[Reason | None, typer.Option("--reason", help="Only letters of this reason.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="List so many letters, the newest.")]
At = Annotated[int, typer.Argument(help="Offset of the letter in its topic, as `engram dlq list` shows it.")]
Several = Annotated[list[int] | None, typer.Argument(help="Offsets of the letters; all when none is named.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Correct a field of the events, rating=5; repeatable."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")]


@settings_command(*options.LOG)
def list_letters(
    settings: Settings, run: RunOption = None, reason: ReasonOption = None, limit: Limit = 20
) -> None:
    """Count dead letters by reason and source, each once, and list the newest."""
    counts: Counter[tuple[str, str]] = Counter()
    events: Counter[tuple[str, str]] = Counter()
    redriven: Counter[tuple[str, str]] = Counter()
    newest: list[StoredLetter] = []
    with open_deployment(settings_of(settings, run)) as (log, topics):
        for stored in _of_reason(read_dead_letters(log, topics.dead_letters), reason):
            kind = (stored.letter.reason.value, stored.letter.topic)
            counts[kind] += 1
            events[kind] += stored.letter.events
            redriven[kind] += stored.redriven
            newest = [*newest, stored][-limit:] if limit else []
    console = _console()
    if not counts:
        console.print("No dead letters.")
        return
    table = Table("reason", "source", "letters", "events", "redriven")
    for kind, letters in sorted(counts.items()):
        table.add_row(*kind, f"{letters:,}", f"{events[kind]:,}", f"{redriven[kind]:,}")
    console.print(table)
    if newest:
        table = Table("at", "position", "reason", "redriven", "detail")
        for stored in newest:
            letter = stored.letter
            done = "yes" if stored.redriven else ""
            table.add_row(str(stored.offset), stored.position, letter.reason.value, done, letter.detail)
        console.print(table)


@settings_command(*options.LOG)
def show(settings: Settings, at: At, run: RunOption = None) -> None:
    """Show one dead letter whole: position, reason, and its payload as JSON, or as hex where it is none."""
    with open_deployment(settings_of(settings, run)) as (log, topics):
        [stored] = _chosen(read_dead_letters(log, topics.dead_letters), [at])
    letter = stored.letter
    typer.echo(
        f"position  {stored.position}\nreason    {letter.reason.value}\ndetail    {letter.detail}\n"
        f"events    {letter.events:,}\nredriven  {'yes' if stored.redriven else 'no'}\n"
        f"payload   {len(letter.payload):,} bytes"
    )
    try:
        _console().print_json(data=event_of(letter.payload))
    except EventError:
        more = "..." if len(letter.payload) > _HEX_BYTES else ""
        typer.echo(letter.payload[:_HEX_BYTES].hex(" ", 4) + more)


@settings_command(*options.LOG, *_LIMITS)
def redrive_letters(
    settings: Settings,
    at: Several = None,
    run: RunOption = None,
    reason: ReasonOption = None,
    corrections: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Send the events of dead letters once more, corrected with --set; a letter is redriven once.

    An event that would be a dead letter again is not sent.
    """
    changes = parse_corrections(corrections or [])
    if changes and not at and reason is None:
        raise SettingsError("set is given for all letters, expected --reason or the offsets of some as well")
    settings = settings_of(settings, run)
    with open_deployment(settings) as (log, topics):
        letters = read_dead_letters(log, topics.dead_letters)
        partitions = log.partition_count(topics.ratings)
        chosen = list(_of_reason(_chosen(letters, at) if at else letters, reason))
        fresh = [stored for stored in chosen if not stored.redriven]
        prepared = [prepare(stored, changes, rating_limits(settings), partitions) for stored in fresh]
        good = [one for one in prepared if one.record is not None]
        for one in prepared:
            if one.problem is not None:
                typer.echo(
                    f"not redriven: {one.stored.offset}, {one.stored.position}: {one.problem}", err=True
                )
            elif dry_run and one.record is not None:
                typer.echo(f"{one.stored.offset}: {(one.record.value or b'').decode()}")
        sent = 0 if dry_run else redrive(log, topics, good)
    done = f"{len(good):,} would be redriven" if dry_run else f"{sent:,} redriven"
    typer.echo(
        f"{len(chosen):,} letters: {done}, {len(prepared) - len(good):,} would fail again, "
        f"{len(chosen) - len(fresh):,} redriven before"
    )


app.command("list")(list_letters)
app.command("show")(show)
app.command("redrive")(redrive_letters)


def _of_reason(letters: Iterable[StoredLetter], reason: Reason | None) -> Iterator[StoredLetter]:
    return (stored for stored in letters if reason is None or stored.letter.reason is reason)


def _chosen(letters: Iterable[StoredLetter], offsets: Sequence[int]) -> list[StoredLetter]:
    """The letters at `offsets`. Raises `SettingsError` for an offset without one."""
    wanted = set(offsets)
    found = [stored for stored in letters if stored.offset in wanted]
    if missing := sorted(wanted - {stored.offset for stored in found}):
        raise SettingsError(
            f"at is {missing[0]}, expected the offset of a dead letter: `engram dlq list` shows them"
        )
    return found


def _console() -> Console:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.width = max(console.width, _WIDTH)
    return console
