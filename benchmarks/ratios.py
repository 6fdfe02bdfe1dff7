"""Seeded workloads as ratios to a fixed reference in the same run, and what moved since the last ones: `make bench`.

    python -m benchmarks.ratios [--rounds 5] [--only NAME] [--no-history]

The reference is a loop that never changes: passes over a row and increments all over a table, compiled, on one core. Each
round times it (CPU seconds of the process) right before each workload, and a ratio is the workload's seconds over the
reference's, both for a fixed amount of work: smaller is quicker, and what else the machine does falls on both. A row a workload,
with the median and the range of its rounds, is appended to benchmarks/history.csv with version, commit, date and
processor. A workload has moved when its range lies outside that of the last row of the same processor, and its median by
`NOISE` at least.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import WORKLOADS

HISTORY = Path(__file__).parent / "history.csv"
COLUMNS = ("date", "version", "commit", "processor", "workload", "ratio", "least", "most", "rounds")
NOISE = 0.1  # of the ratio: what two runs of the same code may differ by
REFERENCE_ROW, REFERENCE_TABLE, REFERENCE_PASSES = 4_096, 1 << 22, 40_000


class Measured(NamedTuple):
    """Ratio to the reference: median, least and most of the rounds."""

    ratio: float
    least: float
    most: float


@numba.njit(cache=True)
def reference(passes: int, row: NDArray[np.float32], table: NDArray[np.float32]) -> int:
    """Count, in each pass, the entries of a row that are at least its middle one, and add to 64 places of a table."""
    state = np.uint64(1)
    counted = 0
    for step in range(passes):
        threshold = row[step % len(row)]
        for at in range(len(row)):
            counted += row[at] >= threshold
        for _ in range(64):
            # Xorshift (Marsaglia 2003): the same places in every run.
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            table[state % np.uint64(len(table))] += np.float32(1)
    return counted


def reference_seconds() -> float:
    """CPU seconds of the reference."""
    row = np.linspace(0, 1, REFERENCE_ROW, dtype=np.float32)
    table = np.zeros(REFERENCE_TABLE, np.float32)
    return cpu_seconds(lambda: reference(REFERENCE_PASSES, row, table))


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU seconds of the process for `action`."""
    started = time.process_time()
    action()
    return time.process_time() - started


def measure(
    workloads: Mapping[str, Callable[[], Callable[[], object]]],
    rounds: int,
    of_reference: Callable[[], float] = reference_seconds,
) -> dict[str, Measured]:
    """Time each workload `rounds` times, each time right after the reference.

    workloads: {name: function that prepares one and returns the action to time}.
    """
    ratios: dict[str, list[float]] = {name: [] for name in workloads}
    of_reference()
    for prepare in workloads.values():
        prepare()()  # compiled, and in the caches
    for _ in range(rounds):
        for name, prepare in workloads.items():
            action = prepare()
            beside = of_reference()
            ratios[name].append(cpu_seconds(action) / beside)
    return {name: Measured(statistics.median(seen), min(seen), max(seen)) for name, seen in ratios.items()}


def moved(before: Measured, now: Measured) -> bool:
    """Whether the difference is beyond noise: ranges apart, and medians by `NOISE` of the earlier at least."""
    apart = now.least > before.most or now.most < before.least
    return apart and abs(now.ratio - before.ratio) >= NOISE * before.ratio


def last_of(history: Path, processor: str) -> dict[str, Measured]:
    """Last row of each workload on this processor."""
    found = {}
    if history.exists():
        with history.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["processor"] == processor:
                    found[row["workload"]] = Measured(
                        float(row["ratio"]), float(row["least"]), float(row["most"])
                    )
    return found


def append(history: Path, processor: str, results: Mapping[str, Measured], rounds: int) -> None:
    """Add a row a workload."""
    new = not history.exists()
    said = (
        datetime.datetime.now(datetime.UTC).date().isoformat(),
        importlib.metadata.version("engram-stream"),
        _commit(),
        processor,
    )
    with history.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        for name, seen in results.items():
            writer.writerow((*said, name, *(f"{value:.4f}" for value in seen), rounds))


def report(before: Mapping[str, Measured], results: Mapping[str, Measured]) -> list[str]:
    """Lines of a table, and what moved."""
    lines = [f"{'workload':12} {'x reference':>12} {'range':>18} {'before':>9}"]
    news = []
    for name, now in results.items():
        then = before.get(name)
        spread = f"{now.least:.3f} to {now.most:.3f}"
        lines.append(f"{name:12} {now.ratio:12.3f} {spread:>18} {then.ratio if then else float('nan'):9.3f}")
        if then and moved(then, now):
            change = now.ratio / then.ratio - 1
            news.append(
                f"{name} is {abs(change):.0%} {'slower' if change > 0 else 'quicker'}: {then.ratio:.3f} to {now.ratio:.3f}"
            )
    if not before:
        news = ["nothing to compare with: there is no row of this processor yet"]
    return [*lines, "", *(news or ["nothing moved beyond noise"])]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(WORKLOADS), action="append", help="this workload; repeatable")
    parser.add_argument("--no-history", action="store_true", help="print only")
    args = parser.parse_args(arguments)
    processor = _processor()
    before = last_of(HISTORY, processor)
    results = measure({name: WORKLOADS[name] for name in args.only or WORKLOADS}, args.rounds)
    print("\n".join(report(before, results)))
    if not args.no_history:
        append(HISTORY, processor, results, args.rounds)


if __name__ == "__main__":
    main()
