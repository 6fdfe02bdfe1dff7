"""Malformed events of every kind that a learner must survive, and the reason that each is expected to get.

A malformed event is a spoilt copy of a good one, with the same identity: were it counted as taken, the good one
would be dropped as its repeat.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from eventlog.deadletter import Reason
from eventlog.events import EventBatch
from eventlog.log import Record
from eventlog.partitioner import partition_of

MAX_MESSAGE_BYTES = 64 << 10
_YEAR_10000_MS = 253_402_300_800_000

Wire = dict[str, Any]


class MessageKind(NamedTuple):
    """A message of one event that cannot be used; spoil: the good event's JSON fields to the message's value."""

    what: str
    reason: Reason
    spoil: Callable[[Wire], bytes | None]


class ElementKind(NamedTuple):
    """One bad event inside a pack of good ones; fields: what is put in place of the good one's."""

    what: str
    reason: Reason
    fields: Callable[[], Wire]


class PackKind(NamedTuple):
    """A pack that cannot be taken apart; spoil: the good pack's fields to the message's value, which has `n` events."""

    what: str
    reason: Reason
    spoil: Callable[[Wire], bytes]


def _json(event: Wire) -> bytes:
    return json.dumps(event).encode()


def _changed(**fields: Any) -> Callable[[Wire], bytes]:
    return lambda event: _json({**event, **fields})


def _without(*names: str) -> Callable[[Wire], bytes]:
    return lambda event: _json({name: value for name, value in event.items() if name not in names})


def _raw(name: str, text: bytes) -> Callable[[Wire], bytes]:
    """Put JSON text that Python would not write in place of a field."""
    return lambda event: _json({**event, name: "@@"}).replace(b'"@@"', text)


def _packed(**fields: Any) -> Callable[[Wire], bytes]:
    return lambda pack: msgspec.msgpack.encode({**pack, **fields})


def _in_three_days() -> int:
    return time.time_ns() // 1_000_000 + 3 * 86_400_000


