"""Hashes of ids: FNV-1a in plain Python, and the same id in any array."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.id_hash import id_hashes


def fnv_1a(data: bytes) -> int:
    """64 bits, after http://www.isthe.com/chongo/tech/comp/fnv, then the halves folded."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value ^ value >> 32


def test_the_hash_is_folded_fnv_1a() -> None:
    # The published value of the empty string and of "a", before folding.
    assert fnv_1a(b"") == 0xCBF29CE484222325 ^ 0xCBF29CE4
    assert fnv_1a(b"a") == 0xAF63DC4C8601EC8C ^ 0xAF63DC4C
    ids = [b"", b"a", b"196", "é".encode(), b"x" * 40]
    found = id_hashes(np.array(ids, np.bytes_))
    assert found.dtype == np.uint64
    assert found.tolist() == [fnv_1a(one) for one in ids]


@pytest.mark.parametrize("width", [3, 9, 64])
def test_the_width_of_the_array_changes_nothing(width: int) -> None:
    assert id_hashes(np.array([b"abc"], f"S{width}")).tolist() == [fnv_1a(b"abc")]
    assert id_hashes(np.zeros(0, f"S{width}")).tolist() == []
