"""How long a live event waits for a swap of the batch model: `python -m benchmarks.swap_pause --items 27000 --factors 128`.

Events come one at a time to a learner in this process; now and then a version is stored and announced. Of each event it
is measured how long it took from its append until it was learned, in wall-clock time, and in CPU time of the loop's own
thread, which other work on the machine does not add to. Events are told apart: those that came while a version was being
loaded and prepared, those before which one was adopted, and the others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from consumers.lane import LaneConfig
from consumers.learner import Learner, LearnerConfig
from eventlog.artefact import FACTORS, Artefact, Manifest, Trace, digest_of
from eventlog.codec import encode_event
from eventlog.events import RatingEvent
from eventlog.model_records import PARTITION, Announced, to_record
from eventlog.model_registry import ModelRegistry
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics

NAME = "made"
TOPICS = Topics.with_prefix("bench")


def artefact(items: int, factors: int, seed: int) -> Artefact:
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal((items, factors), np.float32) for name in ("item_in", "item_out")} | {
        "bias": np.zeros(items, np.float32)
    }
    manifest = Manifest(
        name=NAME,
        kind=FACTORS,
        encoder=Trace(),
        item_ids=[f"i{row}" for row in rng.permutation(items).tolist()],
        parameters={},
        seed=seed,
        events=seed,
        clock_time_ms=0,
        data_digest="",
        scale=(0.0, 10.0),
        created="",
    )
    return Artefact(manifest, arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=27_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--swaps", type=int, default=5)
    parser.add_argument("--model", action="append", help="beside `batch`; popularity by default")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, SqliteLog(Path(folder, "log.db")) as log:
        for topic in TOPICS:
            log.create_topic(topic, 1)
        registry = ModelRegistry(str(Path(folder, "registry")))
        models = (*(chosen.model or ["popularity"]), "batch")
        lane = LaneConfig(models, {}, max_items=max(chosen.items, 250_000), top_every=0)
        config = LearnerConfig(lane=lane, stop_at_end=False, batch_model=NAME, registry=registry.address)
        learner = Learner(log, TOPICS, config, Path(folder, "checkpoints"))
        [stream] = learner._streams
        assert stream.hand_over is not None
        writer = log.writer()

        def send(seq: int, item: int) -> None:
            event = RatingEvent(
                user=f"u{seq % 50}", item=f"i{item}", event_time_ms=seq, rating=4.0, source_id="s", source_seq=seq
            )  # fmt: skip
            writer.append(TOPICS.ratings, 0, [encode_event(event)])

        for seq in range(chosen.items):
            send(seq, seq)
        writer.flush()
        while stream.lane.learned < chosen.items:
            learner.step(0.0)
        rng = np.random.default_rng(0)
        wall, cpu, phase, loading = [], [], [], False
        every = chosen.events // chosen.swaps
        for number in range(chosen.events):
            if number % every == every // 4:
                manifest = registry.save(artefact(chosen.items, chosen.factors, number + 1))
                said = Announced(
                    name=NAME,
                    version=manifest.version,
                    digest=digest_of(manifest),
                    events=number,
                    trigger="bench",
                )
                writer.append(TOPICS.models, PARTITION, [to_record(said)])
                writer.flush()
                loading = True
            before = stream.hand_over.counts["adopted"]
            target = stream.lane.learned + 1
            started, cpu_started = time.perf_counter(), time.thread_time()
            send(chosen.items + number, int(rng.integers(chosen.items)))
            writer.flush()
            while stream.lane.learned < target:
                learner.step(0.0)
            wall.append(time.perf_counter() - started)
            cpu.append(time.thread_time() - cpu_started)
            swapped = stream.hand_over.counts["adopted"] > before
            phase.append("swap" if swapped else "loading" if loading else "other")
            loading &= not swapped
            time.sleep(0.002)
        pauses = stream.hand_over.swap_seconds
        learner.close()
        writer.close()
    for name, values in (("wall", wall), ("cpu of the loop", cpu)):
        for kind in ("other", "loading", "swap"):
            ms = 1000 * np.array(values)[np.array(phase) == kind]
            print(
                f"{name}, {kind}: {len(ms)} events, median {np.median(ms):.2f} ms, 99 % {np.quantile(ms, 0.99):.2f} ms, "
                f"longest {', '.join(f'{one:.2f}' for one in np.sort(ms)[-3:])} ms"
            )
    print(f"swaps alone, wall: {', '.join(f'{1000 * one:.2f}' for one in pauses)} ms")


if __name__ == "__main__":
    main()
