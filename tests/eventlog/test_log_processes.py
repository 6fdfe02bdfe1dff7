"""Several processes on one log, and processes that are killed while they append."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eventlog.open_log import open_log

SCRIPT = Path(__file__).with_name("appending_process.py")


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_append_at_once_interleave_without_gaps(under_test):
    topic = under_test.topic("t", 2)
    workers, flushes, records = 4, 20, 30
    running = [start(under_test.spec, topic, worker, flushes, records) for worker in range(workers)]
    for process in running:
        process.communicate()
        assert process.returncode == 0
    for partition in range(2):
        found = under_test.records(topic, partition)
        assert [offset for offset, _, _ in found] == list(range(workers * flushes * records))
        for worker in range(workers):
            prefix = b"%d/" % worker
            own = [value for _, _, value in found if value and value.startswith(prefix)]
            assert own == [
                b"%d/%d/%d" % (worker, flush, i) for flush in range(flushes) for i in range(records)
            ]


def test_processes_that_open_a_new_embedded_log_at_once(tmp_path):
    script = (
        "import sys; from eventlog.open_log import open_log\n"
        "with open_log(sys.argv[1]) as log: log.create_topic('t', 3)"
    )
    spec = f"embedded:{tmp_path / 'new' / 'log.db'}"
    running = [subprocess.Popen([sys.executable, "-c", script, spec]) for _ in range(6)]
    assert [process.wait() for process in running] == [0] * 6
    with open_log(spec) as log:
        assert log.topics() == {"t": 3}


def whole_flushes(spec: str, topic: str, records: int) -> int:
    """Check that every partition holds the same whole flushes, gapless; return how many."""
    counts = set()
    with open_log(spec) as log:
        for partition, bounds in log.bounds(topic).items():
            values: list[bytes | None] = []
            with log.reader(topic, [partition]) as reader:
                while reader.position(partition) < bounds.end:
                    for batch in reader.poll(10_000, 10.0):
                        values += batch.values
            assert len(values) % records == 0
            flushes = len(values) // records
            assert values == [b"w/%d/%d" % (f, i) for f in range(flushes) for i in range(records)]
            counts.add(flushes)
    assert len(counts) == 1
    return counts.pop()


def test_a_writer_killed_inside_its_transaction_leaves_the_embedded_log_whole(tmp_path):
    spec = f"embedded:{tmp_path / 'log.db'}"
    with open_log(spec) as log:
        log.create_topic("t", 3)
    process = start(spec, "t", "w", 3, 700, "kill")
    acknowledged, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert acknowledged.split() == ["0", "1"]
    assert whole_flushes(spec, "t", 700) == 2
    process = start(spec, "t", "x", 1, 5)
    process.communicate()
    assert process.returncode == 0
    with open_log(spec) as log:
        assert [bounds.end for bounds in log.bounds("t").values()] == [1405] * 3


@pytest.mark.parametrize("seed", range(5))
def test_a_writer_killed_at_any_time_keeps_what_it_acknowledged(tmp_path, seed):
    spec = f"embedded:{tmp_path / 'log.db'}"
    with open_log(spec) as log:
        log.create_topic("t", 2)
    process = start(spec, "t", "w", 1_000_000, 200)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(np.random.default_rng(seed).uniform(0.0, 0.2))
    process.kill()
    rest, _ = process.communicate()
    acknowledged = 1 + len(rest.split())
    assert acknowledged <= whole_flushes(spec, "t", 200) <= acknowledged + 1
