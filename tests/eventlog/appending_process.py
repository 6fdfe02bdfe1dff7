"""A process that appends, for tests of several processes and of processes that are killed.

Usage: python appending_process.py SPEC TOPIC WORKER FLUSHES RECORDS [kill]
Each flush appends RECORDS records `WORKER/FLUSH/PLACE` to every partition, then prints its number. With `kill`
the process kills itself inside the transaction of its last flush, after a part of it is written.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from eventlog.log import Log, Record
from eventlog.open_log import open_log
from eventlog.sqlite_log import SqliteLog


def main(spec: str, topic: str, worker: str, flushes: str, records: str, *kill: str) -> None:
    calls = 0

    def clock_that_kills() -> int:
        # The clock is read once a partition, inside the transaction: the second time, one is written.
        nonlocal calls
        calls += 1
        if last and calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return time.time_ns() // 1_000_000

    log: Log = SqliteLog(spec.partition(":")[2], now_ms=clock_that_kills) if kill else open_log(spec)
    partitions = log.partition_count(topic)
    with log.writer() as writer:
        for flush in range(int(flushes)):
            last = flush == int(flushes) - 1
            calls = 0
            for partition in range(partitions):
                values = (b"%s/%d/%d" % (worker.encode(), flush, i) for i in range(int(records)))
                writer.append(topic, partition, [Record(None, value) for value in values])
            writer.flush()
            print(flush, flush=True)
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