R = Reason
MESSAGES = (
    MessageKind("no value at all", R.UNDECODABLE, lambda event: None),
    MessageKind("an empty value", R.UNDECODABLE, lambda event: b""),
    MessageKind("zero bytes", R.UNDECODABLE, lambda event: bytes(40)),
    MessageKind("JSON cut in half", R.UNDECODABLE, lambda event: _json(event)[: len(_json(event)) // 2]),
    MessageKind("text after the JSON", R.UNDECODABLE, lambda event: _json(event) + b" oops"),
    MessageKind("a NaN literal, which is no JSON", R.UNDECODABLE, _raw("rating", b"NaN")),
    MessageKind("user is not UTF-8", R.UNDECODABLE, _raw("user", b'"\xff\xfe"')),
    MessageKind("user is half a surrogate pair", R.UNDECODABLE, _raw("user", b'"\\ud800"')),
    MessageKind(
        "user is lists nested 20,000 deep", R.WRONG_TYPE, _raw("user", b"[" * 20_000 + b"]" * 20_000)
    ),
    MessageKind(
        "an unknown field nested 20,000 deep", R.UNDECODABLE, _raw("more", b"[" * 20_000 + b"]" * 20_000)
    ),
    MessageKind("a control record of no known kind", R.UNDECODABLE, lambda event: b'{"control":"pause"}'),
    MessageKind(
        "a control record with a time beyond 64 bits",
        R.TIME_ABSURD,
        lambda event: b'{"control":"watermark","source_id":"shop","event_time_ms":' + b"9" * 30 + b"}",
    ),
    MessageKind(
        "a control record of a newer version",
        R.UNKNOWN_VERSION,
        lambda event: b'{"control":"end","source_id":"shop","v":2}',
    ),
    MessageKind("a newer version", R.UNKNOWN_VERSION, _changed(v=2, user={"id": 7})),
    MessageKind("user is missing", R.MISSING_FIELD, _without("user")),
    MessageKind("time is missing", R.MISSING_FIELD, _without("event_time_ms")),
    MessageKind("a list, not an object", R.WRONG_TYPE, lambda event: b"[1, 2, 3]"),
    MessageKind("user is a number", R.WRONG_TYPE, _changed(user=5)),
    MessageKind("rating is text", R.WRONG_TYPE, _changed(rating="five")),
    MessageKind("rating is true", R.WRONG_TYPE, _changed(rating=True)),
    MessageKind("time is a fraction", R.WRONG_TYPE, _changed(event_time_ms=5.5)),
    MessageKind("time is a date", R.WRONG_TYPE, _changed(event_time_ms="2001-01-01")),
    MessageKind("an unknown kind", R.UNKNOWN_KIND, _changed(kind="purchase")),
    MessageKind("a retraction of no item", R.ID_EMPTY, _changed(kind="retract", item="")),
    MessageKind("user is empty", R.ID_EMPTY, _changed(user="")),
    MessageKind("item is empty", R.ID_EMPTY, _changed(item="")),
    MessageKind("item has 257 bytes", R.ID_TOO_LONG, _changed(item="i" * 257)),
    MessageKind("user has 258 bytes in 86 characters", R.ID_TOO_LONG, _changed(user="\u20ac" * 86)),
    MessageKind("item has a line break", R.ID_NOT_TEXT, _changed(item="one\ntwo")),
    MessageKind("user has a NUL", R.ID_NOT_TEXT, _changed(user="a\0b")),
    MessageKind("rating is absent", R.RATING_MISSING, _without("rating")),
    MessageKind("rating is null", R.RATING_MISSING, _changed(rating=None)),
    MessageKind("rating is beyond float64", R.RATING_NOT_FINITE, _raw("rating", b"1e999")),
    MessageKind("rating is 10.5", R.RATING_OUT_OF_SCALE, _changed(rating=10.5)),
    MessageKind("rating is -1", R.RATING_OUT_OF_SCALE, _changed(rating=-1)),
    MessageKind("time is negative", R.TIME_NEGATIVE, _changed(event_time_ms=-1)),
    MessageKind("time is in the year 10000", R.TIME_ABSURD, _changed(event_time_ms=_YEAR_10000_MS)),
    MessageKind("time is beyond 64 bits", R.TIME_ABSURD, _changed(event_time_ms=10**30)),
    MessageKind(
        "time is in three days",
        R.TIME_FUTURE,
        lambda event: _json({**event, "event_time_ms": _in_three_days()}),
    ),
    MessageKind("no identity", R.IDENTITY_MISSING, _without("source_id", "source_seq")),
    MessageKind("seq is missing", R.IDENTITY_MISSING, _without("source_seq")),
    MessageKind("seq is negative", R.IDENTITY_INVALID, _changed(source_seq=-1)),
    MessageKind("seq is beyond 64 bits", R.IDENTITY_INVALID, _changed(source_seq=1 << 63)),
    MessageKind("source has 257 characters", R.IDENTITY_INVALID, _changed(source_id="s" * 257)),
    MessageKind("a message too large", R.MESSAGE_TOO_LARGE, _changed(note="x" * MAX_MESSAGE_BYTES)),
)
ELEMENTS = (
    ElementKind("rating is NaN", R.RATING_NOT_FINITE, lambda: {"rating": float("nan")}),
    ElementKind("rating is -inf", R.RATING_NOT_FINITE, lambda: {"rating": float("-inf")}),
    ElementKind("rating is 1e300", R.RATING_OUT_OF_SCALE, lambda: {"rating": 1e300}),
    ElementKind("time is the smallest int64", R.TIME_NEGATIVE, lambda: {"time": -(1 << 63)}),
    ElementKind("time is the largest int64", R.TIME_ABSURD, lambda: {"time": (1 << 63) - 1}),
    ElementKind("time is in three days", R.TIME_FUTURE, lambda: {"time": _in_three_days()}),
    ElementKind("user is empty", R.ID_EMPTY, lambda: {"user": b""}),
    ElementKind("item has 300 bytes", R.ID_TOO_LONG, lambda: {"item": b"i" * 300}),
    ElementKind("user is not UTF-8", R.ID_NOT_TEXT, lambda: {"user": b"\xc3\x28"}),
    ElementKind("item has a NUL inside", R.ID_NOT_TEXT, lambda: {"item": b"a\0b"}),
    ElementKind("kind 200", R.UNKNOWN_KIND, lambda: {"kind": 200}),
    ElementKind("kind 4, forget_user, of nobody", R.ID_EMPTY, lambda: {"kind": 4, "user": b""}),
    ElementKind("seq is negative", R.IDENTITY_INVALID, lambda: {"seq": -7}),
)
PACKS = (
    PackKind("a pack cut short", R.UNDECODABLE, lambda pack: msgspec.msgpack.encode(pack)[:-1]),
    PackKind("a pack of a newer version", R.UNKNOWN_VERSION, _packed(v=2)),
    PackKind(
        "a pack without times",
        R.MISSING_FIELD,
        lambda pack: msgspec.msgpack.encode({k: pack[k] for k in pack if k != "times"}),
    ),
    PackKind("a pack whose ratings are text", R.WRONG_TYPE, _packed(ratings="five")),
    PackKind(
        "a pack short of a rating",
        R.PACK_MISMATCH,
        lambda pack: msgspec.msgpack.encode({**pack, "ratings": pack["ratings"][8:]}),
    ),
    PackKind("a pack with ids of 0 bytes", R.PACK_MISMATCH, _packed(user_width=0, users=b"")),
    PackKind("a pack with ids of -1 bytes", R.PACK_MISMATCH, _packed(user_width=-1)),
    PackKind("a pack of an unnamed source", R.IDENTITY_INVALID, _packed(source_id="")),
)
WRONG_PARTITION = MessageKind("user of another partition", R.WRONG_PARTITION, _json)

AnyKind = MessageKind | ElementKind | PackKind


def kinds_for(partitions: int) -> tuple[AnyKind, ...]:
    """All kinds; a wrong partition takes several."""
    return (*MESSAGES, *ELEMENTS, *PACKS, *([WRONG_PARTITION] if partitions > 1 else []))


class Expected(NamedTuple):
    """The dead letter that a malformed event must become."""

    reason: Reason
    events: int
    payload: bytes


class Poisoned(NamedTuple):
    """One partition's messages, and its expected dead letters by place.

    A place is (place of the message, index in the pack): -1 for a whole pack, None for a message of one event.
    """

    records: list[Record]
    letters: dict[tuple[int, int | None], Expected]


def wire_of(batch: EventBatch, at: int, partition: int, partitions: int, kind: AnyKind | None = None) -> Wire:
    """JSON fields of event `at`; for `WRONG_PARTITION`, of a user who lives elsewhere."""
    user = batch.users[at].decode()
    if kind is WRONG_PARTITION:
        user = next(name for n in range(1000) if partition_of(name := f"u{n}", partitions) != partition)
    return {
        "v": 1,
        "kind": "rating",
        "user": user,
        "item": batch.items[at].decode(),
        "rating": float(batch.ratings[at]),
        "event_time_ms": int(batch.event_time_ms[at]),
        "source_id": batch.sources[0],
        "source_seq": int(batch.source_seq[at]),
    }


def _element(batch: EventBatch, at: int) -> Wire:
    return {
        "user": bytes(batch.users[at]),
        "item": bytes(batch.items[at]),
        "rating": float(batch.ratings[at]),
        "time": int(batch.event_time_ms[at]),
        "seq": int(batch.source_seq[at]),
        "kind": 0,
    }


def pack_of(source: str, elements: list[Wire], widths: tuple[int, int] | None = None) -> Wire:
    """Fields of a pack, laid out here and not by the codec under test."""
    user_width, item_width = widths or (
        max(len(one["user"]) for one in elements),
        max(len(one["item"]) for one in elements),
    )
    return {
        "v": 1,
        "source_id": source,
        "user_width": user_width,
        "users": b"".join(one["user"].ljust(user_width, b"\0") for one in elements),
        "item_width": item_width,
        "items": b"".join(one["item"].ljust(item_width, b"\0") for one in elements),
        "ratings": np.array([one["rating"] for one in elements], "<f8").tobytes(),
        "times": np.array([one["time"] for one in elements], "<i8").tobytes(),
        "seqs": np.array([one["seq"] for one in elements], "<i8").tobytes(),
        "kinds": bytes(one["kind"] for one in elements),
    }


def _pack_record(pack: Wire | bytes, n: int) -> Record:
    value = pack if isinstance(pack, bytes) else msgspec.msgpack.encode(pack)
    return Record(None, value, (("n", str(n).encode()),))


def poisoned(
    batch: EventBatch,
    partition: int,
    partitions: int,
    bad: dict[int, list[AnyKind]],
    rng: np.random.Generator,
) -> Poisoned:
    """Lay out one partition's good events as singles and packs of 16, with bad ones strewn in.

    bad: {place of a good event: kinds of the malformed ones that come before it}.
    """
    records: list[Record] = []
    letters: dict[tuple[int, int | None], Expected] = {}
    source = batch.sources[0]
    for start in range(0, len(batch), 16):
        places = range(start, min(start + 16, len(batch)))
        inside = any(isinstance(kind, ElementKind) for at in places for kind in bad.get(at, []))
        elements: list[Wire] = []
        spoilt: list[tuple[int, ElementKind]] = []
        as_pack = inside or rng.random() < 0.5
        for at in places:
            wire = wire_of(batch, at, partition, partitions)
            for kind in bad.get(at, []):
                if isinstance(kind, ElementKind):
                    spoilt.append((len(elements), kind))
                    elements.append({**_element(batch, at), **kind.fields()})
                    continue
                if isinstance(kind, MessageKind):
                    value = kind.spoil(wire_of(batch, at, partition, partitions, kind))
                    record, n, index = Record(b"k", value), 1, None
                else:
                    n, index = int(rng.integers(1, 5)), -1
                    record = _pack_record(kind.spoil(pack_of(source, [_element(batch, at)] * n)), n)
                letters[len(records), index] = Expected(kind.reason, n, record.value or b"")
                records.append(record)
            if as_pack:
                elements.append(_element(batch, at))
            else:
                records.append(Record(wire["user"].encode(), _json(wire)))
        if as_pack:
            pack = pack_of(source, elements)
            widths = pack["user_width"], pack["item_width"]
            for index, kind in spoilt:
                alone = msgspec.msgpack.encode(pack_of(source, [elements[index]], widths))
                letters[len(records), index] = Expected(kind.reason, 1, alone)
            records.append(_pack_record(pack, len(elements)))
    return Poisoned(records, letters)
