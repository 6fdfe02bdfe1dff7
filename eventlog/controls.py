"""Control records: what a replay says about the stream, on every partition of the ratings topic, between events."""

from __future__ import annotations

import enum

import msgspec

from eventlog.log import Record

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
    try:
        return _decoder.decode(value)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
