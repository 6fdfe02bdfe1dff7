"""`engram compare`: every model on every stream, test then learn, in one table of quality and speed; peers; suites.

Each cell is `engram/inline.py` in a process of its own, the learner and the evaluator of `engram replay`; or a peer, see
`engram/compare_peers.py`. A suite adds the experiments of `engram/source_systems`.
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from engram.compare_cells import (
    Cell,
    StreamChoice,
    cell_of,
    choose_models,
    measures_on,
    parse_streams,
    peak_memory_bytes,
    ranks,
)
from engram.compare_peers import Interpreters, choose_peers, parse_interpreters, run_peer
from engram.compare_ranks import Ranks, mark_rows, ranks_of_log, read_ranks, write_ranks
from engram.compare_rows import absent_kept, rows_of
from engram.compare_run import MEASURED_FILE, RANKS_FILE, Comparing, end_with_the_parent
from engram.compare_seeds import check_seeds, merged, with_repetitions
from engram.compare_steps import choose_steps, steps_of, write_step
from engram.compare_suites import SUITES, Suite
from engram.compare_table import TerminalTable, explained, write_tables
from engram.inline import run_inline
from engram.options import settings_command
from engram.parts import lane_config
from engram.replay_command import INTERRUPTED, StoppedError
from engram.settings import Settings
from engram.source import Source, find_source, open_stream
from engram.time_range import time_range_ms
from engram.warm import warm_up_evaluator, warm_up_learner
from eventlog.errors import SettingsError
from eventlog.ownership import Owned
from online_models.registry import MODELS
from peers.catalogue import PEERS
from peers.install import DEFAULT_FOLDER

_FILE_WIDTH = 140  # of output that is no terminal
# Beside a peer on a part of a stream.
_BESIDE = ("popularity", "hebbian", "blend", "rating_means", "wisard")

Datasets = Annotated[
    str | None,
    typer.Option(
        metavar="NAME:RATING,...",
        help="Streams: data sets by name, each with the least rating that is kept (0: all ratings).",
        show_default="those of the suite",
    ),
]
SuiteName = Annotated[
    str | None,
    typer.Option(
        "--suite",
        metavar="|".join(SUITES),
        help=" ".join(f"{name}: {suite.about}." for name, suite in SUITES.items()),
    ),
]
Peer = Annotated[
    list[str] | None,
    typer.Option(
        help="A model of another library, in its own environment (python -m peers.install); repeatable; all: every one "
        f"that runs on a stream. [{', '.join(PEERS)}]"
    ),
]
PeersDir = Annotated[Path, typer.Option(help="Folder of the peers' environments.")]
PeerPython = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="Python of an environment that is elsewhere; repeatable."),
]
Out = Annotated[Path, typer.Option(help="Folder of the tables, and of the finished cells.")]
Jobs = Annotated[
    int,
    typer.Option(min=1, help="Cells measured at a time; with more than one, speeds are not clean."),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="Runs of each model and peer that draws at random, with seeds SEED, SEED+1, ...: means and their intervals.",
        show_default="that of the suite, else 1",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure all cells again, finished ones too.")]
CellFolder = Annotated[Path, typer.Option("--folder")]
PeerName = Annotated[str, typer.Option("--peer")]
PeerInterpreter = Annotated[str, typer.Option("--python")]


@settings_command(
    "data_dir", "models", "params", "limit", "num_users", "reviews_per_user", "top_percentile", "from_time", "to_time",
    "seed", "tie_order", "ties", "clock", "max_users", "max_items", "top_every",
    unnamed_models=tuple(MODELS),
)  # fmt: skip
def compare(
    settings: Settings,
    datasets: Datasets = None,
    suite: SuiteName = None,
    peer: Peer = None,
    peers_dir: PeersDir = DEFAULT_FOLDER,
    peer_python: PeerPython = None,
    out: Out = Path("runs/compare"),
    seeds: Seeds = None,
    jobs: Jobs = 1,
    fresh: Fresh = False,
) -> None:
    """Measure every model on every stream, test then learn, in one table: quality, speed and size of the same run.

    Without --model, all models that lack no package; popularity and decayed_popularity always. Models that only
    predict ratings are measured where all ratings are kept. Stopped with Ctrl-C, the same command goes on.
    """
    chosen = _suite(suite, datasets)
    streams = parse_streams(datasets) if datasets else chosen.streams
    models, lacking = choose_models(settings.models) if streams else ((), {})
    peers = choose_peers(peer or list(chosen.peers))
    interpreters = parse_interpreters(peers_dir, peer_python or [])
    time_range_ms(settings)
    repeated = seeds or chosen.seeds
    check_seeds(repeated, settings, (stream.dataset for stream in streams))
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    for name, reason in lacking.items():
        console.print(f"Left out: {name} ({reason})", markup=False, highlight=False)
    for stream in streams:
        absent = [name for name in models if not measures_on(name, stream)]
        if absent:
            reason = (
                f"Not on {stream.label}, for they predict ratings and need all of them: {', '.join(absent)}"
            )
            console.print(reason, markup=False, highlight=False)
    command = f"engram compare {f'--suite {suite}' if suite else f'--datasets {datasets}'} --data-dir DIR"
    in_use = f"another command runs in {out}: wait for it, or name another --out"
    with Owned(out / "lock", in_use):
        try:
            cells, totals = _make_cells(settings, streams, models, out / "cells", console)
            of_peers = _peer_cells(settings, cells, totals, chosen.peer_streams or streams, peers)
            cells, waiting = _with_interpreters([*cells, *of_peers], interpreters)
            cells = with_repetitions(cells, repeated, () if seeds else chosen.peer_streams)
            steps = steps_of(
                choose_steps(chosen.steps), settings, peers_dir, peer_python or [], out / "steps"
            )
            comparing = Comparing([*cells, *steps], out, jobs, console)
            if fresh:
                comparing.forget()
            comparing.run()
        except (StoppedError, KeyboardInterrupt):
            again = shlex.join(["engram", *(word for word in sys.argv[1:] if word != "--fresh")])
            console.print(f"\nStopped. To go on: {again}", markup=False, highlight=False)
            raise SystemExit(INTERRUPTED) from None
        if cells:
            _tables(cells, waiting, out, command, console)
        for step in steps:
            for path in write_step(out, step, command):
                console.print(str(path), markup=False, highlight=False)


def _suite(name: str | None, datasets: str | None) -> Suite:
    if name is not None and name not in SUITES:
        raise SettingsError(f"suite is {name!r}, expected one of {', '.join(SUITES)}")
    if name is None and not datasets:
        raise SettingsError(f"datasets is absent, expected NAME:RATING,... or --suite {'|'.join(SUITES)}")
    return SUITES[name] if name else Suite("", (), (), ())


def _tables(
    cells: Sequence[Cell], absent: Sequence[tuple[Cell, str]], out: Path, command: str, console: Console
) -> None:
    rows = rows_of(
        [
            *((cell, cell.finished() or {}) for cell in cells),
            *((cell, absent_kept(reason)) for cell, reason in absent),
        ]
    )
    found: dict[tuple[Any, ...], list[Ranks]] = {}
    for cell in cells:
        if (kept := read_ranks(cell.ranks_path)) is not None:
            key = (cell.stream.dataset, cell.stream.min_rating or 0.0, cell.stream.first or 0, cell.model)
            found.setdefault(key, []).append(kept)
    runs, rows = rows, merged(rows)
    mark_rows(rows, found)
    written = write_tables(out, rows, command, runs if len(runs) > len(rows) else ())
    console.print(TerminalTable(rows))
    for line in (*explained(rows, command), *map(str, written)):
        console.print(line, markup=False, highlight=False)


def _make_cells(
    settings: Settings,
    streams: Sequence[StreamChoice],
    models: Sequence[str],
    folder: Path,
    console: Console,
) -> tuple[list[Cell], dict[StreamChoice, int]]:
    """Find and read each stream; return its cells, and how many events each stream has.

    A malformed line ends the command before anything is measured.
    """
    sources: dict[str, Source] = {}
    cells, totals = [], {}
    for stream in streams:
        own = msgspec.structs.replace(settings, dataset=stream.dataset, min_rating=stream.min_rating)
        if stream.dataset not in sources:
            sources[stream.dataset] = find_source(own)
            said = sources[stream.dataset].description
            console.print(said, markup=False, highlight=False, style="bold")
        place = sources[stream.dataset].folder
        if place is not None:
            own = msgspec.structs.replace(own, data_dir=str(place))
        opened = open_stream(own, place)
        totals[stream], digest = opened.total_events, opened.digest()
        cells += [cell_of(own, stream, name, digest, folder) for name in models if measures_on(name, stream)]
    return cells, totals


def _peer_cells(
    settings: Settings,
    cells: Sequence[Cell],
    totals: Mapping[StreamChoice, int],
    streams: Sequence[StreamChoice],
    peers: Sequence[str],
) -> list[Cell]:
    """Make the cells of peers, and, where one is given the first events only, of ours on these."""
    made: dict[Path, Cell] = {}
    for stream in streams:
        of_stream = [cell for cell in cells if cell.stream == stream]
        first = of_stream[0]
        digest, folder = first.identity["data_digest"], first.path.parent
        for name in peers:
            if not measures_on(name, stream):
                continue
            most = PEERS[name].events
            part = stream._replace(first=most if most is not None and most < totals[stream] else None)
            own = msgspec.structs.replace(first.settings, params=settings.params, limit=settings.limit)
            alike = [cell.model for cell in of_stream if ranks(cell.model) == ranks(name)]
            beside = [model for model in alike if model in _BESIDE] if part.first else []
            for model in (name, *beside):
                one = cell_of(own, part, model, digest, folder, "python" if model == name else "")
                made[one.path] = one
    return list(made.values())


def _with_interpreters(
    cells: Sequence[Cell], interpreters: Interpreters
) -> tuple[list[Cell], list[tuple[Cell, str]]]:
    """Give peers' cells their interpreters; return what can be measured, and what cannot with the reason."""
    able: list[Cell] = []
    unable: list[tuple[Cell, str]] = []
    for cell in cells:
        if cell.model not in PEERS:
            able.append(cell)
            continue
        python, reason = interpreters.find(cell.model)
        if reason:
            unable.append((cell, reason))
        else:
            able.append(cell._replace(python=python))
    return able, unable


@settings_command()
def compare_cell(
    settings: Settings, folder: CellFolder, peer: PeerName = "", python: PeerInterpreter = ""
) -> None:
    """Measure one cell (a child of `engram compare`); end when the parent does."""
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    if peer:
        measured, found = run_peer(settings, peer, python, folder)
    else:
        warm_up_learner(lane_config(settings), settings.partitions)
        warm_up_evaluator()
        result = run_inline(settings, folder)
        measured = {"peak_memory_bytes": peak_memory_bytes(), "result": result}
        [model] = settings.models
        found = ranks_of_log(folder, model) if ranks(model) else None
    if found is not None:
        write_ranks(folder / RANKS_FILE, found)
    (folder / MEASURED_FILE).write_text(json.dumps(measured, allow_nan=False), "utf-8")
