"""What a decoder may raise for bytes that somebody made up: one kind of error, whatever the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


@contextmanager
def decode_errors() -> Iterator[None]:
    """Raise `msgspec.DecodeError` for text that is no UTF-8 and for nesting without end, too, which msgspec does not."""
    try:
        yield
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
