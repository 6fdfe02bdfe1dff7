"""Memory while a learner catches up with a long log: flat, however far behind it is.

    python -m benchmarks.catch_up [--events 10000000] [--users 5000] [--items 400]

Packed events of users and items drawn evenly are written to an embedded log, then learned from its beginning. The pairs of
users and items are bounded, and all have met long before the end, so whatever grows after that is not state. A line for each
tenth: events, resident memory, MiB.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from eventlog.codec import encode_pack
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics

TOPICS = Topics.with_prefix("catch-up")
PACK = 1024


def write_events(log: SqliteLog, events: int, users: int, items: int) -> None:
    """Write made events."""
    random = np.random.default_rng(11)
    user_ids = np.char.add(b"u", np.arange(users).astype("S8"))
    item_ids = np.char.add(b"i", np.arange(items).astype("S8"))
    zeros, longs = np.zeros(PACK, np.int32), np.zeros(PACK, np.int64)
    with log.writer() as writer:
        for first in range(0, events, PACK):
            seq = np.arange(first, first + PACK, dtype=np.int64)
            batch = EventBatch(
                sources=("made",),
                users=user_ids[random.integers(0, users, PACK)],
                items=item_ids[random.integers(0, items, PACK)],
                ratings=np.full(PACK, 4.0),
                event_time_ms=seq,
                kinds=np.zeros(PACK, np.uint8),
                source_index=zeros,
                source_seq=seq,
                key_hash=np.zeros(PACK, np.uint64),
                partition=zeros,
                offset=longs,
                index=zeros,
                append_time_ms=longs,
            )
            writer.append(TOPICS.ratings, 0, [encode_pack(batch)])
            if first // PACK % 64 == 63:
                writer.flush()


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--models", nargs="+", default=["popularity", "hebbian"])
    args = parser.parse_args()
    config = LearnerConfig(
        lane=LaneConfig(tuple(args.models), {}, drift="none"),
        stop_at_end=False,
        limits=Limits(rating_max=5.0),
    )
    with tempfile.TemporaryDirectory() as folder, SqliteLog(Path(folder, "log.db")) as log:
        for topic in (TOPICS.ratings, TOPICS.predictions, TOPICS.dead_letters):
            log.create_topic(topic, 1)
        write_events(log, args.events, args.users, args.items)
        learner = Learner(log, TOPICS, config, Path(folder, "checkpoints"))
        print("| events | resident, MiB |\n|---:|---:|")
        told = 0
        while learner.streams[0].lane.learned < args.events:
            learner.step(0.2)
            learned = learner.streams[0].lane.learned
            if learned * 10 // args.events > told:
                told = learned * 10 // args.events
                print(f"| {learned:,} | {resident_mib():,.0f} |", flush=True)
        learner.close()


if __name__ == "__main__":
    main()
