"""Records of the ratings topic to columns: good events, control records, and dead letters with their reasons.

Messages of one event are read by a kernel where it is sure of them (`eventlog.json_columns`), else one by one; events
are checked as columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from eventlog import codec
from eventlog.controls import PREFIX, Control, checked_control
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import EventError
from eventlog.event_checks import OK, REASONS, Limits, describe, first_faults
from eventlog.events import MAX_EVENT_TIME_MS, MAX_ID_BYTES, NO_SEQ, EventBatch, Kind
from eventlog.json_columns import read_json
from eventlog.log import RecordBatch

_JSON_OBJECT = b"{"
_SHORT_ID = MAX_ID_BYTES // 4


class Decoded(NamedTuple):
    """One `RecordBatch`, taken apart; all in log order.

    controls: (offset, control record). accepted: events that the message headers declare, good or bad.
    """

    events: EventBatch
    controls: list[tuple[int, Control]]
    rejects: list[DeadLetter]
    accepted: int
    next_offset: int


class _Single(NamedTuple):
    """One event of a JSON message, with where it stands."""

    at: int
    event: codec.WireEvent


def decode(records: RecordBatch, limits: Limits, partitions: int = 1) -> Decoded:
    """Decode one partition's records.

    partitions: how many the topic has; an event whose user belongs to another one is a dead letter (its state
    would be split). Never raises for what a message holds.
    """
    rejects: list[DeadLetter] = []
    controls: list[tuple[int, Control]] = []
    parts: list[EventBatch] = []
    singles: list[_Single] = []
    accepted = 0
    offsets = records.offsets.tolist()
    quick = _read_quickly(records, limits)
    run: list[int] = []  # rows of single events since the last pack, read already or in `singles`

    def reject(at: int, index: int, reason: Any, detail: str, payload: bytes, events: int = 1) -> None:
        rejects.append(
            DeadLetter(
                topic=records.topic,
                partition=records.partition,
                offset=offsets[at],
                index=index,
                reason=Reason(reason),
                detail=detail,
                payload=payload,
                events=events,
            )
        )

    def end_singles() -> None:
        if run:
            rows = run.copy()
            parts.append(
                _keep_good(
                    _singles_in_order(records, quick, rows, singles),
                    limits,
                    partitions,
                    lambda i, why, say: reject(rows[i], 0, why, say, records.values[rows[i]] or b""),
                )
            )
            run.clear()
            singles.clear()

    for at, value in enumerate(records.values):
        if quick.row[at] >= 0:
            accepted += 1
            run.append(at)
            continue
        if value is not None and value.startswith(PREFIX):
            try:
                controls.append((offsets[at], checked_control(value, limits.max_message_bytes)))
            except EventError as error:
                accepted += 1
                reject(at, -1, error.reason, f"control record: {error.detail}", value)
            continue
        declared = codec.events_in(records.headers[at]) if records.headers[at] else 1
        # A message that declares none is one bad event, or it would be lost to the accounting.
        counted = max(declared, 1)
        accepted += counted
        try:
            if value is not None and len(value) > limits.max_message_bytes:
                raise EventError(
                    Reason.MESSAGE_TOO_LARGE,
                    f"message has {len(value)} bytes, expected at most {limits.max_message_bytes}",
                )
            if not value or value[:1] == _JSON_OBJECT or value[:1] < b"\x80":
                if declared != 1:
                    raise EventError(
                        Reason.PACK_MISMATCH, f"header n is {declared}, the message has one event"
                    )
                singles.append(_Single(at, _checked_types(codec.decode_wire(value))))
                run.append(at)
                continue
            pack = codec.decode_pack(value)
            size = len(pack.seqs) // 8
            if size != declared:
                raise EventError(Reason.PACK_MISMATCH, f"header n is {declared}, the pack has {size} events")
            codec.check_source_id(pack.source_id)
        except EventError as error:
            reject(at, -1, error.reason, error.detail, value or b"", counted)
            continue
        end_singles()
        batch = _columns_of_pack(records, at, pack)
        parts.append(
            _keep_good(
                batch,
                limits,
                partitions,
                lambda i, why, say, at=at, pack=pack: reject(at, i, why, say, codec.slice_pack(pack, i)),  # type: ignore[misc]
            )
        )
    end_singles()
    rejects.sort(key=lambda letter: (letter.offset, letter.index))
    return Decoded(EventBatch.concat(parts), controls, rejects, accepted, records.next_offset)


def check_event(wire: codec.WireEvent, limits: Limits, append_time_ms: int) -> None:
    """Check one event exactly as the learner will.

    Raises `EventError` with the reason; the detail names the field, its value and what was expected.
    """
    for _, error in check_events([wire], limits, append_time_ms):
        raise error


def check_events(
    wires: Sequence[codec.WireEvent], limits: Limits, append_time_ms: int
) -> list[tuple[int, EventError]]:
    """Check events together exactly as the learner will; return (place, what is wrong) of those that it would refuse."""
    wrong: dict[int, EventError] = {}
    singles: list[_Single] = []
    for at, wire in enumerate(wires):
        try:
            singles.append(_Single(at, _checked_types(wire)))
        except EventError as error:
            wrong[at] = error
    if singles:
        n = len(wires)
        moments = np.full(n, append_time_ms, np.int64)
        records = RecordBatch("", 0, np.zeros(n, np.int64), moments, [None] * n, [None] * n, [()] * n, 0)
        batch = _columns(records, singles)
        codes = first_faults(batch, limits, 1)
        for row in np.flatnonzero(codes != OK).tolist():
            reason = REASONS[codes[row]]
            wrong[singles[row].at] = EventError(reason, describe(batch, row, reason, limits))
    return sorted(wrong.items())


def _checked_types(event: codec.WireEvent) -> codec.WireEvent:
    """Check what columns cannot hold: the kind's name, sizes of text, integers beyond 64 bits."""
    if _is_plain(event):
        return event
    if event.kind not in codec.KIND_OF_NAME:
        raise EventError(
            Reason.UNKNOWN_KIND, f"kind is {event.kind[:40]!r}, expected one of {list(codec.KIND_OF_NAME)}"
        )
    for name, text in (("user", event.user), ("item", event.item)):
        if len(text) > MAX_ID_BYTES or len(text.encode()) > MAX_ID_BYTES:
            raise EventError(
                Reason.ID_TOO_LONG, f"{name} has {len(text.encode())} bytes, expected at most {MAX_ID_BYTES}"
            )
        if "\0" in text:
            raise EventError(Reason.ID_NOT_TEXT, f"{name} is {text!r}, expected no control characters")
    if event.event_time_ms > MAX_EVENT_TIME_MS:
        raise EventError(
            Reason.TIME_ABSURD,
            f"event_time_ms is {event.event_time_ms}, expected at most {MAX_EVENT_TIME_MS}",
        )
    if event.event_time_ms < 0:
        raise EventError(Reason.TIME_NEGATIVE, f"event_time_ms is {event.event_time_ms}, expected 0 or more")
    if event.kind == "rating" and event.rating is None:
        raise EventError(Reason.RATING_MISSING, "rating is absent or null, expected a number")
    has_source = event.source_id is not None and event.source_seq is not None
    if not has_source and not event.key:
        raise EventError(Reason.IDENTITY_MISSING, "expected source_id and source_seq, or an idempotency key")
    if has_source:
        codec.check_source_id(event.source_id or "")
        if not 0 <= (event.source_seq or 0) < 2**63:
            raise EventError(
                Reason.IDENTITY_INVALID, f"source_seq is {event.source_seq}, expected 0 to 2^63 - 1"
            )
    elif len(event.key or "") > MAX_ID_BYTES:
        raise EventError(
            Reason.IDENTITY_INVALID,
            f"key has {len(event.key or '')} characters, expected at most {MAX_ID_BYTES}",
        )
    return event


