"""Errors of the Kafka client, said as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka_errors

from eventlog.errors import BrokerError, LogError, TopicMissingError

_UNREACHABLE = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.KafkaTimeoutError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.BrokerNotAvailableError,
    kafka_errors.SaslAuthenticationFailedError,
    OSError,
)


def as_log_error(error: BaseException, bootstrap: str, doing: str) -> LogError:
    """Turn a client's error into ours, naming the address and what was being done."""
    said = f"Kafka at {bootstrap}, {doing}: {type(error).__name__}: {error}"
    if isinstance(error, kafka_errors.UnknownTopicOrPartitionError):
        return TopicMissingError(said)
    if isinstance(error, _UNREACHABLE):
        return BrokerError(said)
    return LogError(said)


@contextmanager
def broker_errors(bootstrap: str, doing: str) -> Iterator[None]:
    """Raise what the client raises as `LogError`, `TopicMissingError` or `BrokerError`."""
    try:
        yield
    except (kafka_errors.KafkaError, OSError, ValueError, TypeError, AssertionError) as error:
        raise as_log_error(error, bootstrap, doing) from error
