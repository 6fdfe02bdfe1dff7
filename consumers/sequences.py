"""What has been taken already: the last sequence of each source on each partition, and a window of recent keys.

The log's offset is not an event's identity: a retried request gets a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from eventlog.events import EventBatch

_NOTHING = -1


@numba.njit(cache=True)
def _fresh(
    source: NDArray[np.int32],
    partition: NDArray[np.int32],
    seq: NDArray[np.int64],
    last: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> None:
    """out[i]: event i is beyond last[source, partition], which moves up to it. Events without a source pass."""
    for i in range(len(source)):
        if source[i] < 0:
            out[i] = True
        elif seq[i] > last[source[i], partition[i]]:
            last[source[i], partition[i]] = seq[i]
            out[i] = True
        else:
            out[i] = False


class Sequences:
    """Tells fresh events from repeated ones.

    partitions: of the topic. key_window: how many idempotency keys are remembered, the most recent ones.
    """

    def __init__(self, partitions: int, key_window: int = 100_000) -> None:
        self._partitions = partitions
        self._key_window = key_window
        self._sources: dict[str, int] = {}
        self._last = np.zeros((0, partitions), np.int64)  # with room for more
        self._keys = _ordered(())

    def fresh(self, events: EventBatch) -> NDArray[np.bool_]:
        """Which of n events are taken for the first time, in order; bool[n]. They count as taken from now on."""
        out = np.empty(len(events), np.bool_)
        rows = np.array([*(self._row(source) for source in events.sources), _NOTHING], np.int32)
        _fresh(rows[events.source_index], events.partition, events.source_seq, self._last, out)
        for at in np.flatnonzero(events.key_hash).tolist():
            out[at] = self._fresh_key(int(events.key_hash[at]))
        return out

    def _row(self, source: str) -> int:
        row = self._sources.setdefault(source, len(self._sources))
        if row == len(self._last):
            # As many again: sources can be many, and each would have all of it copied.
            more = np.full((max(row, 4), self._partitions), _NOTHING, np.int64)
            self._last = np.concatenate([self._last, more])
        return row

    def grow(self, partitions: int) -> None:
        """Know a topic that has grown to `partitions`, a multiple of what it had.

        The users of a new partition p were in p modulo the old number, where each source came in sequence: a new
        partition goes on from there, so that what is sent again to it is a repeat.
        """
        self._last = np.tile(self._last, (1, partitions // self._partitions))
        self._partitions = partitions

    def _fresh_key(self, key: int) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._key_window:
            self._keys.popitem(last=False)
        return True

    @property
    def last(self) -> dict[str, int]:
        """{source_id: largest source_seq taken on any partition}, of sources that gave an event."""
        highest = {source: int(self._last[row].max()) for source, row in self._sources.items()}
        return {source: seq for source, seq in sorted(highest.items()) if seq >= 0}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """last: int64[sources, partitions]; keys: uint64[window], oldest first."""
        return {"last": self._last[: len(self._sources)], "keys": np.array(list(self._keys), np.uint64)}

    def meta(self) -> dict[str, Any]:
        """Names of the rows of `last`."""
        return {"sources": list(self._sources)}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what `arrays` and `meta` describe."""
        self._sources = {source: row for row, source in enumerate(meta["sources"])}
        self._last = arrays["last"].copy()
        self._keys = _ordered(arrays["keys"].tolist())


def _ordered(keys: Iterable[int]) -> OrderedDict[int, None]:
    """Keys, oldest first. A plain dict would search for its oldest one past all those that it has dropped."""
    return OrderedDict.fromkeys(keys)
