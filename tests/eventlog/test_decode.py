"""Records to columns, control records and dead letters: every reason, and no message that stops the stream."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import codec
from eventlog.controls import Control, ControlKind
from eventlog.deadletter import Reason
from eventlog.decode import check_event, check_events, decode
from eventlog.errors import EventError
from eventlog.event_checks import Limits
from eventlog.events import Kind
from eventlog.log import Record
from eventlog.partitioner import partition_of
from tests.record_batches import APPEND_TIME_MS, batch_of, columns, json_event, pack

LIMITS = Limits(rating_min=0.5, rating_max=5.0)
DAY_MS = 86_400_000
GOOD = [("alice", "film", 1_000, 0), ("bob", "film", 2_000, 1), ("eve", "play", 3_000, 2)]
ONE = [("alice", "film", 1_000, 0)]


def raw_pack(declared: int | None = None, **fields: Any) -> Record:
    """A pack of `GOOD` with wire fields replaced; `...` leaves one out."""
    good = msgspec.msgpack.decode(pack(GOOD).value or b"")
    wire = {name: value for name, value in {**good, **fields}.items() if value is not ...}
    return Record(None, msgspec.msgpack.encode(wire), (("n", str(declared or 3).encode()),))


def control(**fields: Any) -> bytes:
    return msgspec.json.encode({"control": "watermark", "source_id": "replay", **fields})


# What is wrong, the message, the reason, and what the detail must name: the field, its value, what was expected.
BAD: list[tuple[str, Record | bytes | None, Reason, list[str]]] = [
    ("no value", None, Reason.UNDECODABLE, ["no value", "expected a JSON object or a pack"]),
    ("empty", b"", Reason.UNDECODABLE, ["no value"]),
    ("not JSON", b"{nonsense", Reason.UNDECODABLE, ["not JSON"]),
    ("plain text", b"hello", Reason.UNDECODABLE, ["not JSON"]),
    ("truncated", json_event()[:-5], Reason.UNDECODABLE, ["not JSON", "truncated"]),
    ("not UTF-8", json_event().replace(b"u1", b"\xff\xfe"), Reason.UNDECODABLE, ["utf-8"]),
    ("half a surrogate pair", json_event().replace(b"u1", b"\\ud800"), Reason.UNDECODABLE, ["not JSON"]),
    (
        "nested too deeply",
        json_event()[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        Reason.UNDECODABLE,
        ["recursion"],
    ),
    ("bytes that are no pack", b"\xc1\x00", Reason.UNDECODABLE, ["neither JSON nor a pack"]),
    ("a truncated pack", (pack(GOOD).value or b"")[:-9], Reason.UNDECODABLE, ["neither JSON nor a pack"]),
    ("a newer event", json_event(v=2), Reason.UNKNOWN_VERSION, ["v is 2", "expected 1"]),
    ("a newer event of another form", b'{"v":3,"who":"u"}', Reason.UNKNOWN_VERSION, ["v is 3"]),
    ("a newer pack", raw_pack(v=2), Reason.UNKNOWN_VERSION, ["v is 2", "expected 1"]),
    ("no user", json_event(user=...), Reason.MISSING_FIELD, ["user"]),
    ("no time", json_event(event_time_ms=...), Reason.MISSING_FIELD, ["event_time_ms"]),
    ("a pack without times", raw_pack(times=...), Reason.MISSING_FIELD, ["times"]),
    ("a user that is a number", json_event(user=196), Reason.WRONG_TYPE, ["user", "int", "str"]),
    ("a rating that is text", json_event(rating="5"), Reason.WRONG_TYPE, ["rating", "str", "float"]),
    ("a time with a fraction", json_event(event_time_ms=1.5), Reason.WRONG_TYPE, ["event_time_ms", "float"]),
    ("a rating that is true", json_event(rating=True), Reason.WRONG_TYPE, ["rating", "bool"]),
    ("a JSON array", b"[1,2]", Reason.WRONG_TYPE, ["object", "array"]),
    ("msgpack that is no pack", b"\x93\x01\x02\x03", Reason.WRONG_TYPE, ["object", "array"]),
    ("a pack whose seqs are text", raw_pack(seqs=5), Reason.WRONG_TYPE, ["seqs"]),
    ("a kind of its own", json_event(kind="like"), Reason.UNKNOWN_KIND, ["kind", "'like'", "'rating'"]),
    ("a kind without a name", raw_pack(kinds=b"\0\x09\0"), Reason.UNKNOWN_KIND, ["kind is 9", "0 to 4"]),
    ("a retraction of nothing", json_event(kind="retract", item=""), Reason.ID_EMPTY, ["item is b''"]),
    ("an empty user", json_event(user=""), Reason.ID_EMPTY, ["user is b''", "1 to 256"]),
    ("an empty item", json_event(item=""), Reason.ID_EMPTY, ["item is b''"]),
    ("a long user", json_event(user="é" * 129), Reason.ID_TOO_LONG, ["user", "258", "256"]),
    ("a long item in a pack", pack([("u", "i" * 300, 1, 0)]), Reason.ID_TOO_LONG, ["item is b'iii", "256"]),
    ("a NUL in an id", json_event(user="a\0b"), Reason.ID_NOT_TEXT, ["user is 'a\\x00b'"]),
    ("a line feed in an id", json_event(item="a\nb"), Reason.ID_NOT_TEXT, ["item is b'a\\nb'"]),
    ("a control character of two bytes", json_event(item="a\x85"), Reason.ID_NOT_TEXT, ["item is"]),
    ("an id that is not UTF-8", raw_pack(users=b"alicebob\0\0\xff\0\0\0\0"), Reason.ID_NOT_TEXT, ["\\xff"]),
    ("a NUL inside a packed id", raw_pack(users=b"alicebob\0\0e\0e\0\0"), Reason.ID_NOT_TEXT, ["e\\x00e"]),
    ("no rating", json_event(rating=...), Reason.RATING_MISSING, ["rating", "expected a number"]),
    ("null for a rating", json_event(rating=None), Reason.RATING_MISSING, ["rating", "null"]),
    ("beyond float64", json_event().replace(b"3.5", b"1e999"), Reason.RATING_NOT_FINITE, ["rating"]),
    (
        "not a number in a pack",
        pack(GOOD, ratings=np.array([np.nan, 4, 4])),
        Reason.RATING_NOT_FINITE,
        ["rating is nan", "0.5 to 5"],
    ),
    (
        "infinite in a pack",
        pack(GOOD, ratings=np.array([4, 4, -np.inf])),
        Reason.RATING_NOT_FINITE,
        ["rating is -inf"],
    ),
    ("above the scale", json_event(rating=5.5), Reason.RATING_OUT_OF_SCALE, ["rating is 5.5", "0.5 to 5"]),
    ("below the scale", json_event(rating=0), Reason.RATING_OUT_OF_SCALE, ["rating is 0", "0.5 to 5"]),
    ("a view with a bad rating", json_event(kind="view", rating=9), Reason.RATING_OUT_OF_SCALE, ["9"]),
    ("before 1970", json_event(event_time_ms=-1), Reason.TIME_NEGATIVE, ["event_time_ms is -1", "0"]),
    ("a packed time before 1970", pack([("u", "i", -5, 0)]), Reason.TIME_NEGATIVE, ["event_time_ms is -5"]),
    (
        "after the year 9999",
        json_event(event_time_ms=253_402_300_800_000),
        Reason.TIME_ABSURD,
        ["event_time_ms is 253402300800000", "253402300799999"],
    ),
    (
        "a time beyond 64 bits",
        json_event().replace(b":1000,", b":1" + b"0" * 30 + b","),
        Reason.TIME_ABSURD,
        [],
    ),
    ("a packed time of 2^63 - 1", pack([("u", "i", 2**63 - 1, 0)]), Reason.TIME_ABSURD, ["253402300799999"]),
    (
        "two days ahead",
        json_event(event_time_ms=APPEND_TIME_MS + 2 * DAY_MS),
        Reason.TIME_FUTURE,
        [f"event_time_ms is {APPEND_TIME_MS + 2 * DAY_MS}", "86400 s after", str(APPEND_TIME_MS)],
    ),
    ("no identity", json_event(source_id=...), Reason.IDENTITY_MISSING, ["source_id", "key"]),
    ("an empty key", json_event(source_id=..., key=""), Reason.IDENTITY_MISSING, ["key"]),
    ("a negative sequence", json_event(source_seq=-1), Reason.IDENTITY_INVALID, ["source_seq is -1"]),
    ("a sequence beyond 64 bits", json_event(source_seq=2**63), Reason.IDENTITY_INVALID, [str(2**63)]),
    ("a packed negative sequence", pack([("u", "i", 1, -7)]), Reason.IDENTITY_INVALID, ["source_seq is -7"]),
    ("an empty source", json_event(source_id=""), Reason.IDENTITY_INVALID, ["source_id", "1 to 256"]),
    ("a long source", json_event(source_id="s" * 257), Reason.IDENTITY_INVALID, ["source_id", "257"]),
    ("a long source of a pack", pack(ONE, "s" * 257), Reason.IDENTITY_INVALID, ["source_id", "257"]),
    ("a long key", json_event(source_id=..., key="k" * 257), Reason.IDENTITY_INVALID, ["key", "257"]),
    ("a large message", json_event(x="y" * 2**20), Reason.MESSAGE_TOO_LARGE, ["bytes", "1048576"]),
    ("columns that disagree", raw_pack(ratings=b"\0" * 16), Reason.PACK_MISMATCH, ["disagree", "3 seqs"]),
    ("half a number", raw_pack(seqs=b"\0" * 23), Reason.PACK_MISMATCH, ["disagree"]),
    ("ids without width", raw_pack(user_width=0, users=b""), Reason.PACK_MISMATCH, ["0 and 4 bytes"]),
    ("a header that disagrees", raw_pack(declared=5), Reason.PACK_MISMATCH, ["n is 5", "has 3 events"]),
    (
        "one event, said to be two",
        Record(None, json_event(), (("n", b"2"),)),
        Reason.PACK_MISMATCH,
        ["n is 2", "one event"],
    ),
    ("a control record without source", b'{"control":"end"}', Reason.UNDECODABLE, ["control", "source_id"]),
    ("an unknown control record", control(control="pause"), Reason.UNDECODABLE, ["control", "pause"]),
    ("a newer control record", control(v=2), Reason.UNKNOWN_VERSION, ["v is 2", "expected 1"]),
    (
        "a control time out of range",
        control(event_time_ms=2**70),
        Reason.TIME_ABSURD,
        ["event_time_ms is 1180"],
    ),
    (
        "a control sequence out of range",
        control(source_seq=2**63),
        Reason.IDENTITY_INVALID,
        ["source_seq is"],
    ),
    ("a control of an empty source", control(source_id=""), Reason.IDENTITY_INVALID, ["source_id"]),
]


@pytest.mark.parametrize(
    ("message", "reason", "names"), [one[1:] for one in BAD], ids=[one[0] for one in BAD]
)
def test_a_bad_message_is_a_dead_letter_with_its_reason(
    message: Record | bytes | None, reason: Reason, names: list[str]
) -> None:
    """Between two good messages, which are both decoded."""
    decoded = decode(batch_of([json_event(source_seq=1), message, pack(ONE)], 3, 40), LIMITS)
    letter = decoded.rejects[0]
    assert letter.reason is reason
    for name in names:
        assert name in letter.detail
    assert (letter.topic, letter.partition, letter.offset) == ("ratings", 3, 41)
    good = decoded.events.take(decoded.events.offset != 41)
    assert good.users.tolist() == [b"u1", b"alice"]
    assert decoded.accepted == len(decoded.events) + sum(one.events for one in decoded.rejects)
    assert decoded.next_offset == 43


def test_every_reason_can_be_reached() -> None:
    reached = {reason for *_, reason, _ in BAD}
    # A topic of several partitions is needed for the last one, see below.
    assert reached | {Reason.WRONG_PARTITION} == set(Reason)


def test_an_event_in_another_users_partition_is_refused() -> None:
    partitions = 4
    mine = partition_of("alice", partitions)
    messages = [json_event(user="alice"), pack(ONE)]
    assert not decode(batch_of(messages, mine), LIMITS, partitions).rejects
    decoded = decode(batch_of(messages, (mine + 1) % partitions), LIMITS, partitions)
    assert [letter.reason for letter in decoded.rejects] == [Reason.WRONG_PARTITION] * 2
    assert all("b'alice'" in letter.detail for letter in decoded.rejects)
    assert len(decoded.events) == 0


def test_columns_of_good_events() -> None:
    view = json_event(kind="view", rating=..., user="é", source_id=..., source_seq=..., key="k-1", extra=[1])
    decoded = decode(batch_of([json_event(rating=5), view, pack(GOOD)], 2, 7), LIMITS)
    events = decoded.events
    assert [user.decode() for user in events.users] == ["u1", "é", "alice", "bob", "eve"]
    assert [item.decode() for item in events.items] == ["i1", "i1", "film", "film", "play"]
    assert events.ratings.tolist()[0] == 5.0
    assert np.isnan(events.ratings[1])
    assert events.kinds.tolist() == [Kind.RATING, Kind.VIEW, *[Kind.RATING] * 3]
    assert events.event_time_ms.tolist() == [1_000, 1_000, 1_000, 2_000, 3_000]
    assert [events.sources[at] if at >= 0 else None for at in events.source_index] == [
        "app",
        None,
        *["replay"] * 3,
    ]
    assert events.source_seq.tolist() == [0, -1, 0, 1, 2]
    assert (events.key_hash != 0).tolist() == [False, True, False, False, False]
    assert events.partition.tolist() == [2] * 5
    assert events.offset.tolist() == [7, 8, 9, 9, 9]
    assert events.index.tolist() == [0, 0, 0, 1, 2]
    assert events.append_time_ms.tolist() == [APPEND_TIME_MS] * 5
    assert (decoded.accepted, decoded.rejects) == (5, [])


def test_good_events_survive_bad_ones_in_the_same_message() -> None:
    record = pack(GOOD, ratings=np.array([4.0, 77.0, 1.0]))
    decoded = decode(batch_of([record]), LIMITS)
    assert decoded.events.users.tolist() == [b"alice", b"eve"]
    assert decoded.events.index.tolist() == [0, 2]
    [letter] = decoded.rejects
    assert (letter.offset, letter.index, letter.events) == (0, 1, 1)
    # The dead letter holds the event's own bytes, as a pack of one that decodes to the same.
    single = codec.decode_pack(letter.payload)
    whole = codec.decode_pack(record.value or b"")
    assert single.ratings == whole.ratings[8:16]
    assert single.users == whole.users[5:10] == b"bob\0\0"
    assert (single.times, single.seqs) == (whole.times[8:16], whole.seqs[8:16])
    again = decode(batch_of([letter.payload]), Limits(rating_max=100))
    assert again.events.users.tolist() == [b"bob"]
    assert again.events.ratings.tolist() == [77.0]
    assert again.events.source_seq.tolist() == [1]


def test_a_message_that_cannot_be_taken_apart_is_kept_whole() -> None:
    record = raw_pack(ratings=b"")
    decoded = decode(batch_of([record, b"junk"]), LIMITS)
    assert [(one.index, one.events, one.payload) for one in decoded.rejects] == [
        (-1, 3, record.value),
        (-1, 1, b"junk"),
    ]
    assert decoded.accepted == 4


def test_the_first_reason_counts() -> None:
    event = json_event(user="", rating=99, event_time_ms=APPEND_TIME_MS + 9 * DAY_MS)
    [letter] = decode(batch_of([event]), LIMITS).rejects
    assert letter.reason is Reason.ID_EMPTY


def test_dead_letters_are_in_log_order() -> None:
    bad = pack(GOOD, ratings=np.array([9.0, 4.0, 9.0]))
    decoded = decode(batch_of([json_event(rating=9), b"junk", bad, json_event(user="")]), LIMITS)
    assert [(one.offset, one.index) for one in decoded.rejects] == [(0, 0), (1, -1), (2, 0), (2, 2), (3, 0)]


def test_control_records_are_no_events() -> None:
    start = Control(control=ControlKind.START, source_id="replay", total_events=3)
    end = Control(control=ControlKind.END, source_id="replay", event_time_ms=3_000, source_seq=2)
    decoded = decode(batch_of([start.to_record(), pack(GOOD), end.to_record()], 0, 5), LIMITS)
    assert decoded.controls == [(5, start), (7, end)]
    assert decoded.accepted == len(decoded.events) == 3


def test_an_empty_batch() -> None:
    decoded = decode(batch_of([], first_offset=9), LIMITS)
    assert (len(decoded.events), decoded.rejects, decoded.controls) == (0, [], [])
    assert (decoded.accepted, decoded.next_offset) == (0, 9)


def test_an_event_is_checked_at_the_door_as_in_the_log() -> None:
    for name, message, reason, _ in BAD:
        if isinstance(message, bytes) and message.startswith(b"{") and not message.startswith(b'{"control"'):
            if reason in {Reason.MESSAGE_TOO_LARGE}:
                continue  # a limit of messages, not of events
            with pytest.raises(EventError) as refused:
                check_event(codec.decode_wire(message), LIMITS, APPEND_TIME_MS)
            assert refused.value.reason is reason, name
    check_event(codec.decode_wire(json_event()), LIMITS, APPEND_TIME_MS)


def test_events_are_checked_together_as_one_by_one() -> None:
    wires = [
        codec.decode_wire(one)
        for one in (json_event(), json_event(rating=9), json_event(user=""), json_event())
    ]
    wires.insert(1, msgspec.structs.replace(wires[0], kind="shout"))
    found = check_events(wires, LIMITS, APPEND_TIME_MS)
    expected = []
    for at, wire in enumerate(wires):
        try:
            check_event(wire, LIMITS, APPEND_TIME_MS)
        except EventError as error:
            expected.append((at, error.reason, error.detail))
    assert [(at, error.reason, error.detail) for at, error in found] == expected
    assert [at for at, *_ in expected] == [1, 2, 3]
    assert check_events([], LIMITS, APPEND_TIME_MS) == []


MUTATED = st.tuples(
    st.sampled_from([json_event(), json_event(kind="view", key="k"), pack(GOOD).value or b"", control()]),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), min_size=1, max_size=4),
).map(lambda drawn: _mutate(*drawn))


def _mutate(value: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    for at, replacement in edits:
        place = at % max(len(value), 1)
        value = value[:place] + replacement + value[place + 1 :]
    return value


JSON_LIKE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = st.sampled_from([*codec.WireEvent.__struct_fields__, *codec.Pack.__struct_fields__, "control"])
WRONG_FIELDS = st.dictionaries(FIELDS, JSON_LIKE, max_size=4)
ANY_MESSAGE = st.one_of(
    st.binary(max_size=60),
    MUTATED,
    WRONG_FIELDS.map(lambda fields: json_event(**fields)),
    WRONG_FIELDS.map(lambda fields: raw_pack(**fields).value or b""),
)
ANY_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["n", "x"]),
        st.one_of(st.integers(0, 5).map(lambda n: str(n).encode()), st.binary(max_size=3)),
    ),
    max_size=2,
).map(tuple)


@settings(max_examples=400, deadline=None)
@given(messages=st.lists(st.tuples(ANY_MESSAGE, ANY_HEADERS), max_size=4), partitions=st.sampled_from([1, 3]))
def test_no_message_stops_the_stream(
    messages: list[tuple[bytes, tuple[tuple[str, bytes], ...]]], partitions: int
) -> None:
    decoded = decode(batch_of([Record(None, *one) for one in messages]), LIMITS, partitions)
    assert decoded.accepted == len(decoded.events) + sum(letter.events for letter in decoded.rejects)
    assert decoded.next_offset == len(messages)
    order = list(zip(decoded.events.offset.tolist(), decoded.events.index.tolist(), strict=True))
    assert order == sorted(set(order))
    for letter in decoded.rejects:
        assert letter.detail
        if letter.index < 0:
            assert letter.payload == messages[letter.offset][0]
        msgspec.msgpack.decode(letter.to_record().value or b"")


def test_decoding_does_not_depend_on_the_batch() -> None:
    records = [json_event(source_seq=at) if at % 3 else pack(GOOD) for at in range(12)]
    whole = decode(batch_of(records), LIMITS).events
    parts = [decode(batch_of([one], first_offset=at), LIMITS).events for at, one in enumerate(records)]
    joined = type(whole).concat(parts)
    assert joined.users.tolist() == whole.users.tolist()
    assert joined.source_seq.tolist() == whole.source_seq.tolist()
    assert [joined.sources[at] for at in joined.source_index] == [
        whole.sources[at] for at in whole.source_index
    ]
    assert len(columns(GOOD)) == 3
