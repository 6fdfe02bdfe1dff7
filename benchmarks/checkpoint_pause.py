"""How long checkpoints of a large state stop the learner, how much each writes, and how long a restart takes.

    python -m benchmarks.checkpoint_pause [--gib 4] [--events 200000] [--folder DIR]

The state is that of `hebbian` in its bounded layout, filled at random to the size asked for; then made events are learned,
each of which changes some 40 rows wherever they lie, while checkpoints are written one after the other in the background.
The pause is what `Learner.commit` takes (CPU beside the wall clock, which on a machine with other work says little); the
longest step is any step of the loop, one with a pause or with pages copied after it. Needs memory for twice the state.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from eventlog.codec import encode_pack
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from online_models.hebbian import Hebbian, HebbianConfig

TOPICS = Topics.with_prefix("pause")
WIDTH = 256
PACK = 256


def write_events(log: SqliteLog, events: int, items: int) -> None:
    """Write made events of 50,000 users and all items."""
    random = np.random.default_rng(7)
    with log.writer() as writer:
        for first in range(0, events, PACK):
            n = min(PACK, events - first)
            seq = np.arange(first, first + n, dtype=np.int64)
            batch = EventBatch(
                sources=("made",),
                users=np.char.add(b"u", random.integers(0, 50_000, n).astype("S8")),
                items=np.char.add(b"i", random.integers(0, items, n).astype("S8")),
                ratings=np.full(n, 4.0),
                event_time_ms=seq * 1_000,
                kinds=np.zeros(n, np.uint8),
                source_index=np.zeros(n, np.int32),
                source_seq=seq,
                key_hash=np.zeros(n, np.uint64),
                partition=np.zeros(n, np.int32),
                offset=np.zeros(n, np.int64),
                index=np.arange(n, dtype=np.int32),
                append_time_ms=np.zeros(n, np.int64),
            )
            writer.append(TOPICS.ratings, 0, [encode_pack(batch)])


def fill(learner: Learner, items: int) -> None:
    """Give the lane `items` items, whose rows are full of synapses."""
    [stream] = learner.streams
    rows, model = stream.lane.rows, stream.lane.models["hebbian"]
    assert isinstance(model, Hebbian)
    for first in range(0, items, 1 << 16):
        rows.learn_of(np.char.add(b"i", np.arange(first, min(first + (1 << 16), items)).astype("S8")))
    model._reserve(items)
    synapses, random = model._store.synapses, np.random.default_rng(3)
    for first in range(0, items, 1 << 14):
        part = slice(first, min(first + (1 << 14), items))
        shape = synapses.weight[part].shape
        synapses.weight[part] = random.random(shape, np.float32)
        synapses.post[part] = random.integers(0, items, shape, np.int32)
    synapses.used[:items] = WIDTH


def time_commits(learner: Learner, pauses: list[tuple[float, float]]) -> None:
    """Note of each commit that does not wait the seconds of wall clock and of CPU that it takes."""
    commit = learner.commit

    def timed(*, wait: bool = True) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        commit(wait=wait)
        if not wait:
            pauses.append((time.perf_counter() - wall, time.process_time() - cpu))

    learner.commit = timed  # type: ignore[method-assign]


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    items = int(args.gib * 2**30) // (WIDTH * 8)
    hebbian = HebbianConfig(direct_neurons=0, row_synapses=WIDTH)
    lane = LaneConfig(("hebbian",), {"hebbian": hebbian}, max_items=2 * items, drift="none", top_every=0)
    config = LearnerConfig(
        lane=lane, batch_size=1024, checkpoint_every_s=0.5, stop_at_end=False, limits=Limits(rating_max=5.0)
    )
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, SqliteLog(Path(folder, "log.db")) as log:
        for topic in (TOPICS.ratings, TOPICS.predictions, TOPICS.dead_letters):
            log.create_topic(topic, 1)
        write_events(log, args.events, items)
        learner = Learner(log, TOPICS, config, Path(folder, "checkpoints"))
        while not learner.step(0.1):  # what is compiled, is compiled now
            pass
        fill(learner, items)
        [stream] = learner.streams
        pauses: list[tuple[float, float]] = []
        time_commits(learner, pauses)
        longest, durable, began, children = 0.0, [], None, 0.0
        forks: list[float] = []
        while stream.lane.learned < args.events:
            started = time.perf_counter()
            had = stream.snapshot
            learner.step(0.1)
            longest = max(longest, time.perf_counter() - started)
            if stream.snapshot is not had:
                if had is not None and began is not None:
                    durable.append(time.perf_counter() - began)
                began = time.perf_counter()
                if stream.snapshot is not None:
                    forks.append(round(1e3 * stream.snapshot.pause_s, 1))
        learner.close()
        objects = sum(path.stat().st_size for path in Path(folder, "checkpoints").rglob("objects/*"))
        del stream, learner
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        started, cpu = time.perf_counter(), time.process_time()
        again = Learner(log, TOPICS, config, Path(folder, "checkpoints"))
        restore = (time.perf_counter() - started, time.process_time() - cpu)
        state = again.streams[0].state_bytes
        learned = again.streams[0].lane.learned
        again.close()
    print(
        json.dumps(
            {
                "state_gib": round(state / 2**30, 2),
                "checkpoints": len(pauses),
                "pause_ms_wall": [round(1e3 * wall, 1) for wall, _ in pauses],
                "fork_ms": forks,
                "pause_ms_cpu": [round(1e3 * cpu, 1) for _, cpu in pauses],
                "longest_step_ms": round(1e3 * longest, 1),
                "seconds_until_durable": [round(one, 1) for one in durable],
                "child_cpu_s": round(children, 1),
                "objects_gib_of_three_versions": round(objects / 2**30, 2),
                "restore_s_wall_cpu": [round(one, 1) for one in restore],
                "learned": learned,
            }
        )
    )


if __name__ == "__main__":
    main()
