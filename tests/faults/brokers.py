"""Faults of Kafka itself, on brokers of their own: killed and restarted, one of three lost, cut off, slow.

Three brokers share one cluster: replication 3, at least 2 in sync. Each listens behind a proxy, which is the address
that it advertises, so that the network between it and its clients can be cut and slowed. They are started once a
campaign and stay up between tries.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from functools import cache, partial
from pathlib import Path

from chaos.fault import SAME, Fault, Ground, Outcome, finish
from chaos.run import Run
from chaos.storm import Storm
from eventlog.broker_jars import find_jars, find_java
from eventlog.errors import BrokerError
from tests.faults.network import Proxy

ROLES = ("producer", "learner", "evaluator")
EVENTS, RATE = 6000, 1500.0
START_S = 120.0
_READY = b"Kafka Server started"
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{proxy},INSIDE://127.0.0.1:{inside}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
log.dirs={data}
num.partitions=1
default.replication.factor={brokers}
min.insync.replicas={in_sync}
auto.create.topics.enable=false
offsets.topic.replication.factor={brokers}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={brokers}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
unclean.leader.election.enable=false
"""
_LOGGING = """\
<Configuration status="warn"><Appenders><Console name="console"><PatternLayout pattern="%d %p %c: %m%n"/></Console>
</Appenders><Loggers><Logger name="kafka.server.KafkaRaftServer" level="info"/>
<Root level="warn"><AppenderRef ref="console"/></Root></Loggers></Configuration>
"""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class Broker:
    """One broker of a cluster, behind its proxy."""

    def __init__(self, directory: Path, node: int, ports: list[int], voters: str, brokers: int) -> None:
        port, inside, controller = ports
        directory.mkdir()
        self.proxy = Proxy(port)
        self._log = directory / "broker.log"
        self._settings = directory / "server.properties"
        self._settings.write_text(
            _PROPERTIES.format(
                node=node,
                voters=voters,
                port=port,
                inside=inside,
                controller=controller,
                proxy=self.proxy.port,
                data=directory / "data",
                brokers=brokers,
                in_sync=max(brokers - 1, 1),
            )
        )
        logging = directory / "log4j2.xml"
        logging.write_text(_LOGGING)
        jars = find_jars(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "engram")
        self._machine = [find_java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._machine += [f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", jars]
        tool = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "ZW5ncmFtLWZhdWx0cy0wMQ",
            "-c",
            str(self._settings),
        ]
        subprocess.run([*self._machine, *tool], check=True, capture_output=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting."""
        with self._log.open("wb") as log:
            command = [*self._machine, "kafka.Kafka", str(self._settings)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until it serves. Raises `BrokerError`."""
        deadline = time.monotonic() + START_S
        while _READY not in self._log.read_bytes():
            if time.monotonic() > deadline:
                raise BrokerError(f"a broker did not start in {START_S:g} s: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Send SIGKILL and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


class Cluster:
    """Brokers that are all up."""

    def __init__(self, brokers: int) -> None:
        directory = Path(tempfile.mkdtemp(prefix="engram-brokers-"))
        ports = _free_ports(3 * brokers)
        voters = ",".join(f"{n + 1}@127.0.0.1:{ports[3 * n + 2]}" for n in range(brokers))
        self.brokers = [
            Broker(directory / str(n), n + 1, ports[3 * n : 3 * n + 3], voters, brokers)
            for n in range(brokers)
        ]
        atexit.register(self.kill)
        for broker in self.brokers:
            broker.start()
        for broker in self.brokers:
            broker.wait()

    @property
    def spec(self) -> str:
        """As `open_log` takes it."""
        return "kafka:" + ",".join(f"127.0.0.1:{broker.proxy.port}" for broker in self.brokers)

    def kill(self) -> None:
        """Kill them all."""
        for broker in self.brokers:
            broker.kill()


@cache
def cluster(brokers: int) -> Cluster:
    """The cluster of so many brokers, started when it is first needed; of another size only one lives at a time."""
    return Cluster(brokers)


def _side_by_side(ground: Ground, brokers: int, disturb: threading.Thread | None, run: Run) -> None:
    """Run all roles at once, started again when the log's errors end them, while `disturb` runs."""
    storm = Storm(ground.server(), ground.rng, 1.0, 0)
    storm.restarts = 50
    if disturb is not None:
        disturb.start()
    try:
        storm.run(run.jobs(*ROLES))
    finally:
        if disturb is not None:
            disturb.join()


def _disturbed(ground: Ground, brokers: int, what: str) -> Outcome:
    """Disturb the brokers at times that are drawn, while a stream is produced, learned and evaluated."""
    place = cluster(brokers)
    ground.log = place.spec
    run = ground.draw(EVENTS)
    run.prepare_replay(RATE)
    begun = threading.Event()

    def disturb() -> None:
        rng = ground.rng.spawn(1)[0]
        time.sleep(float(rng.uniform(0.2, 3.0)))
        broker = place.brokers[int(rng.integers(brokers))]
        begun.set()
        if what == "killed":
            broker.kill()
            time.sleep(float(rng.uniform(0.1, 2.0)))
            broker.start()
            broker.wait()
        elif what == "cut":
            for _ in range(int(rng.integers(1, 4))):
                for one in place.brokers:
                    one.proxy.cut()
                time.sleep(float(rng.exponential(0.7)))
                for one in place.brokers:
                    one.proxy.heal()
                time.sleep(float(rng.exponential(0.7)))
        else:
            for one in place.brokers:
                one.proxy.delay_s = float(rng.uniform(0.05, 0.3))
                one.proxy.bytes_per_s = int(rng.integers(20_000, 200_000))
            time.sleep(float(rng.uniform(1.0, 4.0)))
            for one in place.brokers:
                one.proxy.heal()

    _side_by_side(ground, brokers, threading.Thread(target=disturb), run)
    struck = int(begun.is_set())
    return Outcome(struck, struck, findings=finish(ground, run, repeats=True))


def _fault(name: str, brokers: int, what: str) -> Fault:
    promise = f"waited for, or BrokerError and a new life; {SAME}"
    run = partial(_disturbed, brokers=brokers, what=what)
    return Fault(name, promise, run, within_s=300.0, safe=False, logs=("kafka",))


FAULTS = (
    _fault("the only broker killed and restarted", 1, "killed"),
    _fault("network cut", 1, "cut"),
    _fault("slow link", 1, "slow"),
    _fault("one of three brokers lost and back (replication 3, in sync 2)", 3, "killed"),
)
