"""`engram ingest` as a user meets it: real processes, pipes and kills."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from eventlog.log import Log
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from tests.producers.log_contents import TOPICS, Event, all_events, letters

PREFIX = "test"
ACKNOWLEDGED = re.compile(r"acknowledged [\d,]+ events, ratings\[\d\] up to offset [\d,]+")


def line(number: int) -> bytes:
    event = {"user": f"u{number % 13}", "item": f"i{number % 31}", "rating": 4.0, "event_time_ms": number}
    return msgspec.json.encode(event) + b"\n"


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `engram ingest` on the log of `folder`."""
    log = ["--log-path", str(folder / "log.sqlite"), "--topic-prefix", PREFIX]
    return subprocess.Popen(
        [sys.executable, "-m", "engram", "ingest", *log, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    )


def run(folder: Path, *arguments: str, given: bytes = b"") -> tuple[int, list[str], list[str]]:
    """Run `engram ingest` to its end: exit code, and the lines of standard output and standard error."""
    with start(folder, *arguments) as process:
        output, errors = process.communicate(given)
    return process.returncode, output.decode().splitlines(), errors.decode().splitlines()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Log]:
    assert Topics.with_prefix(PREFIX) == TOPICS
    with SqliteLog(tmp_path / "log.sqlite") as log:
        yield log


def numbers(log: Log) -> list[int]:
    return sorted(event.seq for part in all_events(log) for event in part)


def test_a_file_with_good_and_bad_lines(tmp_path, opened):
    bad = b'{"user": "u1", "item": "i1", "rating": 99, "event_time_ms": 1}\n'
    (tmp_path / "ratings.jsonl").write_bytes(line(0) + bad + b"\n" + line(3))
    code, output, errors = run(tmp_path, "ratings.jsonl", "--source", "ratings.jsonl")
    assert (code, output) == (
        0,
        [
            "acknowledged 2 events, ratings[0] up to offset 1",
            "ratings.jsonl: 3 lines read, 2 accepted, 1 rejected, 0 in the log already",
        ],
    )
    assert errors == [
        f"line 2: rating_out_of_scale: rating is 99, expected 0 to 10: {bad.decode().rstrip()}",
    ]
    assert all_events(opened) == [
        [Event("u0", "i0", 4.0, 0, "ratings.jsonl", 0), Event("u3", "i3", 4.0, 3, "ratings.jsonl", 3)]
    ]
    assert [(one.topic, one.offset) for one in letters(opened)] == [("ingest:ratings.jsonl", 1)]
    assert run(tmp_path, "ratings.jsonl", "--source", "ratings.jsonl")[1] == [
        "ratings.jsonl: 3 lines read, 0 accepted, 0 rejected, 3 in the log already"
    ]


def test_standard_input_is_a_new_source_each_time_unless_it_is_named(tmp_path, opened):
    for arguments in ((), ("-",)):
        code, output, errors = run(tmp_path, *arguments, given=line(0) + line(1))
        assert (code, errors) == (0, [])
        assert re.fullmatch(
            r"stdin-[0-9a-f]{12}: 2 lines read, 2 accepted, 0 rejected, 0 in the log already", output[-1]
        )
    for accepted in (2, 0):
        output = run(tmp_path, "--source", "app", given=line(0) + line(1))[1]
        assert f"2 lines read, {accepted} accepted" in output[-1]
    assert numbers(opened) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.jsonl",), "file is 'missing.jsonl', expected JSON lines: No such file or directory"),
        (("--source", "", "-"), "source is '', expected 1 to 256 printable characters"),
        (("--partitions", "0", "-"), "partitions is '0'"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path, arguments, said):
    code, output, errors = run(tmp_path, *arguments)
    assert (code, output, len(errors)) == (2, [], 1)
    assert said in errors[0]


def test_an_event_is_acknowledged_while_the_pipe_is_open(tmp_path, opened):
    with start(tmp_path, "--source", "app") as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(line(number))
            process.stdin.flush()
            said = process.stdout.readline().decode().rstrip()
            assert said == f"acknowledged 1 events, ratings[0] up to offset {number}"
            assert numbers(opened) == list(range(number + 1))
        process.terminate()
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert output.decode().rstrip() == "app: 3 lines read, 3 accepted, 0 rejected, 0 in the log already"


def feed_and_kill(folder: Path, lines: Sequence[bytes], cuts: Sequence[int]) -> None:
    """Write up to the first cut, wait for an acknowledgement, write up to the second one, and kill."""
    first, second = cuts
    with start(folder, "--source", "app", "--partitions", "2") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"".join(lines[:first]))
        process.stdin.flush()
        assert ACKNOWLEDGED.match(process.stdout.readline().decode())
        process.stdin.write(b"".join(lines[first:second]))
        process.stdin.flush()
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(n, marks=pytest.mark.full) for n in range(2, 12))])
def test_killed_and_started_again_with_the_same_lines_nothing_is_lost_and_nothing_is_there_twice(
    tmp_path, opened, seed
):
    rng = np.random.default_rng(seed)
    count = 30_000
    lines = [line(number) if number % 1_000 else b"bad\n" for number in range(count)]
    cuts = sorted(rng.choice(np.arange(1_000, count), 4, replace=False).tolist())
    feed_and_kill(tmp_path, lines, cuts[:2])
    feed_and_kill(tmp_path, lines, cuts[2:])  # beyond the first, so that there is something to acknowledge
    (tmp_path / "all.jsonl").write_bytes(b"".join(lines))
    code, output, _ = run(tmp_path, "all.jsonl", "--source", "app", "--partitions", "2")
    assert code == 0
    assert output[-1].startswith(f"app: {count:,} lines read")
    found = all_events(opened)
    assert [event.seq for part in found for event in part if event.seq % 1_000 == 0] == []
    assert numbers(opened) == [number for number in range(count) if number % 1_000]
    assert all(list(part) == sorted(part, key=lambda event: event.seq) for part in found)
    assert [one.offset for one in letters(opened)] == list(range(0, count, 1_000))


def test_another_file_of_the_same_name_is_another_source(tmp_path, opened):
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "ratings.jsonl").write_bytes(line(0) + line(1))
        _, output, _ = run(tmp_path, f"{day}/ratings.jsonl")
        assert output[-1].endswith("2 lines read, 2 accepted, 0 rejected, 0 in the log already")
    _, output, _ = run(tmp_path, "tuesday/ratings.jsonl")
    assert output[-1].endswith("2 lines read, 0 accepted, 0 rejected, 2 in the log already")
