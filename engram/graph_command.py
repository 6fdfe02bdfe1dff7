"""`engram graph`: views of the Hebbian synapses of a finished or running run, from its checkpoints and its log."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from engram.deployment import open_deployment, settings_of
from engram.settings import Settings
from eventlog.errors import EngramError, SettingsError
from eventlog.log import Log
from eventlog.topics import Topics

_log = logging.getLogger(__name__)

Folder = Annotated[Path, typer.Argument(help="Folder of a run, finished or running.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A model of the run with synapses.", show_default="the first")
]
Version = Annotated[
    int | None, typer.Option("--checkpoint", help="Version of the checkpoint.", show_default="the newest")
]
Lane = Annotated[int, typer.Option("--lane", min=0, help="Lane of a learner with several.")]
Top = Annotated[int, typer.Option("--top", min=1, max=100, help="Strongest synapses of each neuron.")]
Neurons = Annotated[int, typer.Option("--neurons", min=2, max=800, help="Most active neurons.")]
Threshold = Annotated[
    float,
    typer.Option(
        "--threshold", min=0, help="Weight above which a synapse is active; 1: a fresh co-activation."
    ),
]
Item = Annotated[
    str | None, typer.Option("--item", help="Item to profile.", show_default="the most active neuron")
]
User = Annotated[
    str | None, typer.Option("--user", help="User to profile, of a model whose neurons are users.")
]
OverTime = Annotated[
    bool, typer.Option("--over-time", help="Learn again from the log, and draw the steps on the way, too.")
]
Steps = Annotated[
    int, typer.Option("--steps", min=2, max=60, help="How many steps, equally spaced in events.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of communities and places.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder to write to.", show_default="graph in RUN_DIR")
]


def graph(
    run_dir: Folder,
    model: ModelOption = None,
    checkpoint: Version = None,
    lane: Lane = 0,
    top: Top = 8,
    neurons: Neurons = 200,
    threshold: Threshold = 0.1,
    item: Item = None,
    user: User = None,
    over_time: OverTime = False,
    steps: Steps = 12,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """Draw and export the synapses of a run: GraphML, JSON, pictures, and a page that needs no network."""
    from engram.graph_network import Bounds
    from engram.graph_source import choose_model, load_checkpoint
    from engram.graph_views import Question, written_over_time, written_views

    settings = settings_of(Settings(), run_dir)
    loaded = load_checkpoint(run_dir, lane, checkpoint)
    name = choose_model(loaded.meta, model)
    question = Question(name, Bounds(neurons, top, threshold), _asked(item, user), seed)
    folder = out or run_dir / "graph"
    folder.mkdir(parents=True, exist_ok=True)
    with _log_of(settings, needed=over_time) as found:
        if over_time and found is not None:
            written = written_over_time(folder, settings, loaded, question, found, steps)
        else:
            written = written_views(folder, loaded, question, found)
    for path in written:
        typer.echo(path)
    said = json.loads((folder / "figures.json").read_text("utf-8"))
    typer.echo(
        f"{name} after {said['events']:,} events: {said['synapses']:,} active synapses of {said['neurons']:,} "
        f"{said['neurons_are']}, density {said['density']:.2%}, reciprocity {said['reciprocity']:.1%}, asymmetry "
        f"{said['asymmetry']:.2f}; {said['communities']} communities among the {said['drawn_neurons']} drawn, "
        f"modularity {said['modularity']:.3f} ({said['modularity_unbounded']:.3f} over all their synapses)"
    )


def _asked(item: str | None, user: str | None) -> tuple[str, str] | None:
    """("item" or "user", id), None where nothing was asked for."""
    if item is not None and user is not None:
        raise SettingsError(f"item is {item!r} and user is {user!r}, expected one of them")
    if item is not None:
        return "item", item
    return ("user", user) if user is not None else None


@contextlib.contextmanager
def _log_of(settings: Settings, *, needed: bool) -> Iterator[tuple[Log, Topics] | None]:
    """The run's log; None where it cannot be opened and only names are wanted of it."""
    with contextlib.ExitStack() as stack:
        found = None
        try:
            found = stack.enter_context(open_deployment(settings))
        except EngramError as error:
            if needed:
                raise
            _log.warning("neurons are called by their ids, for there is no log to ask: %s", error)
        yield found
