"""Speed end to end, per model and log, with River's ranking in the same run.

    python -m benchmarks.end_to_end --data-dir DIR [--bootstrap HOST:PORT] [--dataset ml-1m --min-rating 4]

Each row is one `engram replay`: producer, learner and evaluator are processes that share nothing but the log, on
whatever cores there are; the clock runs from the producer's first write to the evaluator's last event. The ratio is
to River's BiasedMF doing the same ranking and learning (see `benchmarks.river_ranking`), measured in this run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.river_ranking import load, time_river
from online_models.registry import DEFAULT_MODELS


def replay(arguments: Sequence[str]) -> dict[str, Any]:
    """Run `engram replay` in a folder of its own and return its result.json."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engram", "replay", *arguments, "--out", folder, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        result: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text())
        return result


def main() -> None:
    """Print a Markdown table: log, models, median events/s of the runs, ratio to River."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--min-rating", type=float, default=4.0)
    parser.add_argument("--bootstrap", default=None, help="also through Kafka at HOST:PORT")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--river-rankings", type=int, default=150)
    args = parser.parse_args()
    learn_s, rank_s = time_river(load(args.dataset, args.data_dir, args.min_rating), args.river_rankings)
    river = 1.0 / (learn_s + rank_s)
    print(f"River BiasedMF, rank + learn_one: {river:,.0f} ev/s\n")
    print("| log | pack | models | events/s, median (least to most) | x River |")
    print("|---|---|---|---|---|")
    logs = [["--log", "embedded"]]
    if args.bootstrap:
        logs.append(["--log", "kafka", "--bootstrap", args.bootstrap])
    for log in logs:
        for pack in (256, 1):
            for models in [*((name,) for name in DEFAULT_MODELS), DEFAULT_MODELS]:
                flags = [flag for name in models for flag in ("--model", name)]
                common = ["--data-dir", str(args.data_dir), "--min-rating", str(args.min_rating)]
                arguments = [args.dataset, *common, *log, "--pack", str(pack), *flags]
                speeds = [float(replay(arguments)["events_per_second"]) for _ in range(args.runs)]
                median = statistics.median(speeds)
                spread = f"{median:,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"
                print(
                    f"| {log[1]} | {pack} | {' + '.join(models)} | {spread} | {median / river:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
