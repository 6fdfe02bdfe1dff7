"""A real Kafka broker on this machine without Docker: one node, bound to 127.0.0.1, detached from its starter.

`up` starts it in a directory that holds everything of it (settings, data, log), `status` and `down` find it there
again, from any process. Whether it runs is read from the lock that Kafka holds on its data, never from a process
id alone, so that a stale id does no harm. POSIX only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from eventlog.broker_jars import find_jars, find_java
from eventlog.errors import BrokerError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_READY = b"Kafka Server started"
# Constant: a random one that starts with "-" would break the storage tool.
_CLUSTER_ID = "ZW5ncmFtLWxvY2FsLTAwMQ"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=1
default.replication.factor=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.check.interval.ms={retention_check_interval_ms}
log.initial.task.delay.ms={first_retention_check_ms}
"""

_LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn">
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d %p %c: %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="kafka.server.KafkaRaftServer" level="info"/>
    <Root level="warn"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""

# The broker outlives its handle; this keeps the handles of this process's own children, to reap them.
_children: dict[int, subprocess.Popen[bytes]] = {}


class BrokerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A local broker: whether it runs, where it listens (`address` is HOST:PORT), and where its files are."""

    running: bool
    address: str
    pid: int
    directory: str
    log_path: str


class _State(msgspec.Struct, kw_only=True):
    """What `up` leaves in the directory for later calls."""

    pid: int
    port: int
    controller_port: int


def default_directory() -> Path:
    """Return where a user's broker lives: `$XDG_STATE_HOME/engram/kafka`, ~/.local/state without it."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "kafka"


def _xdg(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable)
    return (Path(value) if value else Path.home() / fallback) / "engram"


def up(
    directory: Path | None = None,
    port: int | None = None,
    *,
    heap_mb: int = 512,
    retention_check_interval_ms: int = 300_000,
) -> BrokerStatus:
    """Start the broker in `directory` and wait until it serves; one that runs there is left as it is.

    port: the one to listen on; without one that of the last start, or a free one. Data of earlier starts is
    kept. Raises `BrokerError` when something to start it is missing, the port is in use, it runs on another
    port, or it does not come up (with the tail of its log).
    """
    directory = (directory or default_directory()).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        now = status(directory)
        if now.running:
            if port is not None and now.address != _address(port):
                raise BrokerError(f"{directory}: a broker runs on {now.address}, expected {_address(port)}")
            return now
        java, jars = find_java(), find_jars(_xdg("XDG_CACHE_HOME", ".cache"))
        last = _read_state(directory)
        if port is None:
            port = last.port if last and _is_free(last.port) else _free_port()
        elif not _is_free(port):
            raise BrokerError(f"port {port} is in use; choose another, or stop what listens there")
        controller_port = _free_port()
        settings = directory / "server.properties"
        settings.write_text(
            _PROPERTIES.format(
                port=port,
                controller_port=controller_port,
                data=directory / "data",
                retention_check_interval_ms=retention_check_interval_ms,
                first_retention_check_ms=min(retention_check_interval_ms, 30_000),
            )
        )
        logging = directory / "log4j2.xml"
        logging.write_text(_LOGGING)
        # Serial collector and first-tier compiler: a small process that starts fast.
        machine = [java, f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        machine += [f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", jars]
        log_path = directory / "broker.log"
        with log_path.open("wb") as log:
            _format(machine, settings, log, log_path)
            broker = subprocess.Popen(
                [*machine, "kafka.Kafka", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                start_new_session=True,
            )
        _children[broker.pid] = broker
        state = _State(pid=broker.pid, port=port, controller_port=controller_port)
        (directory / "broker.json").write_bytes(msgspec.json.encode(state))
        try:
            _wait_until_ready(broker, log_path)
        except BaseException:
            _stop(directory, broker.pid, signal.SIGKILL)
            raise
        return status(directory)


def down(directory: Path | None = None) -> bool:
    """Stop the broker in `directory`, its data kept; return whether one ran."""
    directory = (directory or default_directory()).resolve()
    if not directory.exists():
        return False
    with _locked(directory):
        now = status(directory)
        if now.running:
            _stop(directory, now.pid, signal.SIGTERM)
        return now.running


def status(directory: Path | None = None) -> BrokerStatus:
    """Say whether the broker in `directory` runs, and where."""
    directory = (directory or default_directory()).resolve()
    state = _read_state(directory)
    return BrokerStatus(
        running=state is not None and _data_is_locked(directory),
        address=_address(state.port) if state else "",
        pid=state.pid if state else 0,
        directory=str(directory),
        log_path=str(directory / "broker.log"),
    )


@contextlib.contextmanager
def ephemeral_broker(
    directory: Path, *, retention_check_interval_ms: int = 300_000
) -> Iterator[BrokerStatus]:
    """Run a broker on a free port for the length of a `with` block; its files stay in `directory`."""
    try:
        yield up(directory, retention_check_interval_ms=retention_check_interval_ms)
    finally:
        down(directory)


def _format(machine: list[str], settings: Path, log: IO[bytes], log_path: Path) -> None:
    """Prepare the data directory; one that is prepared is left as it is."""
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID]
    ran = subprocess.run(
        [*machine, *tool, "-c", str(settings)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ran.returncode:
        raise BrokerError(f"the broker's data cannot be formatted:\n{_tail(log_path)}")


def _wait_until_ready(broker: subprocess.Popen[bytes], log_path: Path) -> None:
    """Wait for the broker's own word in its log: an open port comes earlier, and is not readiness."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while _READY not in log_path.read_bytes():
        if broker.poll() is not None:
            raise BrokerError(f"the broker ended with {broker.returncode} while starting:\n{_tail(log_path)}")
        if time.monotonic() > deadline:
            raise BrokerError(f"the broker did not start in {START_TIMEOUT_S:.0f} s:\n{_tail(log_path)}")
        time.sleep(0.05)


def _stop(directory: Path, pid: int, first: signal.Signals) -> None:
    """End the broker, harder when it does not go, and wait until its data is released."""
    for number in (first, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            child = _children.get(pid)
            gone = child.poll() is not None if child else not _data_is_locked(directory)
            if gone:
                _children.pop(pid, None)
                return
            time.sleep(0.02)
    raise BrokerError(f"{directory}: the broker (process {pid}) does not end")


def _data_is_locked(directory: Path) -> bool:
    """Whether a process holds Kafka's own lock on the data directory."""
    try:
        with (directory / "data" / ".lock").open("r+b") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time start or stop the broker of `directory`."""
    with (directory / "starting.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_state(directory: Path) -> _State | None:
    try:
        return msgspec.json.decode((directory / "broker.json").read_bytes(), type=_State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _address(port: int) -> str:
    return f"127.0.0.1:{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the broker itself binds: a port left in TIME_WAIT can be taken again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-20:])
