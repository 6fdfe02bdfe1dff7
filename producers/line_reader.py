"""Lines from a file, a pipe or a terminal, as they come: what is ready is never held back for what is not."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import Final

from eventlog.deadletter import MAX_PAYLOAD_BYTES

MAX_LINE_BYTES: Final = MAX_PAYLOAD_BYTES
IDLE_S: Final = 0.2
_CHUNK_BYTES: Final = 1 << 16


def read_lines(descriptor: int) -> Iterator[bytes | None]:
    """Yield the lines behind an open file descriptor, without the newline.

    Yields None when no more input is ready, and every `IDLE_S` seconds until there is more. Of a longer line only
    the first `MAX_LINE_BYTES` bytes are kept, so that input without an end of line cannot fill the memory.
    """
    head = bytearray()  # of a line whose end has not come yet
    while True:
        timeout_s = 0.0
        while not select.select([descriptor], [], [], timeout_s)[0]:
            yield None
            timeout_s = IDLE_S
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            break
        first, *lines = chunk.split(b"\n")
        head += first[: MAX_LINE_BYTES - len(head)]
        if lines:
            line, head = bytes(head), bytearray(lines.pop())
            yield line
            yield from lines
    if head:
        yield bytes(head)
