"""Everything that `engram graph` writes, of one moment and over time."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.checkpoint import Checkpoint
from engram.graph_charts import draw_distributions, draw_growth, draw_profile, draw_profile_growth
from engram.graph_export import figures, write_graph
from engram.graph_names import Name, read_names, unnamed
from engram.graph_network import Bounds, Network, Step, choose, place_neurons, step_of
from engram.graph_page import write_graph_page
from engram.graph_pictures import draw_network, draw_steps
from engram.graph_profile import Profile, profile, weights_to, write_profile
from engram.graph_relearn import positions, snapshots
from engram.graph_source import Snapshot, lane_config_of, snapshot_of_checkpoint
from engram.settings import Settings
from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.topics import Topics

_BONDS = 20  # of each direction in a profile
_GROWN = 7  # lines in the picture of a growing profile: as many as there are colours

LogOf = tuple[Log, Topics]


class Question(NamedTuple):
    """What is asked. profiled: ("item" or "user", id), None for the most active neuron."""

    model: str
    bounds: Bounds
    profiled: tuple[str, str] | None
    seed: int


class _Chosen(NamedTuple):
    """What the last moment fixes for all steps."""

    snapshot: Snapshot
    profile: Profile
    ids: tuple[str, ...]
    names: Mapping[str, Name]


def written_views(folder: Path, checkpoint: Checkpoint, question: Question, log: LogOf | None) -> list[Path]:
    """Write the views of a checkpoint; returns what was written. log: asked for names, where there is one.

    Raises `SettingsError` for a neuron that is unknown.
    """
    chosen = _choose(snapshot_of_checkpoint(checkpoint, question.model), question, log)
    step = step_of(chosen.snapshot, chosen.ids, question.bounds, question.seed)
    return _write(folder, question, chosen, [step])


def written_over_time(
    folder: Path, settings: Settings, checkpoint: Checkpoint, question: Question, log: LogOf, steps: int
) -> list[Path]:
    """Write the views of a checkpoint and of `steps` moments before it, learned again from the log.

    Raises as `written_views` and `graph_relearn.snapshots` do.
    """
    chosen = _choose(snapshot_of_checkpoint(checkpoint, question.model), question, log)
    config = lane_config_of(checkpoint.meta, question.model)
    grown = tuple(bond.id for bond in chosen.profile.bonds if bond.direction == "out")[:_GROWN]
    found, weights = [], []
    at = positions(chosen.snapshot.events, steps)
    for snapshot in snapshots(log[0], settings, checkpoint.meta, config, at):
        found.append(step_of(snapshot, chosen.ids, question.bounds, question.seed))
        weights.append(weights_to(snapshot, chosen.profile.id, grown))
    written = _write(folder, question, chosen, found)
    events = [step.events for step, _ in found]
    titles = [chosen.names[one].title for one in grown]
    title = f"How the synapses of {chosen.names[chosen.profile.id].title} grew"
    written.append(draw_profile_growth(folder / "profile-over-time.png", events, weights, titles, title))
    return written


def _choose(snapshot: Snapshot, question: Question, log: LogOf | None) -> _Chosen:
    row = _profiled_row(snapshot, question.profiled)
    of = profile(snapshot, row, question.bounds.threshold, _BONDS)
    rows = choose(snapshot, question.bounds, row)
    ids = tuple(snapshot.ids[one] for one in rows.tolist())
    wanted: Collection[str] = {*ids, of.id, *(bond.id for bond in of.bonds)}
    names = unnamed(wanted) if log is None else read_names(*log, snapshot.view.neurons, wanted)
    return _Chosen(snapshot, of, ids, names)


def _profiled_row(snapshot: Snapshot, profiled: tuple[str, str] | None) -> int:
    kind = snapshot.view.neurons
    if profiled is None:
        if not (snapshot.view.activity > 0).any():
            raise SettingsError(
                f"checkpoint is of {snapshot.events:,} events, expected some activity: there is none"
            )
        return int(np.argmax(snapshot.view.activity))
    asked, name = profiled
    if asked != kind:
        raise SettingsError(
            f"{asked} is {name!r}, but the neurons of this model are {kind}s: give --{kind} ID"
        )
    return snapshot.row(name)


def _write(
    folder: Path, question: Question, chosen: _Chosen, steps: list[tuple[Step, NDArray[np.int32]]]
) -> list[Path]:
    last, community = steps[-1]
    row_of = {name: row for row, name in enumerate(chosen.snapshot.ids)}
    network = Network(
        model=question.model,
        neurons=chosen.snapshot.view.neurons,
        bounds=question.bounds,
        seed=question.seed,
        ids=chosen.ids,
        names=tuple(chosen.names[one] for one in chosen.ids),
        last_ms=chosen.snapshot.last_ms[[row_of[one] for one in chosen.ids]],
        community=community,
        place=place_neurons(last, community, question.seed),
        steps=tuple(step for step, _ in steps),
    )
    title = f"Synapses of {question.model} after {last.events:,} events"
    written = write_graph(folder, network)
    file = folder / "figures.json"
    file.write_text(
        json.dumps(figures(network), ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8"
    )
    table = folder / "profile.csv"
    write_profile(table, chosen.profile, chosen.names)
    named = chosen.names[chosen.profile.id].title
    written += [
        file,
        table,
        draw_network(folder / "graph.png", network, title),
        draw_distributions(folder / "distributions.png", network, title),
        draw_profile(folder / "profile.png", chosen.profile, chosen.names, f"Synaptic profile: {named}"),
        write_graph_page(folder / "graph.html", network, title),
    ]
    if len(network.steps) > 1:
        written.append(draw_steps(folder / "steps.png", network, f"Synapses of {question.model} growing"))
        written.append(draw_growth(folder / "growth.png", network, f"Synapses of {question.model} over time"))
    return written
