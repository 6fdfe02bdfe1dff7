"""Speed of ranking the whole catalogue and learning, per event, as a ratio to River in the same run.

    python -m benchmarks.river_ranking --dataset ml-1m --min-rating 4 --data-dir DIR

Both sides do the same work on the same events: rank the event's item among all items known so far that the user
has not had, then learn the event. River (`reco.BiasedMF`, its own `rank` and `learn_one`, one process, as its
documentation uses it) learns every event and ranks a regular sample of them, for ranking all would take hours; its
time per event is (time to learn one) + (time to rank one). Ours ranks and learns every event. Histories and
candidate sets are built outside of River's clock. One core each, one after the other.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
from river import reco

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.versions import versions
from engram.warm import warm_up_learner
from eventlog.events import EventBatch, Kind
from online_models.registry import DEFAULT_MODELS
from producers.columns import RatingColumns
from producers.datasets import DATASETS
from producers.event_order import TieOrder, replay_order

BATCH = 4096


def load(dataset: str, data_dir: Path, min_rating: float) -> EventBatch:
    """Read a data set's events in replay order."""
    entry = DATASETS[dataset]
    columns = RatingColumns.concat(list(entry.reader.ratings(data_dir / dataset)))
    columns = columns.take(columns.ratings >= min_rating)
    order = replay_order(columns.users, columns.items, columns.event_time_ms, TieOrder.HASH)
    columns = columns.take(order)
    n = columns.size
    zeros = np.zeros(n, np.int32)
    return EventBatch(
        sources=(dataset,),
        users=columns.users,
        items=columns.items,
        ratings=columns.ratings,
        event_time_ms=columns.event_time_ms,
        kinds=np.full(n, Kind.RATING, np.uint8),
        source_index=zeros,
        source_seq=np.arange(n, dtype=np.int64),
        key_hash=np.zeros(n, np.uint64),
        partition=zeros,
        offset=np.arange(n, dtype=np.int64),
        index=zeros,
        append_time_ms=np.zeros(n, np.int64),
    )


def time_ours(events: EventBatch, model: str) -> float:
    """Seconds to rank and learn every event, ids, histories and duplicates included."""
    config = LaneConfig((model,), {})
    warm_up_learner(config, 1)
    lane = Lane(0, (0,), 1, config)
    started = time.perf_counter()
    for at in range(0, len(events), BATCH):
        lane.test_then_learn(events.take(slice(at, at + BATCH)))
    return time.perf_counter() - started


def time_river(events: EventBatch, rankings: int) -> tuple[float, float]:
    """Seconds to learn one event, and to rank one, of River's BiasedMF."""
    model = reco.BiasedMF(seed=0)
    users, items = events.users.tolist(), events.items.tolist()
    ratings = events.ratings.tolist()
    known: set[bytes] = set()
    had: dict[bytes, set[bytes]] = {}
    every = max(1, len(events) // rankings)
    learn_s = rank_s = 0.0
    ranked = 0
    for at, (user, item, rating) in enumerate(zip(users, items, ratings, strict=True)):
        if at % every == every - 1 and item in known and item not in had.get(user, ()):
            candidates = known - had.get(user, set())
            started = time.perf_counter()
            model.rank(user, candidates).index(item)
            rank_s += time.perf_counter() - started
            ranked += 1
        started = time.perf_counter()
        model.learn_one(user, item, rating)
        learn_s += time.perf_counter() - started
        known.add(item)
        had.setdefault(user, set()).add(item)
    return learn_s / len(events), rank_s / max(ranked, 1)


def main() -> None:
    """Run the comparison and print a table; `--out` adds the figures to a JSON-lines history."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="ml-1m", choices=sorted(DATASETS))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--min-rating", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=None, help="first N events only")
    parser.add_argument("--river-rankings", type=int, default=300)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    events = load(args.dataset, args.data_dir, args.min_rating).take(slice(0, args.limit))
    learn_s, rank_s = time_river(events, args.river_rankings)
    river = 1.0 / (learn_s + rank_s)
    print(f"{args.dataset} >= {args.min_rating:g}: {len(events):,} events, {platform.processor() or 'CPU'}")
    print(f"River BiasedMF: {river:,.1f} ev/s (learn {learn_s * 1e6:.1f} us, rank {rank_s * 1e3:.2f} ms)")
    ours = {}
    for model in DEFAULT_MODELS:
        ours[model] = len(events) / time_ours(events, model)
        print(f"{model}: {ours[model]:,.0f} ev/s, {ours[model] / river:,.0f} x River")
    if args.out:
        row = {
            "dataset": args.dataset,
            "min_rating": args.min_rating,
            "events": len(events),
            "river_events_per_second": river,
            "events_per_second": ours,
            "ratio": {model: speed / river for model, speed in ours.items()},
            "versions": versions(),
        }
        with args.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
