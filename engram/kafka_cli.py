"""`engram kafka up|down|status`: a real Kafka broker on this machine, without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from eventlog import local_broker
from eventlog.errors import EngramError

app = typer.Typer(help="A real Kafka broker on this machine, without Docker.", no_args_is_help=True)

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="Where the broker lives (default: your state directory)."),
]


@app.command()
def up(
    directory: Directory = None,
    port: Annotated[int, typer.Option(help="The port to listen on, on 127.0.0.1.")] = 9092,
    heap_mb: Annotated[int, typer.Option(help="Memory of the Java heap, in MB.")] = 512,
) -> None:
    """Start the broker and wait until it serves; its data is kept between starts."""
    typer.echo("Starting a Kafka broker (the first time fetches about 45 MB) ...")
    try:
        status = local_broker.up(directory, port, heap_mb=heap_mb)
    except EngramError as error:
        _fail(error)
    typer.echo(
        f"Kafka is up on {status.address} (process {status.pid}).\n"
        f"  use it:   --log kafka --bootstrap {status.address}\n"
        f"  stop it:  engram kafka down{_directory_flag(directory)}\n"
        f"  its log:  {status.log_path}"
    )


@app.command()
def down(directory: Directory = None) -> None:
    """Stop the broker; its data is kept."""
    try:
        ran = local_broker.down(directory)
    except EngramError as error:
        _fail(error)
    typer.echo("Kafka is down." if ran else "No broker was running.")


@app.command()
def status(directory: Directory = None) -> None:
    """Say whether the broker runs, and where; the exit code is 1 when it does not."""
    now = local_broker.status(directory)
    if not now.running:
        typer.echo(
            f"No broker runs in {now.directory}. Start one: engram kafka up{_directory_flag(directory)}"
        )
        raise typer.Exit(1)
    typer.echo(
        f"Kafka is up on {now.address} (process {now.pid}), in {now.directory}.\n  its log:  {now.log_path}"
    )


def _directory_flag(directory: Path | None) -> str:
    return f" --dir {directory}" if directory else ""


def _fail(error: EngramError) -> NoReturn:
    typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
    raise typer.Exit(1)
