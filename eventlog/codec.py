"""Wire form of events, schema version 1.

A message holds one event, as a JSON object that any program can write::

    {"v": 1, "kind": "rating", "user": "196", "item": "242", "rating": 3.0, "event_time_ms": 881250949000,
     "source_id": "app", "source_seq": 7}          (or "key": "..." instead of source_id and source_seq)

or, from a replay, a pack: up to `MAX_PACK_EVENTS` events of one source as columns in a msgpack map, with the
number of events in the message header `n`. Fields that this version does not know are kept.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import numpy as np

from eventlog.deadletter import Reason
from eventlog.errors import EventError
from eventlog.events import MAX_ID_BYTES, EventBatch, Kind, RatingEvent
from eventlog.log import Record

SCHEMA_VERSION = 1
MAX_PACK_EVENTS = 4096
KIND_OF_NAME = {kind.name.lower(): kind for kind in Kind}
NAME_OF_KIND = {kind: name for name, kind in KIND_OF_NAME.items()}


class WireEvent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The JSON object of one event, as it stands on the wire."""

    user: str
    item: str
    event_time_ms: int
    v: int = 1
    kind: str = "rating"
    rating: float | None = None
    source_id: str | None = None
    source_seq: int | None = None
    key: str | None = None


class Pack(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Events of one source as little-endian columns: ids of fixed width, zero-padded.

    users: n x user_width bytes; items: n x item_width bytes; ratings: float64; times: int64 ms; seqs: int64;
    kinds: uint8, absent when all are ratings; extra: {index in pack: unknown fields of that event}.
    """

    v: int
    source_id: str
    user_width: int
    users: bytes
    item_width: int
    items: bytes
    ratings: bytes
    times: bytes
    seqs: bytes
    kinds: bytes | None = None
    extra: dict[int, dict[str, Any]] | None = None


_FIELDS = frozenset(WireEvent.__struct_fields__)
_event_decoder = msgspec.json.Decoder(WireEvent)
_any_decoder = msgspec.json.Decoder()
_pack_decoder = msgspec.msgpack.Decoder(Pack)
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encode_json = msgspec.json.Encoder().encode


def encode_wire(event: WireEvent) -> bytes:
    """Encode one event's JSON; fields at their defaults are left out."""
    return _encode_json(event)


def encode_event(event: RatingEvent) -> Record:
    """Encode one event as a message keyed by its user."""
    wire = WireEvent(
        v=SCHEMA_VERSION,
        kind=NAME_OF_KIND[event.kind],
        user=event.user,
        item=event.item,
        rating=event.rating,
        event_time_ms=event.event_time_ms,
        source_id=event.source_id,
        source_seq=event.source_seq,
        key=event.key,
    )
    fields = {"v": SCHEMA_VERSION, **msgspec.to_builtins(wire)}
    return Record(event.user.encode(), _encode_json({**(event.extra or {}), **fields}))


def decode_wire(value: bytes | None) -> WireEvent:
    """Decode one event's JSON, checking structure and types only.

    Raises `EventError` with the dead-letter reason.
    """
    if not value:
        raise EventError(Reason.UNDECODABLE, "message has no value, expected a JSON object or a pack")
    try:
        event = _event_decoder.decode(value)
    except _UNDECODABLE as error:
        raise _explain(value, error) from None
    if event.v != SCHEMA_VERSION:
        raise EventError(Reason.UNKNOWN_VERSION, f"v is {event.v}, expected {SCHEMA_VERSION}")
    return event


def _explain(value: bytes, error: Exception) -> EventError:
    """Turn a decoder's error into a reason: a newer version is said before its unknown structure."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return EventError(Reason.UNDECODABLE, f"not JSON: {text}")
    # A number beyond float64 is well-formed JSON: it fails for its value.
    if "out of range" in text and "$.rating" in text:
        return EventError(Reason.RATING_NOT_FINITE, text)
    version = 1
    with contextlib.suppress(AttributeError, *_UNDECODABLE):
        version = _any_decoder.decode(value).get("v", 1)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return EventError(Reason.UNKNOWN_VERSION, f"v is {version}, expected {SCHEMA_VERSION}")
    reason = Reason.MISSING_FIELD if "missing required field" in text else Reason.WRONG_TYPE
    return EventError(reason, text)


def decode_event(value: bytes) -> RatingEvent:
    """Decode one event with its unknown fields (for tools; the learner reads columns).

    Raises `EventError` with the dead-letter reason.
    """
    wire = decode_wire(value)
    if wire.kind not in KIND_OF_NAME:
        raise EventError(Reason.UNKNOWN_KIND, f"kind is {wire.kind!r}, expected one of {list(KIND_OF_NAME)}")
    try:
        fields = _any_decoder.decode(value)
    except _UNDECODABLE as error:
        raise EventError(Reason.UNDECODABLE, f"an unknown field: {error}") from None
    extra = {name: field for name, field in fields.items() if name not in _FIELDS}
    return RatingEvent(
        user=wire.user,
        item=wire.item,
        event_time_ms=wire.event_time_ms,
        rating=wire.rating,
        kind=KIND_OF_NAME[wire.kind],
        source_id=wire.source_id,
        source_seq=wire.source_seq,
        key=wire.key,
        extra=extra or None,
    )


def encode_pack(batch: EventBatch) -> Record:
    """Encode events of one source as a pack (1 to `MAX_PACK_EVENTS`; the log's position columns are left out)."""
    source = batch.sources[int(batch.source_index[0])]
    pack = Pack(
        v=SCHEMA_VERSION,
        source_id=source,
        user_width=batch.users.dtype.itemsize,
        users=batch.users.tobytes(),
        item_width=batch.items.dtype.itemsize,
        items=batch.items.tobytes(),
        ratings=batch.ratings.astype("<f8", copy=False).tobytes(),
        times=batch.event_time_ms.astype("<i8", copy=False).tobytes(),
        seqs=batch.source_seq.astype("<i8", copy=False).tobytes(),
        kinds=batch.kinds.tobytes() if batch.kinds.any() else None,
    )
    return Record(None, msgspec.msgpack.encode(pack), (("n", str(len(batch)).encode()),))


def decode_pack(value: bytes) -> Pack:
    """Decode a pack and check that its columns agree.

    Raises `EventError` with the dead-letter reason (for the whole message).
    """
    try:
        pack = _pack_decoder.decode(value)
    except msgspec.ValidationError as error:
        reason = Reason.MISSING_FIELD if "missing required field" in str(error) else Reason.WRONG_TYPE
        raise EventError(reason, f"pack: {error}") from None
    except _UNDECODABLE as error:
        raise EventError(Reason.UNDECODABLE, f"neither JSON nor a pack: {error}") from None
    if pack.v != SCHEMA_VERSION:
        raise EventError(Reason.UNKNOWN_VERSION, f"pack: v is {pack.v}, expected {SCHEMA_VERSION}")
    n, rest = divmod(len(pack.seqs), 8)
    lengths = (
        (rest, 0),
        (len(pack.users), n * pack.user_width),
        (len(pack.items), n * pack.item_width),
        (len(pack.ratings), n * 8),
        (len(pack.times), n * 8),
        (len(pack.kinds) if pack.kinds is not None else n, n),
    )
    if not 1 <= n <= MAX_PACK_EVENTS or min(pack.user_width, pack.item_width) < 1:
        raise EventError(
            Reason.PACK_MISMATCH,
            f"pack: {n} events with ids of {pack.user_width} and {pack.item_width} bytes, expected 1 to "
            f"{MAX_PACK_EVENTS} events with ids of 1 byte or more",
        )
    if any(have != want for have, want in lengths):
        raise EventError(Reason.PACK_MISMATCH, f"pack: columns disagree in length with {n} seqs")
    return pack


def slice_pack(pack: Pack, index: int) -> bytes:
    """Encode event `index` of a pack as a pack of one, its bytes as they came (for dead letters)."""
    one = Pack(
        v=pack.v,
        source_id=pack.source_id,
        user_width=pack.user_width,
        users=pack.users[index * pack.user_width : (index + 1) * pack.user_width],
        item_width=pack.item_width,
        items=pack.items[index * pack.item_width : (index + 1) * pack.item_width],
        ratings=pack.ratings[index * 8 : index * 8 + 8],
        times=pack.times[index * 8 : index * 8 + 8],
        seqs=pack.seqs[index * 8 : index * 8 + 8],
        kinds=None if pack.kinds is None else pack.kinds[index : index + 1],
        extra={0: pack.extra[index]} if pack.extra and index in pack.extra else None,
    )
    return msgspec.msgpack.encode(one)


def events_in(headers: tuple[tuple[str, bytes], ...]) -> int:
    """How many events a message's headers declare: header `n`, 1 without one (or with an unreadable one)."""
    for name, value in headers:
        if name == "n" and value.isdigit() and len(value) <= 7:
            return int(value)
    return 1


def columns_of_pack(pack: Pack) -> tuple[np.ndarray[Any, Any], ...]:
    """Return a pack's (users, items, ratings, event_time_ms, source_seq, kinds) as arrays of their own.

    Not views of its bytes, which are read-only: kernels would be compiled once more for these.
    """
    n = len(pack.seqs) // 8
    return (
        np.frombuffer(pack.users, f"S{pack.user_width}").copy(),
        np.frombuffer(pack.items, f"S{pack.item_width}").copy(),
        np.frombuffer(pack.ratings, "<f8").copy(),
        np.frombuffer(pack.times, "<i8").copy(),
        np.frombuffer(pack.seqs, "<i8").copy(),
        np.zeros(n, np.uint8) if pack.kinds is None else np.frombuffer(pack.kinds, np.uint8).copy(),
    )


def check_source_id(source_id: str) -> None:
    """Check the size of a source's name. Raises `EventError` with the dead-letter reason."""
    if not 1 <= len(source_id) <= MAX_ID_BYTES:
        raise EventError(
            Reason.IDENTITY_INVALID,
            f"source_id has {len(source_id)} characters, expected 1 to {MAX_ID_BYTES}",
        )
