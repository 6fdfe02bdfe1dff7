"""Which partition a user's events go to: Kafka's own default, so that any Kafka client agrees.

partition = (murmur2(key) & 0x7fffffff) mod P (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C)
_BYTE = np.uint32(0xFF)


@numba.njit(cache=True)
def _murmur2_rows(ids: NDArray[np.uint8], out: NDArray[np.uint32]) -> None:
    """murmur2 of each row of `ids` (uint8[n, width], zero-padded; an id never ends in NUL) into `out`."""
    for row in range(ids.shape[0]):
        length = ids.shape[1]
        while length > 0 and ids[row, length - 1] == 0:
            length -= 1
        h = _SEED ^ np.uint32(length)
        i = 0
        while i + 4 <= length:
            k = (
                np.uint32(ids[row, i])
                | (np.uint32(ids[row, i + 1]) << np.uint32(8))
                | (np.uint32(ids[row, i + 2]) << np.uint32(16))
                | (np.uint32(ids[row, i + 3]) << np.uint32(24))
            )
            k = np.uint32(k * _M)
            k ^= k >> np.uint32(24)
            k = np.uint32(k * _M)
            h = np.uint32(h * _M) ^ k
            i += 4
        rest = length - i
        if rest >= 3:
            h ^= np.uint32(ids[row, i + 2]) << np.uint32(16)
        if rest >= 2:
            h ^= np.uint32(ids[row, i + 1]) << np.uint32(8)
        if rest >= 1:
            h ^= np.uint32(ids[row, i])
            h = np.uint32(h * _M)
        h ^= h >> np.uint32(13)
        h = np.uint32(h * _M)
        h ^= h >> np.uint32(15)
        out[row] = h


def partitions_of(user_ids: NDArray[np.bytes_], partitions: int) -> NDArray[np.int32]:
    """Partition of each user: `user_ids` is `S<width>`[n] (UTF-8); returns int32[n] in [0, partitions)."""
    if partitions == 1:
        return np.zeros(len(user_ids), np.int32)
    contiguous = np.ascontiguousarray(user_ids)
    hashes = np.empty(len(contiguous), np.uint32)
    width = contiguous.dtype.itemsize
    _murmur2_rows(contiguous.view(np.uint8).reshape(len(contiguous), width), hashes)
    return ((hashes & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)


def partition_of(user: str, partitions: int) -> int:
    """Partition of one user, in [0, partitions)."""
    if partitions == 1:
        return 0
    return int(partitions_of(np.array([user.encode()], dtype=np.bytes_), partitions)[0])
