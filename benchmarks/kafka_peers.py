"""Engram through Kafka beside its peers, in one run on one broker: what limits, and what a state update an event costs.

    python -m benchmarks.kafka_peers --data-dir DIR --peer-python VENV/bin/python [--bootstrap HOST:PORT] [--events N]

The same events, one a message, keyed by user, are consumed by (1) kafka-python alone, which only counts: the ceiling of the
client; (2) quix-streams with one stateful update an event, a count for each user; (3) Engram: learner (`hebbian`, tested on
the whole catalogue before it learns each event) and evaluator, two processes. Then Engram with packs of 256. Everything is in
the log beforehand; the clock runs from the first message to the last. CPU is that of the measured processes without their
start; the broker's is not in it. The peers run in a virtual environment of their own, which has kafka-python, crc32c and
quixstreams; a local broker is started where none is named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from consumers.evaluator import Evaluator
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from engram.parts import create_topics
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.warm import warm_up_evaluator, warm_up_learner
from eventlog.event_checks import Limits
from eventlog.kafka_log import KafkaLog
from eventlog.local_broker import ephemeral_broker
from eventlog.topics import Topics
from producers.replay import Pace, Replay, single_records
from producers.stream import EventStream

_COUNT = """
import json, sys, time
from kafka import KafkaConsumer, TopicPartition
address, topic, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = KafkaConsumer(bootstrap_servers=address, max_poll_records=10000, max_partition_fetch_bytes=8 << 20)
place = TopicPartition(topic, 0)
consumer.assign([place])
consumer.seek_to_beginning(place)
count, began = 0, None
while count < events:
    for records in consumer.poll(1000).values():
        if began is None:
            began, cpu = time.perf_counter(), time.process_time()
            events -= len(records)
        else:
            count += len(records)
print(json.dumps({"events": count, "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}))
"""

_QUIX = """
import json, logging, sys, tempfile, time, uuid
from quixstreams import Application
address, topic, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Application(
    broker_address=address, consumer_group=str(uuid.uuid4()), auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(), loglevel="ERROR", commit_interval=5.0,
)
seen = {"count": 0}

def update(value, state):
    if not seen["count"]:
        seen["began"], seen["cpu"] = time.perf_counter(), time.process_time()
    seen["count"] += 1
    state.set("events", state.get("events", 0) + 1)
    return value

frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))
frame = frame.update(update, stateful=True)
app.run(count=events, timeout=60)
seconds, cpu = time.perf_counter() - seen["began"], time.process_time() - seen["cpu"]
print(json.dumps({"events": seen["count"], "seconds": seconds, "cpu_s": cpu}))
"""


def peer(python: str, script: str, *arguments: object) -> dict[str, float]:
    """Run a peer and return what it measured."""
    command = [python, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def learn(address: str, prefix: str, folder: Path, gate: Any, out: Any) -> None:
    """The learner's process."""
    lane = LaneConfig(("hebbian",), {}, scale=(0.0, 5.0))
    config = LearnerConfig(lane=lane, checkpoint_every_events=100_000, limits=Limits(rating_max=5.0))
    warm_up_learner(lane, 1)
    with KafkaLog(address) as log:
        learner = Learner(log, Topics.with_prefix(prefix), config, folder)
        gate.wait()
        began, cpu = time.time(), time.process_time()
        learner.run()
        out.put(
            {"learner": began, "cpu_s": time.process_time() - cpu, "events": learner.streams[0].lane.learned}
        )
        learner.close()


def evaluate(address: str, prefix: str, gate: Any, out: Any) -> None:
    """The evaluator's process."""
    warm_up_evaluator()
    with KafkaLog(address) as log, Evaluator(log, Topics.with_prefix(prefix).predictions) as evaluator:
        gate.wait()
        cpu = time.process_time()
        while not evaluator.done:
            evaluator.step(0.2)
        out.put({"ended": time.time(), "cpu_s": time.process_time() - cpu})


def engram(address: str, prefix: str) -> dict[str, float]:
    """Learn and evaluate what is in the log."""
    context = multiprocessing.get_context("spawn")
    gate, out = context.Barrier(2), context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=learn, args=(address, prefix, Path(folder), gate, out)),
            context.Process(target=evaluate, args=(address, prefix, gate, out)),
        ]
        for process in processes:
            process.start()
        said = [out.get(), out.get()]
        for process in processes:
            process.join()
    both = {name: value for one in said for name, value in one.items()}
    return {
        "events": both["events"],
        "seconds": both["ended"] - both["learner"],
        "cpu_s": sum(one["cpu_s"] for one in said),
    }


def write(address: str, stream: EventStream, events: int, pack: int) -> tuple[str, float]:
    """Write the events for Engram; returns the prefix, and the producer's seconds of CPU."""
    prefix = f"peers-{uuid.uuid4().hex[:8]}"
    topics = Topics.with_prefix(prefix)
    with KafkaLog(address) as log:
        create_topics(log, topics, 1)
        cpu = time.process_time()
        replay = Replay(log, topics, stream, Pace(pack=pack))
        replay.run()
        replay.close()
        cpu = time.process_time() - cpu
        if pack == 1:
            log.create_topic(f"{prefix}.plain", 1)
            with log.writer() as writer:
                block = stream.block(0, events)
                writer.append(f"{prefix}.plain", 0, single_records("peers", block, np.arange(events)))
    return prefix, cpu


def main() -> None:
    """Print a Markdown table: who, events a second, CPU an event."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--min-rating", type=float, default=4.0)
    parser.add_argument("--events", type=int, default=100_000, help="one a message; packed, all of them")
    parser.add_argument("--quix-events", type=int, default=20_000)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--bootstrap", default=None)
    args = parser.parse_args()
    few = Settings(
        dataset=args.dataset, data_dir=str(args.data_dir), min_rating=args.min_rating, limit=args.events
    )
    everything = Settings(dataset=args.dataset, data_dir=str(args.data_dir), min_rating=args.min_rating)
    folder = find_source(few).folder
    with contextlib.ExitStack() as stack:
        address = args.bootstrap
        if address is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            address = stack.enter_context(ephemeral_broker(directory)).address
        print("| what | events | events/s | CPU us/event |\n|---|---:|---:|---:|")

        def row(what: str, said: dict[str, float]) -> None:
            events = said["events"]
            print(
                f"| {what} | {events:,.0f} | {events / said['seconds']:,.0f} | {1e6 * said['cpu_s'] / events:.1f} |",
                flush=True,
            )

        single, produced = write(address, open_stream(few, folder), args.events, 1)
        print(f"| producer, one event a message | {args.events:,} | | {1e6 * produced / args.events:.1f} |")
        row(
            "kafka-python, only counts",
            peer(args.peer_python, _COUNT, address, f"{single}.plain", args.events),
        )
        row(
            "quix-streams, a state update an event",
            peer(args.peer_python, _QUIX, address, f"{single}.plain", args.quix_events),
        )
        row("Engram (hebbian, evaluator), one event a message", engram(address, single))
        row(
            "kafka-python, only counts",
            peer(args.peer_python, _COUNT, address, f"{single}.plain", args.events),
        )
        stream = open_stream(everything, folder)
        packed, produced = write(address, stream, stream.total_events, 256)
        print(
            f"| producer, packs of 256 | {stream.total_events:,} | | {1e6 * produced / stream.total_events:.1f} |"
        )
        row("Engram (hebbian, evaluator), packs of 256", engram(address, packed))


if __name__ == "__main__":
    main()
