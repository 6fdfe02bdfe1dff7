"""Messages that look right and would stop or bloat a learner."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from eventlog.codec import Pack
from eventlog.deadletter import Reason
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import MAX_ID_BYTES
from eventlog.log import Headers, RecordBatch


def batch(*values: bytes, headers: Headers = ()) -> RecordBatch:
    n = len(values)
    return RecordBatch("t", 0, np.arange(n), np.full(n, 10**12), [None] * n, list(values), [headers] * n, n)


@pytest.mark.parametrize("total", ["-1", "9007199254740993", "1" + "0" * 30])
def test_a_control_record_with_an_absurd_total_is_a_dead_letter(total: str) -> None:
    value = b'{"control":"start","source_id":"s","total_events":%s}' % total.encode()
    decoded = decode(batch(value), Limits())
    assert (decoded.controls, decoded.accepted) == ([], 1)
    assert [letter.reason for letter in decoded.rejects] in ([Reason.WRONG_TYPE], [Reason.UNDECODABLE])


def wide_pack(user: bytes, width: int) -> bytes:
    column = np.array([1], "<i8").tobytes()
    return msgspec.msgpack.encode(
        Pack(
            v=1,
            source_id="s",
            user_width=width,
            users=user.ljust(width, b"\0"),
            item_width=1,
            items=b"i",
            ratings=np.array([4.0]).tobytes(),
            times=column,
            seqs=column,
        )
    )


def test_padding_does_not_widen_what_a_pack_is_joined_to() -> None:
    decoded = decode(batch(wide_pack(b"u", 250_000)), Limits())
    assert decoded.events.users.tolist() == [b"u"]
    assert decoded.events.users.dtype.itemsize <= MAX_ID_BYTES


def test_a_message_that_declares_no_events_is_one_bad_event() -> None:
    decoded = decode(batch(wide_pack(b"u", 1), headers=(("n", b"0"),)), Limits())
    assert (decoded.accepted, len(decoded.events)) == (1, 0)
    assert [(letter.reason, letter.events) for letter in decoded.rejects] == [(Reason.PACK_MISMATCH, 1)]
