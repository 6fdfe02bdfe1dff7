"""SplitMix64 and what is drawn from it, in Python's integers."""

from __future__ import annotations

_MASK = 2**64 - 1


def splitmix64(state: int) -> int:
    """One step, as in the paper's listing."""
    z = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def uniform(seed: int, row: int, column: int) -> float:
    """Hash seed, then row + 1, then column; the top 53 bits are the fraction."""
    return (splitmix64(splitmix64(splitmix64(seed) ^ (row + 1)) ^ column) >> 11) / 2**53