def _is_plain(event: codec.WireEvent) -> bool:
    """Whether an event is like most: a rating with a key and short ids. It passes each check below, at a tenth of their cost."""
    user, item, key = event.user, event.item, event.key
    return (
        event.kind == "rating"
        and event.rating is not None
        and key is not None
        and event.source_id is None
        and event.source_seq is None
        and 0 <= event.event_time_ms <= MAX_EVENT_TIME_MS
        and 0 < len(key) <= MAX_ID_BYTES
        # Of UTF-8, a character has four bytes at most; what is printable has no NUL.
        and len(user) <= _SHORT_ID
        and len(item) <= _SHORT_ID
        and user.isprintable()
        and item.isprintable()
    )


class _Quick(NamedTuple):
    """Events that the kernel has read, in log order; row: for each record its row in `events`, or -1."""

    events: EventBatch
    row: list[int]


def _read_quickly(records: RecordBatch, limits: Limits) -> _Quick:
    most = limits.max_message_bytes
    rows = [
        at
        for at, (value, headers) in enumerate(zip(records.values, records.headers, strict=True))
        if value is not None and value[:1] == _JSON_OBJECT and not headers and len(value) <= most
    ]
    row = [OK] * len(records.values)
    if not rows:
        return _Quick(EventBatch.empty(), row)
    read = read_json([records.values[at] or b"" for at in rows])
    found = np.array(rows)[read.sure]
    for i, at in enumerate(found.tolist()):
        row[at] = i
    n = len(found)
    return _Quick(
        EventBatch(
            sources=read.sources,
            users=read.users,
            items=read.items,
            ratings=read.ratings,
            event_time_ms=read.event_time_ms,
            kinds=np.full(n, Kind.RATING, np.uint8),
            source_index=read.source_index,
            source_seq=read.source_seq,
            key_hash=np.zeros(n, np.uint64),
            partition=np.full(n, records.partition, np.int32),
            offset=records.offsets[found],
            index=np.zeros(n, np.int32),
            append_time_ms=records.append_time_ms[found],
        ),
        row,
    )


