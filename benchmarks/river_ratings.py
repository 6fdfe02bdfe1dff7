"""Speed of predicting a rating and learning it, per event, as a ratio to River in the same run.

    python -m benchmarks.river_ratings --dataset ml-1m --data-dir DIR [--limit N] [--out FILE]

Both sides do the same work on the same events: predict the rating of each event, then learn it. River is
`reco.BiasedMF` with its own `predict_one` and `learn_one`; strings and floats are made outside of its clock. Ours is a
lane: ids, histories and repeats are in the clock. They take turns, `TURN` events each, so that what else the machine
does falls on all alike; seconds are those of the process (CPU).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from river import reco

from benchmarks.river_ranking import BATCH, load
from consumers.lane import Lane, LaneConfig
from consumers.versions import versions
from engram.warm import warm_up_learner
from eventlog.events import EventBatch
from online_models.registry import MODELS
from producers.datasets import DATASETS

TURN = 5 * BATCH
PEER = "River BiasedMF"


def time_all(events: EventBatch, models: tuple[str, ...], scale: tuple[float, float]) -> dict[str, float]:
    """CPU seconds of River and of each model; scale: least and largest rating."""
    lanes = {}
    for name in models:
        config = LaneConfig((name,), {}, scale=scale, top_every=0, drift="none")
        warm_up_learner(config, 1)
        lanes[name] = Lane(0, (0,), 1, config)
    river = reco.BiasedMF(seed=0)
    seconds = dict.fromkeys((PEER, *models), 0.0)
    for first in range(0, len(events), TURN):
        turn = events.take(slice(first, first + TURN))
        columns = zip(turn.users.tolist(), turn.items.tolist(), turn.ratings.tolist(), strict=True)
        ready = list(columns)
        started = time.process_time()
        for user, item, rating in ready:
            river.predict_one(user, item)
            river.learn_one(user, item, rating)
        seconds[PEER] += time.process_time() - started
        blocks = [turn.take(slice(at, at + BATCH)) for at in range(0, len(turn), BATCH)]
        for name, lane in lanes.items():
            started = time.process_time()
            for block in blocks:
                lane.test_then_learn(block)
            seconds[name] += time.process_time() - started
    return seconds


def main() -> None:
    """Run the comparison and print a table; `--out` adds the figures to a JSON-lines history."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="ml-1m", choices=sorted(DATASETS))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=None, help="first N events only")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    events = load(args.dataset, args.data_dir, 0.0).take(slice(0, args.limit))
    entry = DATASETS[args.dataset]
    models = tuple(name for name, model in MODELS.items() if model.rates and not name.startswith("river"))
    seconds = time_all(events, models, (entry.rating_min, entry.rating_max))
    speed = {name: len(events) / taken for name, taken in seconds.items()}
    print(f"{args.dataset}: {len(events):,} ratings, events a second of CPU")
    for name, rate in speed.items():
        print(f"{name}: {rate:,.0f} ev/s, {rate / speed[PEER]:,.1f} x River")
    if args.out:
        row = {
            "dataset": args.dataset,
            "events": len(events),
            "events_per_second": speed,
            "versions": versions(),
        }
        with args.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
