"""A real broker that speaks TLS: with SASL/SCRAM on one port, and with certificates of clients on another."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eventlog.broker_jars import find_jars, find_java
from eventlog.errors import BrokerError
from eventlog.local_broker import _CLUSTER_ID, _LOGGING, _PROPERTIES, _READY

USER = "ada"
PASSWORD = "correct-horse-battery-staple"
KEY_PASSWORD = "a-key-of-its-own"
START_TIMEOUT_S = 120.0

_SECURITY = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},SASL_SSL://127.0.0.1:{sasl_port},SSL://127.0.0.1:{ssl_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{sasl_port},SSL://127.0.0.1:{ssl_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class SecureBroker(NamedTuple):
    """Where it listens (HOST:PORT), and files: authority, another authority, certificate and key of a client."""

    sasl: str
    ssl: str
    ca: Path
    other_ca: Path
    client: Path
    client_key: Path


def why_not() -> str | None:
    """What is missing to start one here, None when nothing is."""
    if shutil.which("openssl") is None:
        return "no openssl on the PATH, which makes the certificates"
    return None


@contextlib.contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Start one in `folder`, for the length of the block. Raises `BrokerError` where it cannot be."""
    java, jars = find_java(), find_jars(folder)
    for name in ("ca", "other-ca"):
        _authority(folder, name)
    _certificate(folder, "broker")
    _certificate(folder, "client")
    (folder / "broker.pem").write_bytes(
        (folder / "broker.key").read_bytes() + (folder / "broker.crt").read_bytes()
    )
    _openssl(
        folder,
        *(
            "pkcs8",
            "-topk8",
            "-in",
            "client.key",
            "-out",
            "client.locked.key",
            "-passout",
            f"pass:{KEY_PASSWORD}",
        ),
    )
    port, controller_port, sasl_port, ssl_port = _free_ports(4)
    common = {"port": port, "controller_port": controller_port}
    text = _PROPERTIES.format(
        data=folder / "data", retention_check_interval_ms=300_000, first_retention_check_ms=30_000, **common
    )
    kept = [
        line for line in text.splitlines() if not line.startswith(("listeners=", "advertised.listeners="))
    ]
    settings = folder / "server.properties"
    settings.write_text(
        "\n".join(kept) + _SECURITY.format(folder=folder, sasl_port=sasl_port, ssl_port=ssl_port, **common),
        "utf-8",
    )
    logging = folder / "log4j2.xml"
    logging.write_text(_LOGGING, "utf-8")
    machine = [java, "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    machine += [f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", jars]
    scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
    said = folder / "broker.log"
    with said.open("wb") as log:
        subprocess.run(
            [
                *(*machine, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "--add-scram", scram),
                *("-c", str(settings)),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
        broker = subprocess.Popen(
            [*machine, "kafka.Kafka", str(settings)], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while _READY not in said.read_bytes():
            if broker.poll() is not None or time.monotonic() > deadline_s:
                raise BrokerError(f"the broker did not start:\n{said.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.05)
        yield SecureBroker(
            f"127.0.0.1:{sasl_port}",
            f"127.0.0.1:{ssl_port}",
            folder / "ca.pem",
            folder / "other-ca.pem",
            folder / "client.crt",
            folder / "client.locked.key",
        )
    finally:
        broker.send_signal(signal.SIGKILL)
        broker.wait()


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _authority(folder: Path, name: str) -> None:
    subject = ("-subj", f"/CN={name}", "-days", "2")
    _openssl(
        folder,
        *(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            *subject,
        ),
    )


def _certificate(folder: Path, name: str) -> None:
    """Make a key and a certificate for 127.0.0.1, signed by the authority."""
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    _openssl(
        folder,
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.csr",
        *subject,
    )
    signing = (
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-copy_extensions",
        "copy",
    )
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
