"""A user's vector by causal self-attention over the newest items, without torch (encoder "attention" of `eventlog.artefact`).

Only the newest place's output is wanted: the last block works out its query alone; keys and values are of all places.
Vectors are float32 as in training; matrices lie as [inputs, outputs], so that inner loops run along rows.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-5  # of the normalisation, torch's
AGES = 9  # classes of how many events a user has had: 0, 1, 2 to 3, 4 to 7, ... 128 and more


@numba.njit(cache=True)
def _normalise(x: NDArray[np.float32], scale_shift: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Layer normalisation (Ba et al. 2016). scale_shift: float32[2 d], scales and then shifts."""
    d = len(x)
    mean, squares = 0.0, 0.0
    for f in range(d):
        mean += x[f]
    mean /= d
    for f in range(d):
        squares += (x[f] - mean) ** 2
    by = 1.0 / np.sqrt(squares / d + _EPSILON)
    for f in range(d):
        out[f] = np.float32((x[f] - mean) * by) * scale_shift[f] + scale_shift[d + f]


@numba.njit(cache=True)
def _dense(x: NDArray[np.float32], layer: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Out = x W + b. layer: float32[d * d + d], W by rows and then b."""
    d = len(x)
    for g in range(d):
        out[g] = layer[d * d + g]
    for f in range(d):
        a, row = x[f], layer[f * d : f * d + d]
        for g in range(d):
            out[g] += a * row[g]


@numba.njit(cache=True)
def _attend(
    place: int,
    query: NDArray[np.float32],
    work: NDArray[np.float32],
    distance: NDArray[np.float32],
    heads: int,
    out: NDArray[np.float32],
) -> None:
    """Sum of values of places up to `place`, weighed by softmax, head by head. work: see `attend`; distance: float32[heads * L]."""
    d = len(query)
    each = d // heads
    length = len(distance) // heads
    odds = np.empty(place + 1)
    for head in range(heads):
        first = head * each
        largest = -np.inf
        for other in range(place + 1):
            dot = np.float32(0.0)
            for f in range(first, first + each):
                dot += query[f] * work[1, other, f]
            odds[other] = dot / np.sqrt(each) + distance[head * length + place - other]
            largest = max(largest, odds[other])
        total = 0.0
        for other in range(place + 1):
            odds[other] = np.exp(odds[other] - largest)
            total += odds[other]
        for f in range(first, first + each):
            out[f] = 0.0
        for other in range(place + 1):
            weight = np.float32(odds[other] / total)
            for f in range(first, first + each):
                out[f] += weight * work[2, other, f]


@numba.njit(cache=True)
def attend(
    places: int,
    seen: int,
    network: NDArray[np.float32],
    first: int,
    shape: tuple[int, int, int, int],
    work: NDArray[np.float32],
    user: NDArray[np.float64],
) -> None:
    """Make the user's vector of work[0, :places], what goes into the first block, oldest first.

    seen: how many events the user has had. network: see `eventlog.artefact`; `first` is where its blocks begin. shape:
    length, heads, blocks, parts. work: float32[4, length, d]; its other rows are room. user: float64[parts d + 1].
    """
    length, heads, blocks, parts = shape
    d = work.shape[2]
    normed, query, gathered = work[3, 0], work[3, 1], work[3, 2]
    square = d * d + d
    at = first
    for block in range(blocks):
        norm = network[at : at + 2 * d]
        queries = network[at + 2 * d : at + 2 * d + square]
        keys = network[at + 2 * d + square : at + 2 * d + 2 * square]
        values = network[at + 2 * d + 2 * square : at + 2 * d + 3 * square]
        join = network[at + 2 * d + 3 * square : at + 2 * d + 4 * square]
        at += 2 * d + 4 * square
        norm_feed = network[at : at + 2 * d]
        feed = network[at + 2 * d : at + 2 * d + square]
        back = network[at + 2 * d + square : at + 2 * d + 2 * square]
        at += 2 * d + 2 * square
        distance = network[at : at + heads * length]
        at += heads * length
        for place in range(places):
            _normalise(work[0, place], norm, normed)
            _dense(normed, keys, work[1, place])
            _dense(normed, values, work[2, place])
        # From the newest on: a place's own input is read before it is changed.
        for place in range(places - 1, places - 2 if block == blocks - 1 else -1, -1):
            hidden = work[0, place]
            _normalise(hidden, norm, normed)
            _dense(normed, queries, query)
            _attend(place, query, work, distance, heads, gathered)
            _dense(gathered, join, query)
            for f in range(d):
                hidden[f] += query[f]
            _normalise(hidden, norm_feed, normed)
            _dense(normed, feed, query)
            for f in range(d):
                query[f] = max(query[f], np.float32(0.0))
            _dense(query, back, gathered)
            for f in range(d):
                hidden[f] += gathered[f]
    _normalise(work[0, places - 1], network[at : at + 2 * d], normed)
    age, left = 0, seen
    while left > 0 and age < AGES - 1:
        age += 1
        left //= 2
    shares = network[at + 2 * d + age * (parts + 1) : at + 2 * d + (age + 1) * (parts + 1)]
    for part in range(parts):
        for f in range(d):
            user[part * d + f] = np.float64(shares[part]) * normed[f]
    user[parts * d] = shares[parts]
