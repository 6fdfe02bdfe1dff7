"""Several producers share a replay: each writes partitions of its own, and the log is that of one producer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eventlog.errors import SettingsError
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from producers.replay import Pace, Replay
from producers.synthetic import SyntheticConfig, SyntheticStream
from tests.producers.log_contents import TOPICS, create_topics, records

PARTITIONS = 3
STREAM = SyntheticStream(SyntheticConfig(events=18_001, users=60, items=90))


def values(log: SqliteLog, topic: str) -> list[list[bytes | None]]:
    """Everything of the topic, partition by partition: events, START, watermarks and END."""
    return [records(log, topic, partition).values for partition in range(PARTITIONS)]


def produce(path: Path, *own: str) -> subprocess.Popen[str]:
    arguments = ["produce", "synthetic", "--limit", "30000", "--partitions", str(PARTITIONS), *own]
    return subprocess.Popen(
        [sys.executable, "-m", "engram", *arguments, "--log-path", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_write_what_one_does(tmp_path):
    alone, shared = tmp_path / "alone.sqlite", tmp_path / "shared.sqlite"
    processes = [
        produce(alone),
        produce(shared, "--own-partitions", "0,2"),
        produce(shared, "--own-partitions", "1"),
    ]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert '"finished": true' in said
    topic = Topics.with_prefix("engram").ratings
    with SqliteLog(alone) as one, SqliteLog(shared) as other:
        assert values(other, topic) == values(one, topic)


def test_each_goes_on_from_the_tail_of_its_own_partitions(tmp_path):
    with SqliteLog(tmp_path / "alone.sqlite") as alone, SqliteLog(tmp_path / "shared.sqlite") as shared:
        for log in (alone, shared):
            create_topics(log, PARTITIONS)
        one = Replay(alone, TOPICS, STREAM, Pace())
        one.run()
        one.close()
        for own, steps in (([0, 2], 1), ([1], 2), ([0, 2], 99), ([1], 99), ([1], 99)):
            part = Replay(shared, TOPICS, STREAM, Pace(), own_partitions=own)
            for _ in range(steps):
                part.step()
            part.close()
        assert values(shared, TOPICS.ratings) == values(alone, TOPICS.ratings)


@pytest.mark.parametrize(("own", "shown"), [([], "none"), ([3], "3"), ([0, 5], "0, 5"), ([-1, 1], "-1, 1")])
def test_partitions_that_are_not_there_are_refused(tmp_path, own, shown):
    with SqliteLog(tmp_path / "log.sqlite") as log:
        create_topics(log, PARTITIONS)
        with pytest.raises(SettingsError, match=f"own partitions are {shown}, expected some of 0 to 2"):
            Replay(log, TOPICS, STREAM, Pace(), own_partitions=own)


def test_the_flag_takes_numbers(tmp_path):
    process = produce(tmp_path / "log.sqlite", "--own-partitions", "0;2")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "own-partitions is '0;2', expected partition numbers separated by commas" in " ".join(said.split())
