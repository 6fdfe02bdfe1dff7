"""Produce and consume rates of both logs: single 75-byte records, and packs of 256 events.

Run: python -m benchmarks.log_throughput [--log embedded:PATH | --log kafka:HOST:PORT] [--records N]
Without --log: the embedded log in a temporary directory, and a local broker started for the run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eventlog.codec import encode_pack
from eventlog.events import EventBatch
from eventlog.local_broker import ephemeral_broker
from eventlog.log import Log, Record
from eventlog.open_log import open_log

PACK = 256
ROUNDS = 3
PER_FLUSH = 10_000


def single_records(count: int) -> list[Record]:
    value = b"x" * 75
    return [Record(b"user%d" % (i % 5000), value) for i in range(count)]


def packs(count: int) -> list[Record]:
    ids = np.arange(PACK)
    columns = {name: np.zeros(PACK, np.int32) for name in ("source_index", "partition", "index")}
    batch = EventBatch(
        sources=("bench",),
        users=ids.astype("S4"),
        items=ids.astype("S4"),
        ratings=np.full(PACK, 4.0),
        event_time_ms=ids.astype(np.int64),
        kinds=np.zeros(PACK, np.uint8),
        source_seq=ids.astype(np.int64),
        key_hash=np.zeros(PACK, np.uint64),
        offset=np.zeros(PACK, np.int64),
        append_time_ms=np.zeros(PACK, np.int64),
        **columns,
    )
    return [encode_pack(batch)] * count


def seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(log: Log, records: list[Record], poll_records: int) -> tuple[float, float]:
    """Median records per second (produced, consumed) over `ROUNDS` fresh topics."""
    produced, consumed = [], []
    for _ in range(ROUNDS):
        topic = f"bench-{uuid.uuid4().hex[:12]}"
        log.create_topic(topic, 1)

        def produce(topic: str = topic) -> None:
            with log.writer() as writer:
                for start in range(0, len(records), PER_FLUSH):
                    writer.append(topic, 0, records[start : start + PER_FLUSH])

        def consume(topic: str = topic) -> None:
            with log.reader(topic, [0]) as reader:
                while reader.position(0) < len(records):
                    reader.poll(poll_records, 1.0)

        produced.append(len(records) / seconds(produce))
        consumed.append(len(records) / seconds(consume))
        log.delete_topic(topic)
    return statistics.median(produced), statistics.median(consumed)


def report(spec: str, count: int) -> None:
    with open_log(spec) as log:
        rates = {
            "single": (1, measure(log, single_records(count), 10_000)),
            f"packs of {PACK}": (PACK, measure(log, packs(count // 5), 64)),
        }
    for name, (events, (produced, consumed)) in rates.items():
        print(
            f"{spec.partition(':')[0]:9} {name:12} {produced * events:14,.0f} events/s produced "
            f"{consumed * events:14,.0f} events/s consumed"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", help="embedded:PATH or kafka:HOST:PORT")
    parser.add_argument("--records", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.log:
        report(arguments.log, arguments.records)
        return
    with tempfile.TemporaryDirectory() as directory:
        report(f"embedded:{directory}/log.db", arguments.records)
        start = time.perf_counter()
        with ephemeral_broker(Path(directory) / "kafka") as broker:
            print(f"kafka     broker up in {time.perf_counter() - start:.1f} s")
            report(f"kafka:{broker.address}", arguments.records)


if __name__ == "__main__":
    main()
