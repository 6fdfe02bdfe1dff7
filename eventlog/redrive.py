"""Dead letters read back, and their events sent once more.

A redriven event has an idempotency key made from its dead letter's position in place of the identity it came with: the
learner has passed (source_id, source_seq) long ago, and would drop it as a duplicate. What was redriven is recorded in
the dead-letter topic itself, after the event is durable; killed between the two, a redrive sends the event again under
the same key, and the learner drops it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from eventlog import codec
from eventlog.controls import PREFIX
from eventlog.deadletter import DeadLetter, Reason
from eventlog.decode import check_event
from eventlog.errors import EventError, SettingsError
from eventlog.event_checks import Limits
from eventlog.events import MAX_ID_BYTES
from eventlog.log import Log, Record
from eventlog.partitioner import partition_of
from eventlog.topics import Topics

_MARK: Final = b"redriven:"
_IDENTITY: Final = ("source_id", "source_seq", "key")
_POLL_RECORDS: Final = 1_024


class StoredLetter(NamedTuple):
    """A dead letter in its topic. offset: of its first record there. redriven: whether its event was sent once more."""

    offset: int
    letter: DeadLetter
    redriven: bool

    @property
    def position(self) -> str:
        """Where the event stood: topic/partition/offset/index."""
        return _position(self.letter)


class Redriven(NamedTuple):
    """What became of one letter. record and partition are what to append, None where `problem` says why not."""

    stored: StoredLetter
    record: Record | None
    partition: int | None
    problem: str | None


def read_dead_letters(log: Log, topic: str) -> Iterator[StoredLetter]:
    """Read a dead-letter topic in order, each letter once (an interrupted learner writes some again).

    Raises `TopicMissingError`; `EventError` for a record that is no dead letter.
    """
    marks = (key for _, key, _ in _records(log, topic) if key is not None and key.startswith(_MARK))
    redriven = {key.removeprefix(_MARK).decode() for key in marks}
    seen: set[str] = set()
    for offset, key, value in _records(log, topic):
        if key is not None and key.startswith(_MARK):
            continue
        try:
            letter = DeadLetter.from_value(value or b"")
        except msgspec.DecodeError as error:
            raise EventError(Reason.UNDECODABLE, f"{topic} at {offset}: no dead letter: {error}") from None
        position = _position(letter)
        if position not in seen:
            seen.add(position)
            yield StoredLetter(offset, letter, position in redriven)


def event_of(payload: bytes) -> dict[str, Any]:
    """Take a payload apart into an event's fields, unknown ones kept: of a JSON message, or of a pack of one event.

    Raises `EventError` for what is no single event.
    """
    if payload.startswith(PREFIX):
        raise EventError(Reason.UNDECODABLE, "a control record, expected an event")
    if payload[:1] < b"\x80":
        try:
            fields = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EventError(Reason.UNDECODABLE, f"not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise EventError(Reason.UNDECODABLE, "JSON, but no object")
        return fields
    pack = codec.decode_pack(payload)
    users, items, ratings, times, seqs, kinds = codec.columns_of_pack(pack)
    if len(seqs) != 1:
        raise EventError(Reason.PACK_MISMATCH, f"a message of {len(seqs)} events, expected one event")
    names = {int(kind): name for kind, name in codec.NAME_OF_KIND.items()}
    kind, rating = int(kinds[0]), float(ratings[0])
    try:
        fields = {
            "user": bytes(users[0]).decode(),
            "item": bytes(items[0]).decode(),
            "event_time_ms": int(times[0]),
            "kind": names.get(kind, str(kind)),
            "source_id": pack.source_id,
            "source_seq": int(seqs[0]),
        }
    except UnicodeDecodeError as error:
        raise EventError(Reason.ID_NOT_TEXT, str(error)) from None
    if math.isfinite(rating):
        fields["rating"] = rating
    return {**((pack.extra or {}).get(0) or {}), **fields}


def parse_corrections(texts: Iterable[str]) -> dict[str, Any]:
    """Parse `name=value` texts; ids and kinds are text, other values JSON where they are.

    Raises `SettingsError` for another form, and for a part of the identity, which redriving makes anew.
    """
    corrections: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(f"set is {text!r}, expected FIELD=VALUE")
        if name in _IDENTITY:
            raise SettingsError(
                f"set is {text!r}, expected no part of the identity: a redriven event has its own"
            )
        corrections[name] = value
        if name not in {"user", "item", "kind"}:
            with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeError):
                corrections[name] = msgspec.json.decode(value.encode())
    return corrections


def prepare(
    stored: StoredLetter, corrections: Mapping[str, Any], limits: Limits, partitions: int
) -> Redriven:
    """Make the message of one letter's event, corrected, or say why it would be a dead letter again.

    limits: those of the learner. partitions: of the ratings topic.
    """
    try:
        fields = event_of(stored.letter.payload)
        fields = {name: value for name, value in fields.items() if name not in _IDENTITY} | dict(corrections)
        fields = {"v": codec.SCHEMA_VERSION, **fields, "key": _key(stored.position)}
        value = msgspec.json.encode(fields)
        if len(value) > limits.max_message_bytes:
            raise EventError(
                Reason.MESSAGE_TOO_LARGE,
                f"message has {len(value)} bytes, expected at most {limits.max_message_bytes}",
            )
        wire = codec.decode_wire(value)
        check_event(wire, limits, time.time_ns() // 1_000_000)
    except EventError as error:
        return Redriven(stored, None, None, f"{error.reason}: {error.detail}")
    return Redriven(stored, Record(wire.user.encode(), value), partition_of(wire.user, partitions), None)


def redrive(log: Log, topics: Topics, prepared: Iterable[Redriven]) -> int:
    """Append what was prepared to the ratings topic, then record it as redriven; return how many.

    Letters that were redriven before, and those with a problem, are left out. Raises `LogError`.
    """
    sent = [one for one in prepared if one.record is not None and not one.stored.redriven]
    with log.writer() as writer:
        # (1) the events, durable before (2) the record of them
        for one in sent:
            assert one.record is not None and one.partition is not None
            writer.append(topics.ratings, one.partition, [one.record])
        writer.flush()
        marks = [Record(_MARK + one.stored.position.encode(), b"") for one in sent]
        writer.append(topics.dead_letters, 0, marks)
        writer.flush()
    return len(sent)


def _records(log: Log, topic: str) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Every record that the topic holds now: offset, key, value."""
    for partition, bounds in log.bounds(topic).items():
        with log.reader(topic, [partition]) as reader:
            reader.seek(partition, bounds.begin)
            while reader.position(partition) < bounds.end:
                for batch in reader.poll(_POLL_RECORDS, 1.0):
                    size = int(np.searchsorted(batch.offsets, bounds.end))
                    yield from zip(
                        batch.offsets[:size].tolist(), batch.keys[:size], batch.values[:size], strict=True
                    )


def _position(letter: DeadLetter) -> str:
    return f"{letter.topic}/{letter.partition}/{letter.offset}/{letter.index}"


def _key(position: str) -> str:
    """The idempotency key of the event redriven from `position`, at most `MAX_ID_BYTES` long."""
    key = f"redrive:{position}"
    if len(key) <= MAX_ID_BYTES:
        return key
    return f"redrive:{hashlib.blake2b(position.encode(), digest_size=32).hexdigest()}"
