"""A user's vector by attention, from the formulas of `eventlog.artefact`: all places, matrices as matrices, float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class _Reader:
    """Takes arrays of given shapes off a network, one after the other."""

    def __init__(self, network: Sequence[float]) -> None:
        self.left = np.array(network, np.float64)

    def take(self, *shape: int) -> Matrix:
        size = int(np.prod(shape))
        taken, self.left = self.left[:size], self.left[size:]
        return taken.reshape(shape)


def _norm(x: Matrix, scale_shift: Matrix) -> Matrix:
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * scale_shift[0] + scale_shift[1]


def attended(
    had: Sequence[tuple[Sequence[float] | None, float | None]],
    parameters: Mapping[str, float],
    width: int,
    network: Sequence[float],
) -> list[float]:
    """Make the vector of a user. had: item_in (None without one), and seconds since the event before (None for the first)."""
    length, heads, blocks, parts, gaps = (
        int(parameters[name]) for name in ("length", "heads", "blocks", "parts", "gaps")
    )
    read = _Reader(network)
    ends, of_gap = read.take(gaps), read.take(gaps + 1, width)
    rows = [
        sum(np.array(item[part * width : (part + 1) * width]) for part in range(parts))
        + of_gap[gaps if gap is None else sum(end < gap for end in ends)]
        for item, gap in had
        if item is not None
    ][-length:]
    if not rows:
        return [0.0] * (parts * width + 1)
    z = np.array(rows) * np.sqrt(width)
    each = width // heads
    for _ in range(blocks):
        norm = read.take(2, width)
        query, key, value, join = ([read.take(width, width), read.take(width)] for _ in range(4))
        norm_feed = read.take(2, width)
        feed, back = ([read.take(width, width), read.take(width)] for _ in range(2))
        distance = read.take(heads, length)
        n = _norm(z, norm)
        q, k, v = (n @ matrix + shift for matrix, shift in (query, key, value))
        gathered = np.zeros_like(z)
        for head in range(heads):
            own = slice(head * each, (head + 1) * each)
            for place in range(len(z)):
                logits = np.array(
                    [
                        q[place, own] @ k[other, own] / np.sqrt(each) + distance[head, place - other]
                        for other in range(place + 1)
                    ]
                )
                odds = np.exp(logits - logits.max())
                gathered[place, own] = odds / odds.sum() @ v[: place + 1, own]
        z = z + gathered @ join[0] + join[1]
        z = z + np.maximum(_norm(z, norm_feed) @ feed[0] + feed[1], 0.0) @ back[0] + back[1]
    x = _norm(z, read.take(2, width))[-1]
    shares = read.take(9, parts + 1)[min(len(had).bit_length(), 8)]
    assert not len(read.left)
    return [*(float(share * value) for share in shares[:parts] for value in x), float(shares[parts])]
