"""A cut of the log: the events before a position, as a batch model is trained on them."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Cut(NamedTuple):
    """The first `events` events of a stream, in its order; what was taken back by then is not in it.

    user, item: int32[n] rows into user_ids and item_ids (`S<width>`, UTF-8), numbered by first appearance; an id may
    have no event left. rating: float32[n], NaN where there is none. time_ms: int64[n], event time, UTC.
    events: how many events the stream had numbered (repeated ratings included, corrections not), at least n.
    clock_time_ms: largest event time so far. scale: least and greatest rating.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    time_ms: NDArray[np.int64]
    user_ids: NDArray[np.bytes_]
    item_ids: NDArray[np.bytes_]
    events: int
    clock_time_ms: int
    scale: tuple[float, float]

    def digest(self) -> str:
        """sha256 of the events, by ids and not by rows."""
        total = hashlib.sha256(f"{self.events}:{len(self.user)}".encode())
        for ids, rows in ((self.user_ids, self.user), (self.item_ids, self.item)):
            # The width of an array of ids depends on ids that may have no event.
            total.update(b"\0".join(ids[rows].tolist()))
        for column in (self.rating, self.time_ms):
            total.update(np.ascontiguousarray(column).data)
        return total.hexdigest()
