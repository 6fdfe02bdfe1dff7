"""How much of the catalogue is recommended, and how evenly: coverage and Gini index of the sampled top lists.

* Coverage@20 = distinct items recommended / items known now. Ge, Delgado-Battenfeld & Jannach (2010), "Beyond
  accuracy: evaluating recommender systems by coverage and serendipity", RecSys. It grows with the number of lists.
* Gini@20 of recommendation frequencies x over the n items known now, never recommended ones included:
  sum_i (2 i - n - 1) x_(i) / (n sum x), x_(i) ascending: 0 when all are recommended alike, near 1 when a few take
  all. Fleder & Hosanagar (2009), "Blockbuster culture's next rise or fall", Management Science 55(5).

Items are counted in a hash table, so memory is bounded by the catalogue. Padding, and items that nobody had had, are
not counted: known items are those of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from evaluation.named_arrays import Arrays

_SMALLEST: Final = 1 << 10


@njit(cache=True)
def count_items(items, item_seen, first_counted, keys, counts, used):  # type: ignore[no-untyped-def]
    """Count the items of s lists in an open hash table, and return how many distinct ones it has.

    items: uint64[s, k]. item_seen: int32[s, k]; below 1 is not counted. first_counted: first list of the last 70 %.
    keys: uint64[C], C a power of two, more than the distinct items. counts: int64[C, 2], over all and the last 70 %;
    a slot is free where the first is 0. used: distinct items before.
    """
    mask = np.uint64(len(keys) - 1)
    for row in range(items.shape[0]):
        for place in range(items.shape[1]):
            if item_seen[row, place] < 1:
                continue
            key = items[row, place]
            slot = (key ^ (key >> np.uint64(32))) & mask
            while counts[slot, 0] != 0 and keys[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            if counts[slot, 0] == 0:
                keys[slot] = key
                used += 1
            counts[slot, 0] += 1
            if row >= first_counted:
                counts[slot, 1] += 1
    return used


@njit(cache=True)
def _refill(from_keys, from_counts, keys, counts):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(keys) - 1)
    for i in range(len(from_keys)):
        if from_counts[i, 0] == 0:
            continue
        key = from_keys[i]
        slot = (key ^ (key >> np.uint64(32))) & mask
        while counts[slot, 0] != 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = key
        counts[slot, 0] = from_counts[i, 0]
        counts[slot, 1] = from_counts[i, 1]


class Recommended:
    """How often each item was in the top lists of one model."""

    def __init__(self) -> None:
        self._used = 0
        self._keys = np.zeros(_SMALLEST, np.uint64)
        self._counts = np.zeros((_SMALLEST, 2), np.int64)

    def update(self, items: NDArray[np.uint64], item_seen: NDArray[np.int32], first_counted: int) -> None:
        """Take s lists: items uint64[s, k], item_seen int32[s, k]; first_counted: first of the last 70 %."""
        self._reserve(self._used + items.size)
        self._used = count_items(items, item_seen, first_counted, self._keys, self._counts, self._used)

    def frequencies(self, span: int) -> NDArray[np.int64]:
        """Return how often each recommended item was, ascending, int64[distinct]; span: 0 all, 1 last 70 %."""
        column = self._counts[:, span]
        return np.sort(column[column > 0])

    def arrays(self) -> Arrays:
        """Return the state: keys uint64[distinct], ascending, and their counts int64[distinct, 2]."""
        taken = np.flatnonzero(self._counts[:, 0])
        order = taken[np.argsort(self._keys[taken])]
        return {"keys": self._keys[order], "counts": self._counts[order]}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays()` gave."""
        keys, counts = arrays["keys"], arrays["counts"]
        self._used = 0
        self._reserve(len(keys))
        self._keys[:], self._counts[:] = 0, 0
        _refill(keys, counts, self._keys, self._counts)
        self._used = len(keys)

    def _reserve(self, items: int) -> None:
        """Make room for `items` items: at most half of the slots are ever taken."""
        size = len(self._keys)
        while size < 2 * items:
            size *= 2
        if size != len(self._keys):
            keys, counts = self._keys, self._counts
            self._keys, self._counts = np.zeros(size, np.uint64), np.zeros((size, 2), np.int64)
            _refill(keys, counts, self._keys, self._counts)


def coverage(frequencies: NDArray[np.int64], known: int) -> float | None:
    """Return the share of `known` items that is in `frequencies` (as of `Recommended`); None without lists."""
    return len(frequencies) / known if len(frequencies) and known else None


def gini(frequencies: NDArray[np.int64], known: int) -> float | None:
    """Return the Gini index of ascending `frequencies` and `known` - len(frequencies) zeros; None without lists."""
    if not len(frequencies):
        return None
    n = max(known, len(frequencies))
    places = np.arange(n - len(frequencies) + 1, n + 1)
    total = int(frequencies.sum())
    return (2 * int((places * frequencies).sum()) - (n + 1) * total) / (n * total)
