"""How `hebbian` grows: events/s and bytes with items, with users, and with events, on one core and from memory.

    python -m benchmarks.hebbian_scale --out DIR [--items 1000,4000,15000,60000] [--users ...] [--events ...] [--river 0]
    python -m benchmarks.hebbian_scale --out DIR --cell 60000,200000,10000000

Each cell (items, users, events) is a process of its own: a lane ranks and learns every event and the evaluator's
measures take what it said; there is no log. Making the stream is not in the clock. Seconds are those of the process
(CPU) beside those of the wall, for a machine that others use. The peer is River's BiasedMF, doing the same
ranking and learning in the same run, on the cell of the first items and users (see `benchmarks.river_ranking`).
Writes growth.csv, and growth-items.png, growth-users.png and growth-events.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.river_ranking import time_river
from consumers.lane import Lane, LaneConfig
from consumers.lane_measures import LaneMeasures, MeasuresConfig
from engram.warm import warm_up_evaluator, warm_up_learner
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig
from eventlog.events import EventBatch, Kind

MODEL = "hebbian"
RIVER_EVENTS = 40_000
SESSION = 16  # events of one user in a row
SIDE_BY_SIDE = 32  # users whose sessions run at the same time
AXES = ("items", "users", "events")


class Cell(NamedTuple):
    """Size of one stream."""

    items: int
    users: int
    events: int


def blocks(cell: Cell, turns_a_block: int = 8, seed: int = 0) -> Iterator[EventBatch]:
    """Yield a stream of views (all rated 1), block by block: two events a second, in sessions of one user.

    A user's session begins at an item by popularity (rank^-0.8) and goes on near the item before, in a ring of tastes
    in which popular items are scattered, or elsewhere by popularity, one time in four.
    """
    rng = np.random.default_rng(seed)
    weight = np.arange(1, cell.items + 1, dtype=np.float64) ** -0.8
    cumulative = np.cumsum(weight) / weight.sum()
    place = rng.permutation(cell.items)  # of each item in the ring
    item_at = np.argsort(place)
    user_id = np.char.add(b"u", np.arange(cell.users).astype(f"S{len(str(cell.users))}"))
    item_id = np.char.add(b"i", np.arange(cell.items).astype(f"S{len(str(cell.items))}"))
    turn = SESSION * SIDE_BY_SIDE
    for first in range(0, cell.events, turns_a_block * turn):
        n = min(turns_a_block * turn, cell.events - first)
        turns = -(-n // turn)
        shape = (turns, SESSION, SIDE_BY_SIDE)
        user = np.repeat(rng.integers(cell.users, size=(turns, 1, SIDE_BY_SIDE)), SESSION, axis=1)
        anew = rng.random(shape) < 0.25
        anew[:, 0] = True
        popular = place[np.searchsorted(cumulative, rng.random(shape))]
        step = np.rint(rng.laplace(0, 20, shape)).astype(np.int64)
        ring = np.empty(shape, np.int64)
        for at in range(SESSION):
            near = ring[:, at - 1] + step[:, at] if at else popular[:, 0]
            ring[:, at] = np.where(anew[:, at], popular[:, at], near) % cell.items
        number = np.arange(first, first + n, dtype=np.int64)
        zeros = np.zeros(n, np.int32)
        yield EventBatch(
            sources=("made",),
            users=user_id[user.reshape(-1)[:n]],
            items=item_id[item_at[ring.reshape(-1)[:n]]],
            ratings=np.ones(n),
            event_time_ms=number * 500,
            kinds=np.full(n, Kind.RATING, np.uint8),
            source_index=zeros,
            source_seq=number,
            key_hash=np.zeros(n, np.uint64),
            partition=zeros,
            offset=number,
            index=zeros,
            append_time_ms=np.zeros(n, np.int64),
        )


def measure(cell: Cell) -> dict[str, Any]:
    """Rank, learn and evaluate a stream in this process; returns what a row of the CSV says."""
    config = LaneConfig((MODEL,), {})
    warm_up_learner(config, 1)
    warm_up_evaluator()
    lane = Lane(0, (0,), 1, config)
    measures = LaneMeasures(MeasuresConfig(PrequentialConfig(), SignificanceConfig()), [MODEL])
    wall_s = cpu_s = 0.0
    for batch in blocks(cell):
        wall, cpu = time.perf_counter(), time.process_time()
        said = lane.test_then_learn(batch, cell.events)
        if said is not None:
            measures.update(said)
        wall_s += time.perf_counter() - wall
        cpu_s += time.process_time() - cpu
    return {
        **cell._asdict(),
        "events_per_cpu_second": round(cell.events / cpu_s),
        "events_per_second": round(cell.events / wall_s),
        "kernel_s": round(lane.kernel_seconds[MODEL], 3),
        "items_met": len(lane.rows.items),
        "users_met": lane.rows.known_users,
        "repeats": lane.repeats,
        "model_bytes": lane.models[MODEL].state_bytes,
        "shared_bytes": lane.shared_state_bytes,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def measured_apart(cell: Cell) -> dict[str, Any]:
    """`measure` in a process of its own, so that the peak of memory is its own."""
    command = [sys.executable, "-m", "benchmarks.hebbian_scale", "--cell", ",".join(map(str, cell))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw(axis: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot events/s and bytes over one axis, the other two held."""
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    x = [row[axis] for row in rows]
    left.plot(x, [row["events_per_cpu_second"] for row in rows], "o-", color="#0072B2")
    left.set_ylabel("events a second of CPU")
    left.set_ylim(0, 1.1 * max(row["events_per_cpu_second"] for row in rows))
    left.yaxis.set_major_formatter("{x:,.0f}")
    for name, colour in (
        ("model_bytes", "#0072B2"),
        ("shared_bytes", "#009E73"),
        ("peak_rss_bytes", "#D55E00"),
    ):
        right.plot(x, [row[name] / 2**20 for row in rows], "o-", color=colour, label=name[: -len("_bytes")])
    right.set_ylabel("MiB")
    right.set_yscale("log")
    right.yaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", frameon=False)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{size:,}" for size in x], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(axis)
        axes.spines[["top", "right"]].set_visible(False)
    held = ", ".join(f"{rows[0][name]:,} {name}" for name in AXES if name != axis)
    figure.suptitle(f"hebbian: growth with {axis} ({held})", x=0.02, ha="left")
    figure.savefig(path)


