"""Control records: what a replay says about the stream, on every partition of the ratings topic, between events."""

from __future__ import annotations

import enum

import msgspec

from eventlog.codec import SCHEMA_VERSION, check_source_id
from eventlog.deadletter import Reason
from eventlog.errors import EventError
from eventlog.events import MAX_EVENT_TIME_MS, NO_SEQ
from eventlog.hostile import decode_errors
from eventlog.log import Record

_MAX_TOTAL_EVENTS = 2**53
PREFIX = b'{"control":'


class ControlKind(enum.StrEnum):
    """START opens a source, WATERMARK promises that nothing earlier follows, END closes the source."""

    START = "start"
    WATERMARK = "watermark"
    END = "end"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One control record of `source_id`.

    (event_time_ms, source_seq): for WATERMARK and END, no later event of this source on this partition is
    smaller or equal; for START, (0, -1). total_events: events that the source will send over all partitions,
    or None where it does not know. rating_min, rating_max: the source's scale, stated by START.
    """

    control: ControlKind
    source_id: str
    event_time_ms: int = 0
    source_seq: int = -1
    total_events: int | None = None
    rating_min: float | None = None
    rating_max: float | None = None
    v: int = 1

    def to_record(self) -> Record:
        """Encode for the ratings topic."""
        return Record(None, msgspec.json.encode(self))


_decoder = msgspec.json.Decoder(Control)


def decode_control(value: bytes) -> Control:
    """Decode a value that starts with `PREFIX`. Raises `msgspec.DecodeError`."""
    with decode_errors():
        return _decoder.decode(value)


def checked_control(value: bytes, max_message_bytes: int) -> Control:
    """Decode a control record that can be obeyed. Raises `EventError` with the dead-letter reason."""
    if len(value) > max_message_bytes:
        raise EventError(
            Reason.MESSAGE_TOO_LARGE,
            f"message has {len(value)} bytes, expected at most {max_message_bytes}",
        )
    try:
        control = decode_control(value)
    except msgspec.DecodeError as error:
        raise EventError(Reason.UNDECODABLE, str(error)) from None
    if control.v != SCHEMA_VERSION:
        raise EventError(Reason.UNKNOWN_VERSION, f"v is {control.v}, expected {SCHEMA_VERSION}")
    check_source_id(control.source_id)
    if not 0 <= control.event_time_ms <= MAX_EVENT_TIME_MS:
        raise EventError(
            Reason.TIME_ABSURD,
            f"event_time_ms is {control.event_time_ms}, expected 0 to {MAX_EVENT_TIME_MS}",
        )
    if not NO_SEQ <= control.source_seq < 2**63 - 1:
        raise EventError(
            Reason.IDENTITY_INVALID, f"source_seq is {control.source_seq}, expected -1 to 2^63 - 2"
        )
    if control.total_events is not None and not 0 <= control.total_events <= _MAX_TOTAL_EVENTS:
        raise EventError(
            Reason.WRONG_TYPE, f"total_events is {control.total_events}, expected null or 0 to 2^53"
        )
    return control
