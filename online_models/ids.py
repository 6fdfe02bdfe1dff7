"""Ids to dense rows: a hash table in arrays, so that a batch is looked up without Python per event.

Rows are given in order of first appearance, so the table depends on the stream alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

ABSENT = -1
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@numba.njit(cache=True)
def _hash(data: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """FNV-1a, 64 bits, then folded: its low bits alone are weak."""
    h = _FNV_OFFSET
    for i in range(start, end):
        h = (h ^ np.uint64(data[i])) * _FNV_PRIME
    return h ^ (h >> np.uint64(32))


@numba.njit(cache=True)
def _find(
    data: NDArray[np.uint8],
    start: int,
    end: int,
    heap: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
) -> np.int64:
    """Slot that holds the id data[start:end], or the empty slot where it belongs."""
    mask = np.int64(len(slots) - 1)
    slot = np.int64(_hash(data, start, end) & np.uint64(mask))
    while True:
        row = slots[slot]
        if row < 0:
            return slot
        first = ends[row - 1] if row > 0 else 0
        if ends[row] - first == end - start:
            same = True
            for i in range(end - start):
                if heap[first + i] != data[start + i]:
                    same = False
                    break
            if same:
                return slot
        slot = np.int64((slot + 1) & mask)


@numba.njit(cache=True)
def _rows(
    ids: NDArray[np.uint8],
    heap: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
    count: int,
    insert: bool,
    out: NDArray[np.int32],
) -> int:
    """Rows of `ids` (uint8[n, width], zero-padded) into `out`; returns the number of ids known afterwards."""
    width = ids.shape[1]
    flat = ids.reshape(-1)
    for i in range(ids.shape[0]):
        length = width
        while length > 0 and ids[i, length - 1] == 0:
            length -= 1
        start = i * width
        slot = _find(flat, start, start + length, heap, ends, slots)
        row = slots[slot]
        if row < 0 and insert:
            first = ends[count - 1] if count > 0 else 0
            heap[first : first + length] = flat[start : start + length]
            ends[count] = first + length
            slots[slot] = count
            row = count
            count += 1
        out[i] = row
    return count


@numba.njit(cache=True)
def _rebuild(heap: NDArray[np.uint8], ends: NDArray[np.int64], slots: NDArray[np.int32], count: int) -> None:
    slots[:] = -1
    for row in range(count):
        first = ends[row - 1] if row > 0 else 0
        if ends[row] > first:  # a forgotten id is empty
            slots[_find(heap, first, ends[row], heap, ends, slots)] = row


@numba.njit(cache=True)
def _vacate(slot: int, heap: NDArray[np.uint8], ends: NDArray[np.int64], slots: NDArray[np.int32]) -> None:
    """Empty a slot; those behind it move up, so that no search ends too early."""
    mask = len(slots) - 1
    slots[slot] = ABSENT
    hole, at = slot, (slot + 1) & mask
    while slots[at] >= 0:
        row = slots[at]
        first = ends[row - 1] if row > 0 else 0
        home = np.int64(_hash(heap, first, ends[row]) & np.uint64(mask))
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots[hole], slots[at] = row, ABSENT
            hole = at
        at = (at + 1) & mask


@numba.njit(cache=True)
def _hashes(
    rows: NDArray[np.int32], heap: NDArray[np.uint8], ends: NDArray[np.int64], out: NDArray[np.uint64]
) -> None:
    for i in range(len(rows)):
        row = rows[i]
        out[i] = _hash(heap, ends[row - 1] if row > 0 else 0, ends[row])


class IdTable:
    """Opaque ids (UTF-8, without NUL) and their rows 0, 1, 2, ... in order of first appearance."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._heap = np.zeros(1 << 12, np.uint8)
        self._ends = np.zeros(1 << 8, np.int64)
        self._slots = np.full(1 << 10, ABSENT, np.int32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def rows(self, ids: NDArray[np.bytes_]) -> NDArray[np.int32]:
        """Rows of `ids` (`S<width>`[n]); unknown ids are added. Returns int32[n]."""
        return self._look_up(ids, insert=True)

    def find(self, user_or_item: str) -> int:
        """Row of one id, `ABSENT` (-1) when it is unknown; adds nothing."""
        return int(self._look_up(np.array([user_or_item.encode()], np.bytes_), insert=False)[0])

    def find_all(self, ids: NDArray[np.bytes_]) -> NDArray[np.int32]:
        """Rows of `ids` (`S<width>`[n]), `ABSENT` (-1) for unknown ones; adds nothing. Returns int32[n]."""
        return self._look_up(ids, insert=False)

    def hashes(self, rows: NDArray[np.int32]) -> NDArray[np.uint64]:
        """64-bit hashes of the ids of `rows` (int32[n], known ones): the same for an id wherever it stands."""
        out = np.empty(len(rows), np.uint64)
        _hashes(rows, self._heap, self._ends, out)
        return out

    def forget(self, row: int) -> None:
        """Let the id of `row` go; the row stays empty until `keep` drops it. Nothing happens to an empty one."""
        first = int(self._ends[row - 1]) if row > 0 else 0
        last, used = int(self._ends[row]), self._heap_used()
        if first == last:
            return
        slot = int(_find(self._heap, first, last, self._heap, self._ends, self._slots))
        _vacate(slot, self._heap, self._ends, self._slots)
        self._heap[first : used - (last - first)] = self._heap[last:used].copy()
        self._heap[used - (last - first) : used] = 0
        self._ends[row : self._count] -= last - first

    def keep(self, rows: NDArray[np.int32]) -> None:
        """Row rows[i] becomes row i; the others are dropped."""
        first = np.where(rows > 0, self._ends[rows - 1], 0)
        length = self._ends[rows] - first
        ends = np.cumsum(length)
        places = np.repeat(first - (ends - length), length) + np.arange(int(length.sum()), dtype=np.int64)
        self.restore({"heap": self._heap[places], "ends": ends})

    def ids(self) -> NDArray[np.bytes_]:
        """All ids by row, `S<width>`[len], empty for forgotten ones."""
        length = np.diff(self._ends[: self._count], prepend=0)
        width = max(int(length.max(initial=0)), 1)
        raw = np.zeros((self._count, width), np.uint8)
        raw[np.arange(width) < length[:, None]] = self._heap[: self._heap_used()]
        return raw.view(f"S{width}").reshape(-1)

    def id_of(self, row: int) -> str:
        """Id of a row in [0, len), empty for a forgotten one. Raises `IndexError`."""
        if not 0 <= row < self._count:
            raise IndexError(f"row is {row}, expected 0 to {self._count - 1}")
        first = self._ends[row - 1] if row > 0 else 0
        return self._heap[first : self._ends[row]].tobytes().decode()

    def ids_of(self, rows: NDArray[np.int32]) -> list[str]:
        """Ids of `rows` (int32[n], known ones), as `id_of` gives them."""
        firsts, lasts = np.where(rows > 0, self._ends[rows - 1], 0).tolist(), self._ends[rows].tolist()
        return [self._heap[first:last].tobytes().decode() for first, last in zip(firsts, lasts, strict=True)]

    @property
    def state_bytes(self) -> int:
        """Bytes that the ids in use take."""
        return self._heap_used() + self._count * (self._ends.itemsize + 2 * self._slots.itemsize)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a checkpoint: heap uint8[bytes], ends int64[len]."""
        return {"heap": self._heap[: self._heap_used()], "ends": self._ends[: self._count]}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        heap, ends = arrays["heap"], arrays["ends"]
        self._start()
        self._reserve(len(ends), len(heap))
        self._heap[: len(heap)] = heap
        self._ends[: len(ends)] = ends
        self._count = len(ends)
        _rebuild(self._heap, self._ends, self._slots, self._count)

    def _look_up(self, ids: NDArray[np.bytes_], *, insert: bool) -> NDArray[np.int32]:
        out = np.empty(len(ids), np.int32)
        if not len(ids):
            return out
        width = max(ids.dtype.itemsize, 1)
        raw = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width)
        if insert:
            self._reserve(len(ids), raw.size)
        self._count = _rows(raw, self._heap, self._ends, self._slots, self._count, insert, out)
        return out

    def _heap_used(self) -> int:
        return int(self._ends[self._count - 1]) if self._count else 0

    def _reserve(self, ids: int, heap_bytes: int) -> None:
        """Make room for `ids` more ids of `heap_bytes` in all; at most half of the slots are ever taken."""
        self._heap = grown(self._heap, self._heap_used() + heap_bytes)
        self._ends = grown(self._ends, self._count + ids)
        slots = len(self._slots)
        while slots < 2 * (self._count + ids):
            slots *= 2
        if slots != len(self._slots):
            self._slots = np.full(slots, ABSENT, np.int32)
            _rebuild(self._heap, self._ends, self._slots, self._count)


def grown(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return `array` with room for `rows` along its first axis, at least doubled when it grows; new rows are 0."""
    if rows <= len(array):
        return array
    larger = np.zeros((max(rows, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def widened(array: NDArray[Any], columns: int) -> NDArray[Any]:
    """Return `array` with room for `columns` along its last axis, as `grown` does along its first."""
    have = array.shape[-1]
    if columns <= have:
        return array
    wider = np.zeros((*array.shape[:-1], max(columns, 2 * have)), array.dtype)
    wider[..., :have] = array
    return wider