def main() -> None:
    """Measure the cells, print a line each, and write the CSV and the plots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="folder for growth.csv and the plots")
    parser.add_argument("--items", default="1000,4000,15000,60000", help="with the first of users and events")
    parser.add_argument("--users", default="5000,20000,200000", help="with the first of items and events")
    parser.add_argument("--events", default="200000,400000,800000", help="with the first of items and users")
    parser.add_argument("--river", type=int, default=100, help="rankings by River, 0 for none")
    parser.add_argument("--cell", default=None, help="ITEMS,USERS,EVENTS: this one alone, as a line of JSON")
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(measure(Cell(*map(int, args.cell.split(","))))), flush=True)
        return
    sizes = {axis: [int(size) for size in getattr(args, axis).split(",")] for axis in AXES}
    base = Cell(*(sizes[axis][0] for axis in AXES))
    rows: dict[Cell, dict[str, Any]] = {}
    for axis in AXES:
        for size in sizes[axis]:
            cell = base._replace(**{axis: size})
            if cell not in rows:
                rows[cell] = measured_apart(cell)
                print(json.dumps(rows[cell]), flush=True)
    if args.river:
        events = next(blocks(base._replace(events=RIVER_EVENTS), RIVER_EVENTS))
        learn_s, rank_s = time_river(events, args.river)
        ratio = rows[base]["events_per_second"] * (learn_s + rank_s)
        print(
            f"River BiasedMF, rank + learn_one: {1 / (learn_s + rank_s):,.0f} ev/s; {MODEL}: {ratio:,.0f} x River"
        )
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / "growth.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[base].keys())
            writer.writeheader()
            writer.writerows(rows.values())
        for axis in AXES:
            draw(
                axis,
                [rows[base._replace(**{axis: size})] for size in sizes[axis]],
                args.out / f"growth-{axis}.png",
            )


if __name__ == "__main__":
    main()
