"""`engram serve` as a process, its client, and what a kill leaves: nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engram import part_hosts
from engram.parts import create_topics
from engram.serve_part import Order
from eventlog.sqlite_log import SqliteLog
from serving.access import hash_of
from serving.bodies import EventIn
from serving.client import ApiError, EngramClient, UnreachableError
from serving.link import AwayError, Link
from serving.live_evaluator import FiguresOfNow
from tests.serving.live_api import TOPICS, settings_in


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[EngramClient, subprocess.Popen[str]]]:
    """A served API over an embedded log in `folder`, and a client of it."""
    command = [
        sys.executable,
        "-m",
        "engram",
        "serve",
        "--port",
        "0",
        "--model",
        "popularity",
        "--model",
        "hebbian",
    ]
    places = ["--log-path", str(folder / "log.sqlite"), "--checkpoint-dir", str(folder / "checkpoints")]
    scale = ["--rating-min", "1", "--rating-max", "5"]
    with (
        (folder / "serve.log").open("ab") as said,
        subprocess.Popen(
            [*command, *places, *scale, *arguments], stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "serve.log").read_text("utf-8")
            with EngramClient(f"http://127.0.0.1:{json.loads(line)['port']}") as client:
                yield client, process
        finally:
            process.terminate()
            process.wait(60)


def wait_until_ready(client: EngramClient) -> None:
    deadline_s = time.monotonic() + 300
    while not client.ready():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def parts_of(process: subprocess.Popen[str]) -> dict[str, int]:
    """What a served API consists of beside itself: {"learner" or "evaluator": id of the process}."""
    found = {}
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")  # whichever thread started it
    for pid in [pid for task in tasks for pid in task.read_text().split()]:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"serve-part" in words:
            found[words[words.index(b"serve-part") + 1].decode()] = int(pid)
    return found


def wait_until(met: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 120
    while not met():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def evaluated(client: EngramClient) -> int:
    """How many events the evaluator has seen; -1 while it is not there, for it may start later than the learner."""
    try:
        return client.prequential().events
    except ApiError as error:
        assert error.status == 503
        return -1


def ended(pid: int) -> bool:
    """Whether a process is no more, or is one that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_kill_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process):
        wait_until_ready(client)
        accepted = 0
        for at in range(30):
            client.send([EventIn(user=f"u{at}", item=f"{n}", rating=4.0) for n in range(5)])
            accepted += 5
        parts = parts_of(process)
        assert parts.keys() == {"learner", "evaluator"}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(UnreachableError):
            client.models()
        # What it has started ends by itself.
        wait_until(lambda: all(map(ended, parts.values())))
    with served(tmp_path) as (client, _):
        wait_until_ready(client)
        position = client.rate("zoe", "1", 5.0)
        assert client.user("zoe", after=position).learned_events == accepted + 1
        assert len(client.user("u29").history) == 5
        # Ends by itself, with a checkpoint: the next one goes on there.
    with served(tmp_path) as (client, _):
        wait_until_ready(client)
        assert client.user("zoe").known
        assert client.similar("1", k=2).similar
        assert client.search()
        wait_until(lambda: evaluated(client) == accepted + 1)
        position = client.take_back("zoe", "1")
        assert client.user("zoe", after=position).events == 0
        assert not client.user("zoe", after=client.forget("zoe")).known
        assert client.recommend("zoe", k=3, explain=True, seen=False).cold == "new user"


def test_a_killed_learner_comes_back_by_itself_and_what_is_accepted_meanwhile_is_learned(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as (client, process):
        wait_until_ready(client)
        client.send([EventIn(user="a", item=f"{n}", rating=4.0) for n in range(5)])
        killed = parts_of(process)
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not client.ready())
        position = client.rate("zoe", "1", 5.0)  # the log takes it, whoever learns
        http = client._http
        for path in ("/v1/users/zoe/recommendations", "/v1/users/zoe", "/v1/metrics/prequential"):
            refused = http.get(path)
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["Retry-After"] == "1"
            assert "is starting again" in refused.json()["detail"]
        assert http.get("/healthz").status_code == 200
        assert "engram_events_learned_total" not in http.get("/metrics").text
        # Whoever waits for a position need not ask again.
        patient = http.get("/v1/users/zoe", params={"after": position, "after_timeout_s": 60}, timeout=90)
        assert patient.json()["learned_events"] == 6
        wait_until_ready(client)
        parts = parts_of(process)
        assert parts.keys() == {"learner", "evaluator"}
        assert not set(parts.values()) & set(killed.values())
        said = http.get("/metrics").text
        assert "engram_events_learned_total" in said and "engram_http_requests_total" in said
        for name in ("api", "learner", "evaluator"):
            assert f'process_resident_memory_bytes{{process="{name}"}}' in said
        wait_until(lambda: evaluated(client) == 6)
    assert process.returncode == 0
    assert all(map(ended, parts.values()))
    # Another model cannot go on from that checkpoint: the learner says so, and so does what started it.
    other = [sys.executable, "-m", "engram", "serve", "--port", "0", "--model", "popularity"]
    places = ["--log-path", str(tmp_path / "log.sqlite"), "--checkpoint-dir", str(tmp_path / "checkpoints")]
    scale = ["--rating-min", "1", "--rating-max", "5"]
    done = subprocess.run([*other, *places, *scale], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("engram: ")
    assert "checkpoint" in done.stderr.splitlines()[-1]


def test_a_part_that_ends_again_and_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_hosts, "MOST_RESTARTS", 0)
    settings = settings_in(tmp_path)
    with SqliteLog(settings.log_path) as log:
        create_topics(log, TOPICS, 1)
    link = Link("evaluator")
    host = part_hosts.PartProcess(Order("evaluator", settings, None), link)
    host.begin()
    try:
        host.start()
        assert host.pid is not None
        os.kill(host.pid, signal.SIGKILL)
        wait_until(lambda: link.failure)
        assert str(link.failure) == "the evaluator ends again and again, the last time with signal 9"
        assert host.pid is None
        with pytest.raises(AwayError, match="ends again and again"):
            asyncio.run(link.ask(FiguresOfNow(), 1.0))
    finally:
        host.stop()


def test_a_client_says_what_is_wrong(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# of the page\n{hash_of('secret')}\n", "utf-8")
    with served(tmp_path, "--api-keys", str(keys)) as (client, _):
        wait_until_ready(client)
        with pytest.raises(ApiError, match="401: expected a key"):
            client.models()
        with EngramClient(str(client._http.base_url), api_key="secret") as allowed:
            assert allowed.models().default == "hebbian"
            with pytest.raises(ApiError) as found:
                allowed.rate("a", "1", 11.0)
            assert found.value.errors == ("events[0]: rating_out_of_scale: rating is 11, expected 1 to 5",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "0.0.0.0"], "expected --api-keys FILE where others can ask"),
        (["--api-keys", "none.txt"], "expected a file of SHA-256 hashes"),
        (["--port", "-1"], "port"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(arguments: list[str], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engram", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert said in done.stderr
