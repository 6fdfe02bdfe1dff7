"""One spelling for both logs, for settings and command lines."""

from __future__ import annotations

import re
from pathlib import Path

from eventlog.errors import SettingsError
from eventlog.log import Log

_ADDRESS = re.compile(r"([^\s:,/]+|\[[0-9a-fA-F:]+\]):\d{1,5}")


def open_log(spec: str) -> Log:
    """Open the log that `spec` names: `embedded:PATH` or `kafka:HOST:PORT[,HOST:PORT...]`.

    Raises `SettingsError` for another form, `BrokerError` when no broker answers, `LogError` when the file is
    no log.
    """
    kind, _, place = spec.partition(":")
    if kind == "embedded" and place:
        from eventlog.sqlite_log import SqliteLog

        return SqliteLog(Path(place).expanduser())
    if kind == "kafka" and all(_ADDRESS.fullmatch(address) for address in place.split(",")):
        # Imported here: the embedded log needs no Kafka client.
        from eventlog.kafka_log import KafkaLog

        return KafkaLog(place)
    raise SettingsError(f"log is {spec!r}, expected embedded:PATH or kafka:HOST:PORT[,HOST:PORT...]")
