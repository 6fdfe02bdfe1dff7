"""What an event may hold, checked as columns: the first reason against each event, and its words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventlog.deadletter import Reason
from eventlog.events import MAX_EVENT_TIME_MS, MAX_ID_BYTES, NO_SEQ, EventBatch, Kind
from eventlog.partitioner import partitions_of

OK = -1
_HAS_ITEM = np.array([kind != Kind.FORGET_USER for kind in Kind])


class Limits(NamedTuple):
    """What an event may hold.

    rating_min..rating_max: the scale, inclusive. max_future_s: seconds that an event time may lie ahead of
    the append time. max_message_bytes: larger values are not decoded at all.
    """

    rating_min: float = 0.0
    rating_max: float = 10.0
    max_future_s: float = 86_400.0
    max_message_bytes: int = 1 << 20


# The reasons that columns are checked for, in the order in which the first one counts.
REASONS = (
    Reason.UNKNOWN_KIND,
    Reason.ID_EMPTY,
    Reason.ID_TOO_LONG,
    Reason.ID_NOT_TEXT,
    Reason.IDENTITY_INVALID,
    Reason.TIME_NEGATIVE,
    Reason.TIME_ABSURD,
    Reason.TIME_FUTURE,
    Reason.RATING_NOT_FINITE,
    Reason.RATING_OUT_OF_SCALE,
    Reason.WRONG_PARTITION,
)


def first_faults(batch: EventBatch, limits: Limits, partitions: int) -> NDArray[np.int8]:
    """Return int8[n]: index into `REASONS` of the first that holds, or -1."""
    codes = np.full(len(batch), OK, np.int8)
    kinds, ratings, times = batch.kinds, batch.ratings, batch.event_time_ms
    unknown_kind = kinds >= len(Kind)
    needs_item = _HAS_ITEM[np.minimum(kinds, len(Kind) - 1)]
    is_rating = kinds == Kind.RATING
    # The scale is not asked of kinds without a rating, unless they bring one.
    out_of_scale = (ratings < limits.rating_min) | (ratings > limits.rating_max)
    failed = (
        unknown_kind,
        (batch.users == b"") | (needs_item & (batch.items == b"")),
        _too_long(batch.users) | _too_long(batch.items),
        _not_text(batch.users) | _not_text(batch.items),
        batch.source_seq < np.where(batch.source_index < 0, NO_SEQ, 0),
        times < 0,
        times > MAX_EVENT_TIME_MS,
        (times - batch.append_time_ms) / 1000.0 > limits.max_future_s,
        np.isinf(ratings) | (is_rating & np.isnan(ratings)),
        out_of_scale,
        partitions_of(batch.users, partitions) != batch.partition
        if partitions > 1
        else np.zeros(len(batch), bool),
    )
    for code in range(len(failed) - 1, -1, -1):
        codes[failed[code]] = code
    return codes


def _too_long(ids: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    if ids.dtype.itemsize <= MAX_ID_BYTES:
        return np.zeros(len(ids), bool)
    return np.char.str_len(ids) > MAX_ID_BYTES


def _not_text(ids: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which ids are not UTF-8 or have control characters (or NULs before their end)."""
    raw = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), ids.dtype.itemsize)
    odd = ((raw < 0x20) & (raw != 0)) | (raw >= 0x7F)
    odd[:, 1:] |= (raw[:, :-1] == 0) & (raw[:, 1:] != 0)
    bad: NDArray[np.bool_] = odd.any(axis=1)
    for row in np.flatnonzero(bad):
        try:
            text = ids[row].decode()
        except UnicodeDecodeError:
            continue
        bad[row] = any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text)
    return bad


def describe(batch: EventBatch, row: int, reason: Reason, limits: Limits) -> str:
    """Name the field, its value and what was expected."""
    user, item = bytes(batch.users[row])[:80], bytes(batch.items[row])[:80]
    time_ms, rating = int(batch.event_time_ms[row]), float(batch.ratings[row])
    match reason:
        case Reason.UNKNOWN_KIND:
            return f"kind is {int(batch.kinds[row])}, expected 0 to {len(Kind) - 1}"
        case Reason.ID_EMPTY:
            return f"user is {user!r}, item is {item!r}, expected ids of 1 to {MAX_ID_BYTES} bytes"
        case Reason.ID_TOO_LONG | Reason.ID_NOT_TEXT:
            return f"user is {user!r}, item is {item!r}, expected UTF-8 text of at most {MAX_ID_BYTES} bytes"
        case Reason.IDENTITY_INVALID:
            return f"source_seq is {int(batch.source_seq[row])}, expected 0 or more"
        case Reason.TIME_NEGATIVE | Reason.TIME_ABSURD:
            return f"event_time_ms is {time_ms}, expected 0 to {MAX_EVENT_TIME_MS}"
        case Reason.TIME_FUTURE:
            append = int(batch.append_time_ms[row])
            return f"event_time_ms is {time_ms}, expected at most {limits.max_future_s:g} s after {append}"
        case Reason.RATING_NOT_FINITE | Reason.RATING_OUT_OF_SCALE:
            return f"rating is {rating:g}, expected {limits.rating_min:g} to {limits.rating_max:g}"
        case _:
            return f"user {user!r} stands in partition {int(batch.partition[row])}, which is not the user's"
