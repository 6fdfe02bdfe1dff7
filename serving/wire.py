"""What goes over the socket between whoever takes requests and whoever owns the state: frames, each with its length before it.

The socket is a pair that a parent shares with its child, so whoever speaks over it is one of ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

HEAD: Final = struct.Struct("<I")
READ_BYTES: Final = 1 << 18
Fault = Literal["unknown", "value", "failure"]


class Asked(msgspec.Struct, tag="asked", array_like=True, frozen=True):
    """A question. until_s: when nobody waits for its answer any more, by the monotonic clock that processes share."""

    number: int
    until_s: float
    kind: str
    question: msgspec.Raw


class Written(msgspec.Struct, tag="written", array_like=True, frozen=True):
    """There are new events in the log."""


class Answer(msgspec.Struct, tag="answer", array_like=True, frozen=True):
    """What a question found."""

    number: int
    found: msgspec.Raw


class Refusal(msgspec.Struct, tag="refusal", array_like=True, frozen=True):
    """Why a question found nothing: something is not known, a value is out of range, or the answer failed."""

    number: int
    fault: Fault
    text: str


class DeadEvents(msgspec.Struct, array_like=True, frozen=True):
    """Events of one message that could not be used."""

    partition: int
    offset: int
    reason: str
    events: int


class Stands(msgspec.Struct, tag="stands", array_like=True, frozen=True):
    """Where the owner stands: {partition: offset of the next message}; dead: what could not be used on the way there."""

    at: dict[int, int]
    dead: list[DeadEvents] = []


class Ended(msgspec.Struct, tag="ended", array_like=True, frozen=True):
    """The owner cannot go on. error: the name of the error's class."""

    error: str
    text: str


ToOwner = Asked | Written
FromOwner = Answer | Refusal | Stands | Ended
_encode: Final = msgspec.msgpack.Encoder().encode


def framed(message: ToOwner | FromOwner) -> bytes:
    """A message as it goes over the socket."""
    body = _encode(message)
    return HEAD.pack(len(body)) + body


class Frames:
    """Puts messages together from what a socket brings. kind: of the messages."""

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._rest = b""

    def take(self, data: bytes) -> Iterator[Any]:
        """Messages that are whole now, in their order."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        found: list[Any] = []
        while end - at >= HEAD.size:
            begin = at + HEAD.size
            (length,) = HEAD.unpack_from(data, at)
            if end - begin < length:
                break
            found.append(self._decode(data[begin : begin + length]))
            at = begin + length
        self._rest = data[at:]
        return iter(found)
