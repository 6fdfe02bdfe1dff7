"""`engram`: the command line."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from engram import checkpoint_cli, data_cli, dlq_cli, kafka_cli, models_cli
from engram.app_command import app as app_command
from engram.chaos_command import chaos
from engram.compare_command import compare, compare_cell
from engram.compare_steps import compare_step
from engram.demo_command import demo
from engram.diversity_command import diversity_command
from engram.graph_command import graph
from engram.history_command import history
from engram.ingest_command import ingest
from engram.leave_one_out_command import leave_one_out_command
from engram.offsets_command import offsets
from engram.page_command import page
from engram.produce_command import produce
from engram.recommend_command import recommend_command
from engram.replay_command import replay
from engram.report_command import report
from engram.serve_command import serve
from engram.serve_part import serve_part
from engram.services import evaluate, learn
from engram.train_command import train
from eventlog.errors import EngramError, SettingsError

# A command with commands below it: `engram evaluate --run DIR` and `engram evaluate leave-one-out`.
evaluate_cli = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
evaluate_cli.callback()(evaluate)
evaluate_cli.command("leave-one-out")(leave_one_out_command)
evaluate_cli.command("diversity")(diversity_command)

app = typer.Typer(
    name="engram",
    help="Recommendations that learn from every event.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"engram {importlib.metadata.version('engram-stream')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recommendations that learn from every event."""


app.command()(demo)
app.command()(replay)
app.command()(compare)
app.command("compare-cell", hidden=True)(compare_cell)
app.command("compare-step", hidden=True)(compare_step)
app.command()(produce)
app.command()(learn)
app.command()(train)
app.command()(serve)
app.command("serve-part", hidden=True)(serve_part)
app.command("app")(app_command)
app.command()(page)
app.add_typer(evaluate_cli, name="evaluate")
app.command()(ingest)
app.command()(offsets)
app.command()(report)
app.command()(history)
app.command()(graph)
app.command()(chaos)
app.command("recommend")(recommend_command)
app.add_typer(data_cli.app, name="data")
app.add_typer(kafka_cli.app, name="kafka")
app.add_typer(checkpoint_cli.app, name="checkpoint")
app.add_typer(dlq_cli.app, name="dlq")
app.add_typer(models_cli.app, name="models")


def main() -> None:
    """Run the command line: one clear line for what was foreseen, and exit code 1, or 2 for bad usage."""
    try:
        app()
    except EngramError as error:
        if os.environ.get("ENGRAM_DEBUG"):
            raise
        print(f"engram: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, SettingsError) else 1) from None
