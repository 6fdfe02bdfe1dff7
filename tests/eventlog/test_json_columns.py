"""The kernel for single events against the codec, which reads every message: the same columns, or not sure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.codec import decode_wire
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.json_columns import MAX_SOURCES, JsonColumns, read_json
from eventlog.log import RecordBatch

pytestmark = pytest.mark.oracle

EVENT = {
    "user": "u1",
    "item": "i1",
    "rating": 4.5,
    "event_time_ms": 881250949000,
    "source_id": "app",
    "source_seq": 7,
}
RATINGS = st.one_of(
    st.floats(0, 10),
    st.integers(-1, 11),
    st.sampled_from([0.5, 1e-7, 1e300, 0.1 + 0.2, 4.35, 123456789012345.6]),
    st.decimals(0, 10, places=2).map(float),
)
IDS = st.text(st.characters(codec="utf-8"), max_size=8) | st.integers(0, 10**6).map(str)
EVENTS = st.fixed_dictionaries(
    {"user": IDS, "item": IDS, "rating": RATINGS, "event_time_ms": st.integers(-1, 10**14)},
    optional={
        "source_id": st.sampled_from(["app", "shop", "", "a" * 300]),
        "source_seq": st.integers(-1, 2**64),
        "kind": st.sampled_from(["rating", "retract", "other"]),
        "v": st.sampled_from([1, 2, "1"]),
        "key": IDS,
        "more": st.integers(),
    },
)


def write(
    event: dict[str, Any], separators: tuple[str, str] = (",", ":"), *, ascii_only: bool = False
) -> bytes:
    return json.dumps(event, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def rows(read: JsonColumns) -> list[tuple[Any, ...]]:
    sources = [read.sources[index] for index in read.source_index.tolist()]
    return list(
        zip(
            read.users.tolist(),
            read.items.tolist(),
            read.ratings.tolist(),
            read.event_time_ms.tolist(),
            sources,
            read.source_seq.tolist(),
            strict=True,
        )
    )


def by_the_codec(value: bytes) -> tuple[Any, ...]:
    wire = decode_wire(value)
    assert wire.kind == "rating"
    assert wire.key is None
    return (
        wire.user.encode(),
        wire.item.encode(),
        wire.rating,
        wire.event_time_ms,
        wire.source_id,
        wire.source_seq,
    )


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(EVENTS, max_size=12),
    order=st.permutations(sorted({*EVENT, "kind", "v", "key", "more"})),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_what_it_is_sure_of_is_what_the_codec_reads(
    events: list[dict[str, Any]], order: list[str], separators: tuple[str, str]
) -> None:
    values = []
    for event in events:
        values.append(write({name: event[name] for name in order if name in event}, separators))
    read = read_json(values)
    assert rows(read) == [by_the_codec(value) for value, sure in zip(values, read.sure, strict=True) if sure]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("rating", [0, 4, 4.0, 3.5, 0.1, 4.35, 9.99999999999999])
@pytest.mark.parametrize("more", [{}, {"kind": "rating"}, {"v": 1, "kind": "rating"}])
def test_it_is_sure_of_what_programs_write(
    rating: float, separators: tuple[str, str], more: dict[str, Any]
) -> None:
    value = write({**more, **EVENT, "rating": rating}, separators)
    read = read_json([value, value])
    assert read.sure.all()
    assert rows(read) == [(b"u1", b"i1", float(rating), 881250949000, "app", 7)] * 2


NOT_SURE = (
    *(write({name: field for name, field in EVENT.items() if name != left}) for left in EVENT),
    *(
        write({**EVENT, **other})
        for other in (
            {"kind": "retract"},
            {"v": 2},
            {"v": 0},
            {"key": "k"},
            {"colour": "red"},
            {"user": ""},
            {"user": "u" * 300},
            {"user": "é"},
            {"user": 'a"b'},
            {"rating": -1.0},
            {"rating": 1e-7},
            {"rating": 0.12345678901234567},
            {"rating": None},
            {"event_time_ms": 2**60},
            {"event_time_ms": 1.5},
            {"source_seq": 10**19},
            {"source_id": 5},
        )
    ),
    b"",
    b"{",
    b"{}",
    b'{"user"',
    write(EVENT)[:-1],
    write(EVENT) + b"x",
    write(EVENT) + write(EVENT),
    write(EVENT).replace(b"4.5", b"04.5"),
    write(EVENT).replace(b"4.5", b"4."),
    write(EVENT).replace(b"4.5", b".5"),
    write(EVENT).replace(b"4.5", b"4.5e0"),
    write(EVENT).replace(b'"u1"', b'"u\\u0031"'),
    write(EVENT).replace(b'"u1"', b'"u\n1"'),
    write(EVENT).replace(b'"user":"u1"', b'"user":"u1","user":"u2"'),
    write(EVENT).replace(b",", b",,", 1),
    b"[" + write(EVENT) + b"]",
)


@pytest.mark.parametrize("value", NOT_SURE, ids=range(len(NOT_SURE)))
def test_everything_else_is_left_to_the_codec(value: bytes) -> None:
    good = write(EVENT)
    read = read_json([good, value, good])
    assert read.sure.tolist() == [True, False, True]
    assert rows(read) == [by_the_codec(good)] * 2


def test_sources_beyond_those_that_it_holds_are_left_to_the_codec() -> None:
    values = [write({**EVENT, "source_id": f"s{i % 20}"}) for i in range(40)]
    read = read_json(values)
    assert read.sources == tuple(f"s{i}" for i in range(MAX_SOURCES))
    assert read.sure.tolist() == [i % 20 < MAX_SOURCES for i in range(40)]


def batch_of(values: list[bytes]) -> RecordBatch:
    n = len(values)
    stamps = np.full(n, 10**13, np.int64)
    return RecordBatch("t", 0, np.arange(n) + 5, stamps, [None] * n, list(values), [()] * n, 5 + n)


def slowly(values: list[bytes], limits: Limits) -> tuple[EventBatch, list[tuple[int, str, str]]]:
    """One message at a time, each with a blank line that the kernel is not sure of."""
    parts, rejects = [], []
    for at, value in enumerate(values):
        decoded = decode(batch_of([b"\n" + value])._replace(offsets=np.array([5 + at])), limits)
        parts.append(decoded.events)
        rejects += [(one.offset, one.reason.value, one.detail) for one in decoded.rejects]
    return EventBatch.concat(parts), rejects


def sources_of(batch: EventBatch) -> list[str | None]:
    names = [*batch.sources, None]
    return [names[index] for index in batch.source_index.tolist()]


@settings(max_examples=60, deadline=None)
@given(events=st.lists(EVENTS | st.just(EVENT) | st.just({**EVENT, "rating": 99.0}), max_size=15))
def test_decoding_is_the_same_whoever_reads(events: list[dict[str, Any]]) -> None:
    values = [write(event) for event in events]
    limits = Limits(rating_max=5.0)
    decoded = decode(batch_of(values), limits)
    want, rejects = slowly(values, limits)
    assert [(one.offset, one.reason.value, one.detail) for one in decoded.rejects] == rejects
    assert decoded.accepted == len(values)
    have = decoded.events
    assert sources_of(have) == sources_of(want)
    for name in (
        "users",
        "items",
        "ratings",
        "event_time_ms",
        "kinds",
        "source_seq",
        "key_hash",
        "offset",
    ):
        np.testing.assert_array_equal(getattr(have, name), getattr(want, name), err_msg=name)


def test_a_message_beyond_the_limit_is_not_read_at_all() -> None:
    decoded = decode(batch_of([write(EVENT)]), Limits(max_message_bytes=20))
    assert [one.reason.value for one in decoded.rejects] == ["message_too_large"]
