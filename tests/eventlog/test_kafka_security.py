"""Kafka over TLS, with SASL/SCRAM and with clients' certificates: a real broker, what works, and what is said else."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from engram.parts import open_log
from engram.settings import kafka_security, load
from eventlog.errors import BrokerError
from eventlog.kafka_log import KafkaLog
from eventlog.log import Record
from tests.secure_broker import KEY_PASSWORD, PASSWORD, USER, SecureBroker, secure_broker, why_not

pytestmark = pytest.mark.kafka
IN_TIME_S = 60.0


def unavailable(what: str) -> NoReturn:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    if (missing := why_not()) is not None:
        unavailable(f"no broker with TLS: {missing}")
    folder = tmp_path_factory.mktemp("secure")
    try:
        with secure_broker(folder) as running:
            yield running
    except BrokerError as error:
        unavailable(f'no broker with TLS: {error} (to have one: pip install "engram-stream[broker]")')


def scram(broker: SecureBroker, **changed: Any) -> dict[str, Any]:
    """Settings of a client that gives name and password."""
    return {
        "log": "kafka",
        "kafka": broker.sasl,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": USER,
        "ssl_cafile": str(broker.ca),
        **changed,
    }


def certificate(broker: SecureBroker, **changed: Any) -> dict[str, Any]:
    """Settings of a client that shows a certificate."""
    return {
        "log": "kafka",
        "kafka": broker.ssl,
        "security_protocol": "SSL",
        "ssl_cafile": str(broker.ca),
        "ssl_certfile": str(broker.client),
        "ssl_keyfile": str(broker.client_key),
        **changed,
    }


@pytest.mark.parametrize(
    ("settings_of", "secrets"),
    [(scram, {"ENGRAM_SASL_PLAIN_PASSWORD": PASSWORD}), (certificate, {"ENGRAM_SSL_PASSWORD": KEY_PASSWORD})],
    ids=["scram", "certificate"],
)
def test_what_is_written_is_read(broker: SecureBroker, settings_of: Any, secrets: dict[str, str]) -> None:
    settings = load(settings_of(broker), environment=secrets)
    topic = f"secure-{settings_of.__name__}"
    with open_log(settings) as log:
        log.create_topic(topic, 2)
        with log.writer() as writer:
            writer.append(topic, 1, [Record(b"k", b"a"), Record(b"k", b"b")])
        with log.reader(topic, [0, 1]) as reader:
            found: list[bytes | None] = []
            deadline_s = time.monotonic() + IN_TIME_S
            while len(found) < 2 and time.monotonic() < deadline_s:
                found += [value for batch in reader.poll(10, 1.0) for value in batch.values]
        assert found == [b"a", b"b"]
        log.commit("group", topic, {1: 2})
        assert log.committed("group", topic) == {1: 2}


def refused(settings: dict[str, Any], secrets: dict[str, str]) -> str:
    """What opening the log says; it must say it in time, and must not say the secrets."""
    found = load(settings, environment=secrets)
    assert found.kafka is not None
    said = ""
    with warnings.catch_warnings():
        # The client leaves its sockets open when it gives up.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            KafkaLog(found.kafka, bootstrap_timeout_ms=2_000, **kafka_security(found))
        except BrokerError as error:
            said = str(error)
        gc.collect()
    assert said, "it was let in"
    for secret in (PASSWORD, KEY_PASSWORD, *secrets.values()):
        assert secret not in said
    return said


def test_a_wrong_password_is_refused(broker: SecureBroker) -> None:
    said = refused(scram(broker), {"ENGRAM_SASL_PLAIN_PASSWORD": "wrong-horse"})
    assert "sasl_plain_username, sasl_plain_password" in said


def test_a_broker_signed_by_somebody_else_is_refused(broker: SecureBroker) -> None:
    said = refused(scram(broker, ssl_cafile=str(broker.other_ca)), {"ENGRAM_SASL_PLAIN_PASSWORD": PASSWORD})
    assert "ssl_cafile" in said


def test_a_client_without_a_certificate_is_refused(broker: SecureBroker) -> None:
    said = refused(certificate(broker, ssl_certfile=None, ssl_keyfile=None), {})
    assert "ssl_certfile" in said


def test_a_key_that_stays_locked_is_refused(broker: SecureBroker) -> None:
    said = refused(certificate(broker), {"ENGRAM_SSL_PASSWORD": "wrong-key"})
    assert "ssl_password" in said


def test_a_client_that_speaks_in_the_clear_is_refused(broker: SecureBroker) -> None:
    said = refused({"log": "kafka", "kafka": broker.sasl}, {})
    assert "security_protocol" in said


@pytest.mark.full
def test_a_replay_over_scram_equals_the_embedded_one_and_leaves_no_secret_behind(
    broker: SecureBroker, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n", "utf-8")
    base = [
        sys.executable,
        "-m",
        "engram",
        "replay",
        "synthetic",
        "--limit",
        "3000",
        "--model",
        "hebbian",
        "--quiet",
    ]
    secure = [
        *("--log", "kafka", "--bootstrap", broker.sasl, "--security-protocol", "SASL_SSL"),
        *("--sasl-mechanism", "SCRAM-SHA-512", "--sasl-plain-username", USER, "--ssl-cafile", str(broker.ca)),
    ]
    environment = {**os.environ, "ENGRAM_SASL_PLAIN_PASSWORD_FILE": str(password)}
    said = {}
    for name, arguments in (("secure", secure), ("embedded", [])):
        done = subprocess.run(
            [*base, *arguments, "--out", str(tmp_path / name)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        said[name] = next(line for line in done.stdout.splitlines() if line.startswith("digest "))
    assert said["secure"] == said["embedded"]
    files = [path for path in (tmp_path / "secure").rglob("*") if path.is_file()]
    assert {"settings.toml", "result.json", "report.html"} <= {path.name for path in files}
    assert any(path.suffix == ".log" for path in files)
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
