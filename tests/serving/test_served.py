"""`engram serve` as a process, its client, and what a kill leaves: nothing that was accepted is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.access import hash_of
from serving.bodies import EventIn
from serving.client import ApiError, EngramClient, UnreachableError


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


def test_a_kill_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process):
        wait_until_ready(client)
        accepted = 0
        for at in range(30):
            client.send([EventIn(user=f"u{at}", item=f"{n}", rating=4.0) for n in range(5)])
            accepted += 5
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(UnreachableError):
            client.models()
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
        deadline_s = time.monotonic() + 60
        while client.prequential().events < accepted + 1 and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert client.prequential().events == accepted + 1
        position = client.take_back("zoe", "1")
        assert client.user("zoe", after=position).events == 0
        assert not client.user("zoe", after=client.forget("zoe")).known
        assert client.recommend("zoe", k=3, explain=True, seen=False).cold == "new user"


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
