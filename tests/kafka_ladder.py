"""Where the tests find a real Kafka broker: an address in the environment, Docker, or a local JVM.

Docker and the JVM are started here; the local broker is shared by all workers of pytest-xdist.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

from eventlog import local_broker
from eventlog.broker_jars import KAFKA_VERSION
from eventlog.errors import BrokerError

ADDRESS_VARIABLE = "ENGRAM_TEST_KAFKA"
RETENTION_CHECK_INTERVAL_MS = 1000


class NoBrokerError(Exception):
    """No rung of the ladder holds; the message says what each one lacks."""


@contextlib.contextmanager
def kafka_broker(shared: Path) -> Iterator[str]:
    """Yield HOST:PORT of a broker. `shared` is a directory common to all workers. Raises `NoBrokerError`."""
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        yield address
        return
    with contextlib.ExitStack() as stack:
        found, no_docker = _try_docker(stack)
        if found is None:
            try:
                found = stack.enter_context(_local_jvm(shared))
            except BrokerError as no_jvm:
                raise NoBrokerError(
                    f"no Kafka broker: {ADDRESS_VARIABLE} is not set; Docker: {no_docker}; local: {no_jvm}"
                ) from None
        yield found


def _try_docker(stack: contextlib.ExitStack) -> tuple[str | None, str]:
    """Return the address of a container, or None and why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return stack.enter_context(_container()), ""
        except Exception as error:  # whatever Docker's client raises, the next rung is tried
            why = str(error)
        gc.collect()  # the client leaves its socket open when no daemon answers
    return None, why


@contextlib.contextmanager
def _container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    with socket.socket() as probe:  # the broker must know its outer port before it starts
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_NODE_ID": "1",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": str(RETENTION_CHECK_INTERVAL_MS),
        "KAFKA_LOG_INITIAL_TASK_DELAY_MS": str(RETENTION_CHECK_INTERVAL_MS),
    }
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, port)
    for name, value in settings.items():
        container.with_env(name, value)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def _local_jvm(shared: Path) -> Iterator[str]:
    """Use the shared broker: the first worker starts it, the last one that lives stops it."""
    directory = shared / "kafka"
    users = directory / "users"
    users.mkdir(parents=True, exist_ok=True)
    mine = users / str(os.getpid())
    with _locked(directory):
        broker = local_broker.up(directory, retention_check_interval_ms=RETENTION_CHECK_INTERVAL_MS)
        mine.touch()
    try:
        yield broker.address
    finally:
        with _locked(directory):
            mine.unlink()
            if not any(_lives(int(user.name)) for user in users.iterdir()):
                local_broker.down(directory)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "users.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
