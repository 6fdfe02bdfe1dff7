"""`engram chaos`: faults on purpose against a log of the user's own, and a certificate of what held."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from chaos.campaign import Campaign, Line, is_green, table
from chaos.safe import FAULTS
from consumers.versions import versions
from engram.options import settings_command
from engram.settings import Settings
from eventlog.errors import SettingsError

Tries = Annotated[int, typer.Option("--tries", min=1, help="Tries of each fault.")]
Results = Annotated[
    Path | None, typer.Option("--results", help="Keep each try there; started again, it goes on from them.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Write the certificate there too.")]
Only = Annotated[str, typer.Option("--only", help="Only faults whose names have this in them.")]


@settings_command("log", "kafka", "security_protocol")
def chaos(
    settings: Settings, tries: Tries = 3, results: Results = None, out: Out = None, only: Only = ""
) -> None:
    """Break Engram on purpose, on topics and processes of its own, and print what was promised and what held.

    On a test cluster: topics named faults-... are made and deleted. Brokers, network and disks are left alone.
    """
    faults = [fault for fault in FAULTS if only in fault.name]
    if not faults:
        known = ", ".join(fault.name for fault in FAULTS)
        raise SettingsError(f"only is {only!r}, expected a part of one of: {known}")
    with contextlib.ExitStack() as stack:
        campaign = Campaign(_spec(settings), results)
        stack.callback(campaign.close)
        lines = campaign.run(faults, tries, typer.echo)
    said = certificate(lines, settings.log, datetime.now(UTC))
    typer.echo(said)
    if out is not None:
        out.write_text(said + "\n")
    if not is_green(lines):
        raise typer.Exit(1)


def _spec(settings: Settings) -> str:
    if settings.log == "embedded":
        return "embedded"
    if settings.kafka is None:
        raise SettingsError(
            "log is 'kafka' and there is no address, expected --bootstrap HOST:PORT or ENGRAM_KAFKA"
        )
    if settings.security_protocol != "PLAINTEXT":
        raise SettingsError(
            f"security_protocol is {settings.security_protocol}, expected PLAINTEXT: the processes that are killed get "
            "no passwords; name a test cluster, or a listener of it, without"
        )
    return f"kafka:{settings.kafka}"


def certificate(lines: Sequence[Line], log: str, at: datetime) -> str:
    """Markdown: what was done, what was promised, what held, and with which versions."""
    tries, held = (sum(getattr(line, name) for line in lines) for name in ("tries", "held"))
    lost, twice, hung = (sum(getattr(line, name) for line in lines) for name in ("lost", "twice", "hung"))
    verdict = "Every promise held." if is_green(lines) else "NOT every promise held."
    text = [
        f"# {verdict}",
        "",
        f"{held:,} of {tries:,} tries held on the {log} log: {lost} lost, {twice} applied twice, {hung} hung. "
        f"Tried until {at:%Y-%m-%d %H:%M} UTC with {', '.join(f'{n} {v}' for n, v in versions().items())}.",
        "",
        table(lines),
    ]
    wrong = [line for line in lines if line.held < line.tries]
    if wrong:
        text += ["", "What did not hold:", ""]
        text += [f"- {line.fault}, seed {line.seed}, {line.ended}: {line.what}" for line in wrong]
    return "\n".join(text)
