"""The spelling of logs on command lines and in settings."""

from __future__ import annotations

import socket

import pytest

from eventlog.errors import BrokerError, SettingsError
from eventlog.kafka_log import KafkaLog
from eventlog.open_log import open_log
from eventlog.sqlite_log import SqliteLog


def test_an_embedded_log_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec, place in [
        (f"embedded:{tmp_path / 'a:b.db'}", "a:b.db"),
        ("embedded:sub/log.db", "sub/log.db"),
    ]:
        with open_log(spec) as log:
            assert isinstance(log, SqliteLog)
        assert (tmp_path / place).is_file()


@pytest.mark.parametrize(
    "spec",
    [
        *("", "embedded", "embedded:", "Embedded:x", "sqlite:x", "kafka:", "kafka:localhost"),
        *("kafka:localhost:port", "kafka:a:1,", "kafka:a:1;b:2", "kafka://localhost:9092"),
    ],
)
def test_another_spelling_is_refused(spec):
    with pytest.raises(SettingsError, match="expected embedded:PATH or kafka:HOST:PORT"):
        open_log(spec)


def test_a_broker_that_does_not_answer_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BrokerError, match=f"no Kafka broker answers: {address}: .*refused"):
            KafkaLog(address, bootstrap_timeout_ms=200)
