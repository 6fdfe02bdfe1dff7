"""The wire form: files written by hand still decode, what is malformed says why, and nothing else is raised."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventlog import codec
from eventlog.codec import decode_event, decode_pack, decode_wire, encode_event, encode_pack
from eventlog.controls import PREFIX, Control, ControlKind, decode_control
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import EventError
from eventlog.events import NO_SEQ, EventBatch, Kind, RatingEvent

GOLDEN = Path(__file__).parent.parent / "golden"

EVENT_V1 = RatingEvent(
    user="196",
    item="242",
    rating=3.0,
    event_time_ms=881_250_949_000,
    source_id="ml-100k",
    source_seq=7,
)
EVENT_V1_UNKNOWN_FIELDS = RatingEvent(
    user="andré",
    item="Léon (1994)",
    event_time_ms=0,
    kind=Kind.VIEW,
    key="9f1c",
    extra={"device": {"os": "tv", "sizes": [1, 2.5, None]}, "trace": "é\n"},
)


def bin8(content: bytes) -> bytes:
    return b"\xc4" + bytes([len(content)]) + content


def text(content: str) -> bytes:
    return bytes([0xA0 + len(content)]) + content.encode()


# Three events, byte for byte: u1 rates i1 with 5.0, u22 views i22, u333 rates i3 with 3.5; the second one has
# an unknown field. msgpack: 8c = map of 12, c4 = bytes with a length, a0 + n = text, 81 = map of 1.
PACK_V1 = b"".join(
    [
        b"\x8c",
        *(text("v"), b"\x01"),
        *(text("source_id"), text("ml-100k")),
        *(text("user_width"), b"\x04"),
        *(text("users"), bin8(b"u1\0\0u22\0u333")),
        *(text("item_width"), b"\x03"),
        *(text("items"), bin8(b"i1\0i22i3\0")),
        *(text("ratings"), bin8(struct.pack("<3d", 5.0, math.nan, 3.5))),
        *(text("times"), bin8(struct.pack("<3q", 881_250_949_000, 881_250_950_000, -1))),
        *(text("seqs"), bin8(struct.pack("<3q", 40, 41, 42))),
        *(text("kinds"), bin8(b"\x00\x01\x00")),
        *(text("extra"), b"\x81\x01\x81", text("device"), text("tv")),
        *(text("not_yet_known"), b"\xc3"),
    ]
)


def test_an_old_event_still_decodes():
    assert decode_event((GOLDEN / "event_v1.json").read_bytes()) == EVENT_V1


def test_unknown_fields_survive_decoding_and_encoding():
    value = (GOLDEN / "event_v1_unknown_fields.json").read_bytes()
    event = decode_event(value)
    assert event == EVENT_V1_UNKNOWN_FIELDS
    record = encode_event(event)
    assert record.key == "andré".encode()
    assert json.loads(record.value) == {"v": 1, **json.loads(value)}
    assert decode_event(record.value) == event


def test_an_old_pack_still_decodes():
    assert (GOLDEN / "pack_v1.msgpack").read_bytes() == PACK_V1
    pack = decode_pack(PACK_V1)
    assert (pack.v, pack.source_id, pack.extra) == (1, "ml-100k", {1: {"device": "tv"}})
    users, items, ratings, times, seqs, kinds = codec.columns_of_pack(pack)
    assert users.tolist() == [b"u1", b"u22", b"u333"]
    assert items.tolist() == [b"i1", b"i22", b"i3"]
    np.testing.assert_array_equal(ratings, [5.0, np.nan, 3.5])
    assert times.tolist() == [881_250_949_000, 881_250_950_000, -1]
    assert seqs.tolist() == [40, 41, 42]
    assert kinds.tolist() == [Kind.RATING, Kind.VIEW, Kind.RATING]


def test_one_event_of_a_pack_is_a_pack_of_its_bytes():
    pack = decode_pack(PACK_V1)
    one = decode_pack(codec.slice_pack(pack, 1))
    columns = [column.tolist() for column in codec.columns_of_pack(one)]
    assert columns[:2] == [[b"u22"], [b"i22"]]
    assert math.isnan(columns[2][0])
    assert columns[3:] == [[881_250_950_000], [41], [Kind.VIEW]]
    assert one.extra == {0: {"device": "tv"}}
    assert decode_pack(codec.slice_pack(pack, 0)).extra is None


@pytest.mark.parametrize(
    ("name", "control"),
    [
        (
            "start",
            Control(
                control=ControlKind.START,
                source_id="ml-100k",
                total_events=100_000,
                rating_min=1.0,
                rating_max=5.0,
            ),
        ),
        (
            "watermark",
            Control(
                control=ControlKind.WATERMARK,
                source_id="ml-100k",
                event_time_ms=881_250_949_000,
                source_seq=41,
            ),
        ),
        (
            "end",
            Control(
                control=ControlKind.END,
                source_id="ml-100k",
                event_time_ms=893_286_638_000,
                source_seq=99_999,
                total_events=100_000,
            ),
        ),
    ],
)
def test_old_control_records_still_decode(name, control):
    value = (GOLDEN / f"control_v1_{name}.json").read_bytes()
    assert value.startswith(PREFIX)
    assert decode_control(value) == control
    written = control.to_record().value
    assert written is not None
    assert written.startswith(PREFIX)
    assert decode_control(written) == control


def test_packs_are_what_they_were_made_of():
    batch = EventBatch(
        sources=("a", "s"),
        users=np.array([b"u1", b"u2"]),
        items=np.array([b"item", b"x"]),
        ratings=np.array([1.0, 4.5]),
        event_time_ms=np.array([10, 20]),
        kinds=np.zeros(2, np.uint8),
        source_index=np.ones(2, np.int32),
        source_seq=np.array([3, 4]),
        key_hash=np.zeros(2, np.uint64),
        partition=np.zeros(2, np.int32),
        offset=np.full(2, NO_SEQ),
        index=np.zeros(2, np.int32),
        append_time_ms=np.zeros(2, np.int64),
    )
    record = encode_pack(batch)
    assert record.value is not None
    assert codec.events_in(record.headers) == 2
    pack = decode_pack(record.value)
    assert pack.source_id == "s"
    columns = [column.tolist() for column in codec.columns_of_pack(pack)]
    assert columns == [[b"u1", b"u2"], [b"item", b"x"], [1.0, 4.5], [10, 20], [3, 4], [0, 0]]


@pytest.mark.parametrize(
    ("headers", "events"),
    [
        ((), 1),
        ((("n", b"256"),), 256),
        ((("other", b"9"), ("n", b"3")), 3),
        ((("n", b"-1"),), 1),
        ((("n", b"many"),), 1),
        ((("n", b""),), 1),
        ((("n", b"9" * 30),), 1),
    ],
)
def test_headers_declare_how_many_events_there_are(headers, events):
    assert codec.events_in(headers) == events


def event_with(**fields: object) -> bytes:
    """A good event with these fields changed; ... takes one away."""
    good = {"v": 1, "user": "u", "item": "i", "rating": 3.0, "event_time_ms": 5, **fields}
    return json.dumps({name: field for name, field in good.items() if field is not ...}).encode()


DEEP = b"[" * 100_000 + b"]" * 100_000

MALFORMED_EVENTS = {
    "null value": (None, Reason.UNDECODABLE),
    "empty": (b"", Reason.UNDECODABLE),
    "not JSON": (b"user,item,3", Reason.UNDECODABLE),
    "cut off": (event_with()[:-1], Reason.UNDECODABLE),
    "two objects": (event_with() * 2, Reason.UNDECODABLE),
    "NaN is no JSON": (event_with(rating=math.nan), Reason.UNDECODABLE),
    "not UTF-8": (event_with(user="U").replace(b"U", b"\xff\xfe"), Reason.UNDECODABLE),
    "half a surrogate pair": (event_with(user="\ud800"), Reason.UNDECODABLE),
    "nested too deeply": (event_with(x=0).replace(b'"x": 0', b'"x": ' + DEEP), Reason.UNDECODABLE),
    "a field's name is not UTF-8": (b'{"v": 1, "\xff": 0}', Reason.MISSING_FIELD),
    "an array": (b"[1, 2]", Reason.WRONG_TYPE),
    "null": (b"null", Reason.WRONG_TYPE),
    "newer version": (event_with(v=2), Reason.UNKNOWN_VERSION),
    "newer version, other structure": (b'{"v": 3, "who": "u"}', Reason.UNKNOWN_VERSION),
    "version 0": (event_with(v=0), Reason.UNKNOWN_VERSION),
    "no user": (event_with(user=...), Reason.MISSING_FIELD),
    "no item": (event_with(item=...), Reason.MISSING_FIELD),
    "no time": (event_with(event_time_ms=...), Reason.MISSING_FIELD),
    "user is a number": (event_with(user=196), Reason.WRONG_TYPE),
    "user is null": (event_with(user=None), Reason.WRONG_TYPE),
    "item is a list": (event_with(item=["i"]), Reason.WRONG_TYPE),
    "rating is text": (event_with(rating="3"), Reason.WRONG_TYPE),
    "time is text": (event_with(event_time_ms="1997-12-04"), Reason.WRONG_TYPE),
    "time is a fraction": (event_with(event_time_ms=0.5), Reason.WRONG_TYPE),
    "time is a boolean": (event_with(event_time_ms=True), Reason.WRONG_TYPE),
    "version is text": (event_with(v="1"), Reason.WRONG_TYPE),
    "sequence is text": (event_with(source_seq="7"), Reason.WRONG_TYPE),
    "rating beyond float64": (
        event_with(rating=0).replace(b'"rating": 0', b'"rating": 1e999'),
        Reason.RATING_NOT_FINITE,
    ),
}


@pytest.mark.parametrize("name", MALFORMED_EVENTS)
def test_a_malformed_event_says_why(name):
    value, reason = MALFORMED_EVENTS[name]
    with pytest.raises(EventError) as raised:
        decode_wire(value)
    assert raised.value.reason is reason
    assert raised.value.detail


def test_an_unknown_kind_says_which_there_are():
    with pytest.raises(EventError, match=r"kind is 'jump', expected one of \['rating',") as raised:
        decode_event(event_with(kind="jump"))
    assert raised.value.reason is Reason.UNKNOWN_KIND


def pack_with(**fields: object) -> bytes:
    """A good pack of two events with these fields changed; ... takes one away."""
    good = {
        "v": 1,
        "source_id": "s",
        "user_width": 2,
        "users": b"u1u2",
        "item_width": 1,
        "items": b"ij",
        "ratings": bytes(16),
        "times": bytes(16),
        "seqs": bytes(16),
        **fields,
    }
    return msgspec.msgpack.encode({name: field for name, field in good.items() if field is not ...})


def columns_of(events: int, width: int = 1) -> dict[str, object]:
    ids, numbers = bytes(events * width), bytes(events * 8)
    widths = {"user_width": width, "item_width": width}
    return {"users": ids, "items": ids, "ratings": numbers, "times": numbers, "seqs": numbers} | widths


MALFORMED_PACKS = {
    "empty": (b"", Reason.UNDECODABLE),
    "an unused byte": (b"\xc1", Reason.UNDECODABLE),
    "cut off": (pack_with()[:-1], Reason.UNDECODABLE),
    "two packs": (pack_with() * 2, Reason.UNDECODABLE),
    "nested too deeply": (b"\x81\xa1x" * 100_000, Reason.UNDECODABLE),
    "text is not UTF-8": (pack_with(source_id="S").replace(b"\xa1S", b"\xa1\xff"), Reason.UNDECODABLE),
    "an array": (b"\x92\x01\x02", Reason.WRONG_TYPE),
    "newer version": (pack_with(v=2), Reason.UNKNOWN_VERSION),
    "no version": (pack_with(v=...), Reason.MISSING_FIELD),
    "no sequences": (pack_with(seqs=...), Reason.MISSING_FIELD),
    "users are text": (pack_with(users="u1u2"), Reason.WRONG_TYPE),
    "width is text": (pack_with(user_width="2"), Reason.WRONG_TYPE),
    "users too short": (pack_with(users=b"u1u"), Reason.PACK_MISMATCH),
    "items too long": (pack_with(items=b"ijk"), Reason.PACK_MISMATCH),
    "ratings of one": (pack_with(ratings=bytes(8)), Reason.PACK_MISMATCH),
    "times of three": (pack_with(times=bytes(24)), Reason.PACK_MISMATCH),
    "kinds of one": (pack_with(kinds=b"\0"), Reason.PACK_MISMATCH),
    "half a sequence": (pack_with(seqs=bytes(20)), Reason.PACK_MISMATCH),
    "no events": (pack_with(**columns_of(0)), Reason.PACK_MISMATCH),
    "too many events": (pack_with(**columns_of(4097)), Reason.PACK_MISMATCH),
    "ids of no width": (pack_with(**columns_of(2, 0)), Reason.PACK_MISMATCH),
    "ids of negative width": (pack_with(user_width=-2, users=b""), Reason.PACK_MISMATCH),
}


@pytest.mark.parametrize("name", MALFORMED_PACKS)
def test_a_malformed_pack_says_why(name):
    value, reason = MALFORMED_PACKS[name]
    with pytest.raises(EventError) as raised:
        decode_pack(value)
    assert raised.value.reason is reason
    assert raised.value.detail


def test_the_largest_pack_is_a_pack():
    pack = decode_pack(pack_with(**columns_of(4096, 256)))
    assert len(codec.columns_of_pack(pack)[0]) == 4096


def mutated(value: bytes) -> st.SearchStrategy[bytes]:
    """`value` with a slice of it replaced."""
    return st.builds(
        lambda at, drop, put: value[:at] + put + value[at + drop :],
        st.integers(0, len(value)),
        st.integers(0, 9),
        st.binary(max_size=9),
    )


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=100).map(lambda text: text.encode(errors="replace")),
        mutated((GOLDEN / "event_v1.json").read_bytes()),
        mutated((GOLDEN / "event_v1_unknown_fields.json").read_bytes()),
        mutated(PACK_V1),
    )
)
@example(event_with(x=0).replace(b'"x": 0', b'"x": 1e999'))
@example(DEEP)
def test_arbitrary_bytes_raise_event_errors_only(value):
    for decode in (decode_wire, decode_event, decode_pack):
        try:
            decode(value)
        except EventError as error:
            assert isinstance(error.reason, Reason)


@given(mutated((GOLDEN / "control_v1_start.json").read_bytes()))
@example(PREFIX + DEEP)
@example(PREFIX + b'"start","source_id":"\xff"}')
def test_arbitrary_control_records_raise_decode_errors_only(value):
    with contextlib.suppress(msgspec.DecodeError):
        decode_control(value)


plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        RatingEvent,
        user=plain_text,
        item=plain_text,
        event_time_ms=st.integers(-(2**63), 2**63 - 1),
        rating=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        kind=st.sampled_from(Kind),
        source_id=st.none() | plain_text,
        source_seq=st.none() | st.integers(0, 2**63 - 1),
        key=st.none() | plain_text,
        extra=st.none() | st.dictionaries(plain_text.map(lambda name: f"x-{name}"), plain_text, min_size=1),
    )
)
def test_any_event_comes_back_from_the_wire(event):
    record = encode_event(event)
    assert record.key == event.user.encode()
    assert decode_event(record.value) == event


def test_a_dead_letter_keeps_the_bytes_and_the_place():
    letter = DeadLetter(
        topic="engram.ratings",
        partition=2,
        offset=7,
        index=-1,
        reason=Reason.UNDECODABLE,
        detail="not JSON",
        payload=bytes(range(256)),
        events=256,
    )
    record = letter.to_record()
    assert record.value is not None
    assert record.key == b"engram.ratings/2/7/-1"
    assert dict(record.headers) == {"reason": b"undecodable", "n": b"256"}
    assert DeadLetter.from_value(record.value) == letter