def _singles_in_order(
    records: RecordBatch, quick: _Quick, rows: list[int], singles: list[_Single]
) -> EventBatch:
    """Events of the records `rows`, read already but for `singles`; with the sources that they have."""
    read = [quick.row[at] for at in rows if quick.row[at] >= 0]
    batch = quick.events if len(read) == len(quick.events) else quick.events.take(np.array(read, np.int64))
    if singles:
        batch = EventBatch.concat([batch, _columns(records, singles)])
        batch = batch.take(np.argsort(batch.offset, kind="stable"))
    if len(batch.sources) < 2:
        return batch
    index, first = np.unique(batch.source_index[batch.source_index >= 0], return_index=True)
    used = index[np.argsort(first)]
    place = np.full(len(batch.sources) + 1, -1, np.int32)  # the last is of no source, -1
    place[used] = np.arange(len(used))
    names = tuple(batch.sources[source] for source in used.tolist())
    return replace(batch, sources=names, source_index=place[batch.source_index])


def _columns(records: RecordBatch, singles: list[_Single]) -> EventBatch:
    """Put single events into columns."""
    n = len(singles)
    rows = np.fromiter((single.at for single in singles), np.int64, n)
    events = [single.event for single in singles]
    sources: dict[str, int] = {}
    source_index, source_seq, key_hash = [-1] * n, [NO_SEQ] * n, [0] * n
    for i, event in enumerate(events):
        if event.source_id is not None and event.source_seq is not None:
            source_index[i] = sources.setdefault(event.source_id, len(sources))
            source_seq[i] = event.source_seq
        else:
            key_hash[i] = _hash_key(event.key or "")
    kinds = codec.KIND_OF_NAME
    return EventBatch(
        sources=tuple(sources),
        users=np.array([event.user.encode() for event in events], dtype=np.bytes_),
        items=np.array([event.item.encode() for event in events], dtype=np.bytes_),
        ratings=np.array([np.nan if event.rating is None else event.rating for event in events], np.float64),
        event_time_ms=np.array([event.event_time_ms for event in events], np.int64),
        kinds=np.array([kinds[event.kind] for event in events], np.uint8),
        source_index=np.array(source_index, np.int32),
        source_seq=np.array(source_seq, np.int64),
        key_hash=np.array(key_hash, np.uint64),
        partition=np.full(n, records.partition, np.int32),
        offset=records.offsets[rows],
        index=np.zeros(n, np.int32),
        append_time_ms=records.append_time_ms[rows],
    )


def _hash_key(key: str) -> int:
    """64-bit identity of an idempotency key, never 0."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") or 1


def _columns_of_pack(records: RecordBatch, at: int, pack: codec.Pack) -> EventBatch:
    users, items, ratings, times, seqs, kinds = codec.columns_of_pack(pack)
    n = len(seqs)
    return EventBatch(
        sources=(pack.source_id,),
        users=users,
        items=items,
        ratings=ratings,
        event_time_ms=times,
        kinds=kinds,
        source_index=np.zeros(n, np.int32),
        source_seq=seqs,
        key_hash=np.zeros(n, np.uint64),
        partition=np.full(n, records.partition, np.int32),
        offset=np.full(n, records.offsets[at], np.int64),
        index=np.arange(n, dtype=np.int32),
        append_time_ms=np.full(n, records.append_time_ms[at], np.int64),
    )


def _keep_good(
    batch: EventBatch, limits: Limits, partitions: int, reject: Callable[[int, Reason, str], None]
) -> EventBatch:
    codes = first_faults(batch, limits, partitions)
    if (codes == OK).all():
        return _narrowed(batch)
    for row in np.flatnonzero(codes != OK).tolist():
        reason = REASONS[codes[row]]
        reject(row, reason, describe(batch, row, reason, limits))
    return _narrowed(batch.take(codes == OK))


def _narrowed(batch: EventBatch) -> EventBatch:
    """Cut off the padding of ids that a pack made wider than any id may be: it would widen what it is joined to."""
    widest = f"S{MAX_ID_BYTES}"
    if max(batch.users.dtype.itemsize, batch.items.dtype.itemsize) <= MAX_ID_BYTES:
        return batch
    return replace(batch, users=batch.users.astype(widest), items=batch.items.astype(widest))
