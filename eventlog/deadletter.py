"""Dead letters: events that cannot be used, kept whole, with the reason, so that the stream goes on and nothing is lost."""

from __future__ import annotations

import enum

import msgspec

from eventlog.hostile import decode_errors
from eventlog.log import MAX_RECORD_BYTES, Record

MAX_PAYLOAD_BYTES = MAX_RECORD_BYTES - (64 << 10)


class Reason(enum.StrEnum):
    """Why an event cannot be used. The set is closed: metrics and redrive rely on it."""

    UNDECODABLE = "undecodable"  # neither JSON nor a pack; empty; a null value
    UNKNOWN_VERSION = "unknown_version"  # schema version newer than this program
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_KIND = "unknown_kind"
    ID_EMPTY = "id_empty"
    ID_TOO_LONG = "id_too_long"
    ID_NOT_TEXT = "id_not_text"  # not UTF-8, or has control characters
    RATING_MISSING = "rating_missing"
    RATING_NOT_FINITE = "rating_not_finite"
    RATING_OUT_OF_SCALE = "rating_out_of_scale"
    TIME_NEGATIVE = "time_negative"
    TIME_ABSURD = "time_absurd"  # beyond the year 9999
    TIME_FUTURE = "time_future"  # further ahead of the append time than max_future_s
    IDENTITY_MISSING = "identity_missing"  # neither (source_id, source_seq) nor an idempotency key
    IDENTITY_INVALID = "identity_invalid"  # negative source_seq, oversized source_id or key
    MESSAGE_TOO_LARGE = "message_too_large"
    PACK_MISMATCH = "pack_mismatch"  # a pack whose columns disagree in length
    WRONG_PARTITION = "wrong_partition"  # not the partition of its user


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One unusable event (or a whole message of `events` events, where it cannot be taken apart).

    topic, partition, offset, index: where it stood; `index` is the place inside a pack, -1 for the whole message;
    partition -1 and offset = line number for a line that never reached the log (`topic` is then its source).
    payload: the original bytes.
    """

    topic: str
    partition: int
    offset: int
    index: int
    reason: Reason
    detail: str
    payload: bytes
    events: int = 1
    v: int = 1

    def to_record(self) -> Record:
        """Encode for the dead-letter topic; the key is its position, so that a repeat can be told.

        A payload that leaves no room for the rest is cut, which `detail` then says: its whole is at its position.
        """
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            cut = f"{self.detail} (payload cut from {len(self.payload)} to {MAX_PAYLOAD_BYTES} bytes)"
            short = self.payload[:MAX_PAYLOAD_BYTES]
            return msgspec.structs.replace(self, payload=short, detail=cut).to_record()
        key = f"{self.topic}/{self.partition}/{self.offset}/{self.index}".encode()
        headers = (("reason", self.reason.value.encode()), ("n", str(self.events).encode()))
        return Record(key, msgspec.msgpack.encode(self), headers)

    @classmethod
    def from_value(cls, value: bytes) -> DeadLetter:
        """Decode a dead-letter record's value. Raises `msgspec.DecodeError`."""
        with decode_errors():
            return msgspec.msgpack.decode(value, type=cls)
