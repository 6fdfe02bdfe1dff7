"""How far a source has come on each partition, read from the log's tail: what a producer resumes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from eventlog.codec import columns_of_pack, decode_pack, decode_wire
from eventlog.controls import PREFIX, ControlKind, decode_control
from eventlog.errors import EventError
from eventlog.log import Bounds, Log, RecordBatch

_FIRST_LOOK: Final = 64
_POLL_RECORDS: Final = 1_024


class Tail(NamedTuple):
    """One source on one partition.

    last_seq: everything of the source up to it is in the log (-1: nothing); an event's or a watermark's.
    """

    last_seq: int
    started: bool
    ended: bool


def read_tails(log: Log, topic: str, partitions: Iterable[int], source_id: str) -> list[Tail]:
    """Find `source_id` at the end of each partition; other sources may lie between, so it looks ever further back."""
    bounds = log.bounds(topic)
    return [_read_tail(log, topic, partition, bounds[partition], source_id) for partition in partitions]


def last_dead_line(log: Log, topic: str, name: str) -> int:
    """Return the largest offset among the dead letters whose `topic` is `name`, -1 without one.

    topic: of the dead letters, which has one partition.
    """
    for span in _spans(log.bounds(topic)[0]):
        found = -1
        for batch in _batches(log, topic, 0, span):
            for key in batch.keys:
                origin, _, offset, _ = key.rsplit(b"/", 3) if key and key.count(b"/") >= 3 else (b"",) * 4
                if origin == name.encode() and offset.isdigit():
                    found = max(found, int(offset))
        if found >= 0:
            return found
    return -1


def _spans(bounds: Bounds) -> Iterator[tuple[int, int]]:
    """Cut offsets into spans, the last one first, each much longer than the one before."""
    look, upto = _FIRST_LOOK, bounds.end
    while upto > bounds.begin:
        start = max(bounds.begin, bounds.end - look)
        yield start, upto
        upto, look = start, look * 8


def _batches(log: Log, topic: str, partition: int, span: tuple[int, int]) -> Iterator[RecordBatch]:
    """Read offsets [span[0], span[1]); the last batch is cut there."""
    with log.reader(topic, [partition]) as reader:
        reader.seek(partition, span[0])
        while reader.position(partition) < span[1]:
            for batch in reader.poll(_POLL_RECORDS, 1.0):
                size = int(np.searchsorted(batch.offsets, span[1]))
                yield batch._replace(
                    offsets=batch.offsets[:size], keys=batch.keys[:size], values=batch.values[:size]
                )


def _read_tail(log: Log, topic: str, partition: int, bounds: Bounds, source_id: str) -> Tail:
    found = Tail(-1, started=False, ended=False)
    for span in _spans(bounds):
        found = _merge(_scan(_batches(log, topic, partition, span), source_id), found)
        if found.last_seq >= 0:
            # Anything of a source at all means that its START lies before.
            return found._replace(started=True)
        # Before a START alone there may be more: a source that ended can be opened anew.
    return found


def _merge(earlier: Tail, later: Tail) -> Tail:
    return Tail(
        max(earlier.last_seq, later.last_seq),
        earlier.started or later.started,
        later.ended or (earlier.ended and not later.started),
    )


def _scan(batches: Iterable[RecordBatch], source_id: str) -> Tail:
    last_seq, started, ended = -1, False, False
    for batch in batches:
        for value in batch.values:
            if not value:
                continue
            if value.startswith(PREFIX):
                seq, kind = _control(value, source_id)
                started = started or kind is ControlKind.START
                # A START after an END opens the source anew.
                ended = kind is ControlKind.END or (ended and kind is not ControlKind.START)
            else:
                seq = _last_of_message(value, source_id)
            last_seq = max(last_seq, seq)
    return Tail(last_seq, started, ended)


def _control(value: bytes, source_id: str) -> tuple[int, ControlKind | None]:
    try:
        control = decode_control(value)
    except msgspec.DecodeError:
        return -1, None
    return (control.source_seq, control.control) if control.source_id == source_id else (-1, None)


def _last_of_message(value: bytes, source_id: str) -> int:
    """Largest source_seq of `source_id` in a message of events, -1 without one."""
    try:
        if value[:1] == b"{":
            event = decode_wire(value)
            return event.source_seq if event.source_id == source_id and event.source_seq is not None else -1
        pack = decode_pack(value)
    except EventError:
        return -1
    if pack.source_id != source_id:
        return -1
    return int(np.max(columns_of_pack(pack)[4]))
