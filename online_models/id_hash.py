"""Hashes of opaque ids: the same for the same id in every process, so that they can stand for it in messages."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import _hash


@numba.njit(cache=True)
def _hashes(ids: NDArray[np.uint8], out: NDArray[np.uint64]) -> None:
    width = ids.shape[1]
    flat = ids.reshape(-1)
    for i in range(ids.shape[0]):
        length = width
        while length > 0 and ids[i, length - 1] == 0:
            length -= 1
        out[i] = _hash(flat, i * width, i * width + length)


def id_hashes(ids: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """Return the hash of each id (`S<width>`[n], UTF-8 without NUL), uint64[n]: FNV-1a, its halves folded."""
    out = np.zeros(len(ids), np.uint64)
    width = max(ids.dtype.itemsize, 1)
    if len(ids):
        _hashes(np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width), out)
    return out
