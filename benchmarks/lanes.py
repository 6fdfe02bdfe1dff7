"""What it costs to learn in lanes: quality against one partition, staleness, traffic and speed.

    python -m benchmarks.lanes --data-dir DIR [--partitions 1 2 4 8] [--learners 1 2] [--share-every 0 4096] [--out FILE]

Each cell is one replay through an embedded log: learners (processes, each with its share of the partitions) that learn
each partition as a lane of its own, with (`--share-every` N) or without (0) telling each other what they learn of items.
The log is written beforehand; the clock runs from the first learner's first event to the last one's last. Recall@10 is that
of the events with source_seq in the last 70 %, in the stream's own order, over all lanes: the same events in every cell.
Staleness is half the events between exchanges on average, of each other lane, and what the lanes run apart: a
learner steps its lanes in turn, and of two learners one ends first.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.warm import warm_up_learner
from eventlog.event_checks import Limits
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from producers.replay import Pace, Replay

TOPICS = Topics.with_prefix("lanes")
K = 10


def learn(
    path: Path, partitions: Sequence[int], config: LearnerConfig, folder: Path, gate: Any, out: Any
) -> None:
    """Learn some partitions to their ends, and say what it took."""
    warm_up_learner(config.lane, len(partitions))
    with SqliteLog(path) as log:
        learner = Learner(log, TOPICS, config, folder, partitions=partitions)
        gate.wait()
        began, cpu = time.time(), time.process_time()
        learner.run()
        ended, cpu = time.time(), time.process_time() - cpu
        exchanges = [stream.exchange for stream in learner.streams if stream.exchange is not None]
        said = {
            "began": began,
            "ended": ended,
            "cpu_s": cpu,
            "events": sum(stream.lane.learned for stream in learner.streams),
            "sent": sum(exchange.bytes_sent for exchange in exchanges),
            "exchanges": sum(exchange.folds for exchange in exchanges),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        learner.close()
        out.put(said)


def recall(log: SqliteLog, model: str, events: int) -> float:
    """Recall@10 of the last 70 % of the stream's events, without repeats."""
    hits = ranked = 0
    for partition, bounds in log.bounds(TOPICS.predictions).items():
        with log.reader(TOPICS.predictions, [partition]) as reader:
            while reader.position(partition) < bounds.end:
                for batch in reader.poll(1_000, 1.0):
                    for value in batch.values:
                        said = decode_prediction(value or b"")
                        if isinstance(said, PredictionBlock):
                            late = (said.source_seq >= 0.3 * events) & (said.ranks[model] != 0)
                            ranks = said.ranks[model][late]
                            hits += int(((ranks > 0) & (ranks <= K)).sum())
                            ranked += len(ranks)
    return hits / ranked


def cell(log: SqliteLog, path: Path, args: Any, partitions: int, learners: int, share: int) -> dict[str, Any]:
    """Learn everything once."""
    for topic in (TOPICS.predictions, TOPICS.contributions):
        log.delete_topic(topic)
    log.create_topic(TOPICS.predictions, partitions)
    lane = LaneConfig(tuple(args.models), {}, scale=(0.0, 5.0), share=share > 0 and partitions > 1)
    config = LearnerConfig(
        lane=lane,
        merge=False,
        batch_size=args.batch_size,
        checkpoint_every_events=10**9,
        checkpoint_every_s=1e9,
        share_every_events=share or 1,
        share_every_s=1e9,
        limits=Limits(rating_max=5.0),
    )
    context = multiprocessing.get_context("spawn")
    gate, out = context.Barrier(learners), context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(
                target=learn,
                args=(path, range(partitions)[number::learners], config, Path(folder), gate, out),
            )
            for number in range(learners)
        ]
        for process in processes:
            process.start()
        said = [out.get() for _ in processes]
        for process in processes:
            process.join()
    events = sum(one["events"] for one in said)
    seconds = max(one["ended"] for one in said) - min(one["began"] for one in said)
    exchanges = sum(one["exchanges"] for one in said)
    return {
        "partitions": partitions,
        "learners": learners,
        "share_every": share if partitions > 1 else 0,
        **{f"recall_at_10_{name}": round(recall(log, name, events), 5) for name in args.models},
        "traffic_bytes_an_event": round(sum(one["sent"] for one in said) / events, 1),
        "exchanges": exchanges,
        "events_per_second": round(events / seconds),
        "cpu_us_an_event": round(1e6 * sum(one["cpu_s"] for one in said) / events, 2),
        "peak_mib": round(sum(one["peak_mib"] for one in said)),
    }


def main() -> None:
    """Print a row of JSON per cell, and write all as CSV."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--min-rating", type=float, default=4.0)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--learners", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--share-every", type=int, nargs="+", default=[0, 1024, 4096])
    parser.add_argument("--models", nargs="+", default=["popularity", "decayed_popularity", "hebbian"])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    settings = Settings(
        dataset=args.dataset, data_dir=str(args.data_dir), min_rating=args.min_rating, limit=args.limit
    )
    stream = open_stream(settings, find_source(settings).folder)
    rows: list[dict[str, Any]] = []
    for partitions in args.partitions:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "log.db")
            with SqliteLog(path) as log:
                log.create_topic(TOPICS.ratings, partitions)
                replay = Replay(log, TOPICS, stream, Pace())
                replay.run()
                replay.close()
                for learners in [one for one in args.learners if one <= partitions]:
                    for share in args.share_every if partitions > 1 else [0]:
                        rows.append(cell(log, path, args, partitions, learners, share))
                        print(json.dumps(rows[-1]), flush=True)
    if args.out:
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
