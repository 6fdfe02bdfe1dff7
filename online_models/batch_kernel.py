"""Scores of a batch model's factors for one user, from the user's live history (see `online_models.batch`)."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.attention_kernel import attend
from online_models.interactions import MISS, NEW_ITEM, NOT_RANKED, REPEAT, Histories, Interactions
from online_models.ranking import rank_among

_BELOW = 2.0  # how far below all others an item without a vector begins


class Encoder(NamedTuple):
    """How a user's vector is made; see `eventlog.artefact` for the formulas.

    ridge: 1, or 0 for the trace; adopted: 0 before there is any model. length: newest items looked at, 0 for all.
    items: number of vectors that `gram` is the sum of. blocks: of attention, 0 for the other encoders; heads, parts and
    gaps (ends of classes) are of attention too.
    """

    adopted: int = 0
    ridge: int = 0
    length: int = 0
    step_decay: float = 1.0
    gap_scale_ms: float = 1.0
    gap_exponent: float = 0.0
    normalize: int = 0
    unobserved_weight: float = 0.0
    regularization: float = 0.0
    exponent: float = 0.0
    items: int = 0
    blocks: int = 0
    heads: int = 1
    parts: int = 1
    gaps: int = 0


class Vectors(NamedTuple):
    """item_in: float32[>= items, d]; out_by_factor: float32[d, >= items]; bias: float32[>= items].

    has: uint8[>= items], 1 where the item has vectors. gram: float64[d, d], sum of v v' over all vectors (ridge only).
    network: float32[p], parameters of the attention, see `eventlog.artefact` (attention only).
    """

    item_in: NDArray[np.float32]
    out_by_factor: NDArray[np.float32]
    bias: NDArray[np.float32]
    has: NDArray[np.uint8]
    gram: NDArray[np.float64]
    network: NDArray[np.float32]


class Scratch(NamedTuple):
    """user: float64[d]; matrix: float64[d, d] (ridge only); sums: float32[>= items]; scores: float64[>= items].

    work: float32[4, length, width] (attention only, otherwise empty).
    """

    user: NDArray[np.float64]
    matrix: NDArray[np.float64]
    sums: NDArray[np.float32]
    scores: NDArray[np.float64]
    work: NDArray[np.float32]


@numba.njit(cache=True, nogil=True)
def gram_of(vectors: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """out[f, g] = sum of vectors[:, f] * vectors[:, g], in order of rows."""
    out[:] = 0.0
    for row in range(len(vectors)):
        _add_outer(vectors[row], out)
    for f in range(len(out)):
        for g in range(f):
            out[g, f] = out[f, g]


@numba.njit(cache=True)
def _add_outer(vector: NDArray[np.float32], lower: NDArray[np.float64]) -> None:
    for f in range(len(vector)):
        value = np.float64(vector[f])
        for g in range(f + 1):
            lower[f, g] += value * vector[g]


@numba.njit(cache=True)
def _solve(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> None:
    """Put the solution x of matrix x = vector into vector, by Cholesky.

    matrix: positive definite; its lower half is read, and changed.
    """
    d = len(vector)
    for f in range(d):
        for g in range(f + 1):
            total = matrix[f, g]
            for h in range(g):
                total -= matrix[f, h] * matrix[g, h]
            matrix[f, g] = np.sqrt(total) if f == g else total / matrix[g, g]
    for f in range(d):
        for h in range(f):
            vector[f] -= matrix[f, h] * vector[h]
        vector[f] /= matrix[f, f]
    for f in range(d - 1, -1, -1):
        for h in range(f + 1, d):
            vector[f] -= matrix[h, f] * vector[h]
        vector[f] /= matrix[f, f]


@numba.njit(cache=True)
def encode_attention(
    had: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    vectors: Vectors,
    encoder: Encoder,
    scratch: Scratch,
) -> None:
    """The same by attention over the newest `length` items with vectors; zeros where there are none."""
    work, network, gaps = scratch.work, vectors.network, encoder.gaps
    d = work.shape[2]
    scale = np.float32(np.sqrt(d))
    oldest, found = len(had), 0
    while oldest > 0 and found < encoder.length:
        oldest -= 1
        found += vectors.has[had[oldest]]
    places = 0
    for event in range(oldest, len(had)):
        item = had[event]
        if not vectors.has[item]:
            continue
        kind = gaps  # a user's first event: the longest gap
        if event > 0:
            gap_s = (times_ms[event] - times_ms[event - 1]) / 1000.0
            kind = 0
            while kind < gaps and network[kind] < gap_s:
                kind += 1
        row = gaps + kind * d
        for f in range(d):
            value = network[row + f]
            for part in range(encoder.parts):
                value += vectors.item_in[item, part * d + f]
            work[0, places, f] = value * scale
        places += 1
    if places:
        shape = (encoder.length, encoder.heads, encoder.blocks, encoder.parts)
        attend(places, len(had), network, gaps + (gaps + 1) * d, shape, work, scratch.user)


@numba.njit(cache=True)
def encode(
    had: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    time_ms: int,
    vectors: Vectors,
    encoder: Encoder,
    scratch: Scratch,
) -> None:
    """Make scratch.user of a history, oldest first (had: int32[n], times_ms: int64[n]), at event time time_ms."""
    user, d = scratch.user, len(scratch.user)
    user[:] = 0.0
    if encoder.blocks:
        encode_attention(had, times_ms, vectors, encoder, scratch)
        return
    length = len(had) if encoder.length == 0 else min(len(had), encoder.length)
    if encoder.ridge:
        for f in range(d):
            for g in range(f + 1):
                scratch.matrix[f, g] = encoder.unobserved_weight * vectors.gram[f, g]
    recency, total, count = 1.0, 0.0, 0
    for k in range(length):
        place = len(had) - 1 - k
        item = had[place]
        gain = recency
        recency *= encoder.step_decay
        if not vectors.has[item]:
            continue
        count += 1
        if encoder.ridge:
            gain = 1.0
            _add_outer(vectors.item_in[item], scratch.matrix)
        elif encoder.gap_exponent > 0.0:
            gap_ms = max(time_ms - times_ms[place], 0)
            gain *= (1.0 + gap_ms / encoder.gap_scale_ms) ** -encoder.gap_exponent
        total += gain
        for f in range(d):
            user[f] += gain * vectors.item_in[item, f]
    if count == 0:
        return
    if encoder.ridge:
        weight = count + encoder.unobserved_weight * encoder.items
        for f in range(d):
            scratch.matrix[f, f] += encoder.regularization * weight**encoder.exponent
        _solve(scratch.matrix, user)
    elif encoder.normalize and total > 0.0:
        for f in range(d):
            user[f] /= total


@numba.njit(cache=True)
def products(
    user: NDArray[np.float64], by_factor: NDArray[np.float32], known: int, sums: NDArray[np.float32]
) -> None:
    """sums[x] += user . by_factor[:, x], x < known: a pass for each four factors, so that it runs in vectors of items."""
    d, f = len(user), 0
    while f + 4 <= d:
        a, b = np.float32(user[f]), np.float32(user[f + 1])
        c, e = np.float32(user[f + 2]), np.float32(user[f + 3])
        first, second, third, fourth = by_factor[f], by_factor[f + 1], by_factor[f + 2], by_factor[f + 3]
        for item in range(known):
            sums[item] = sums[item] + a * first[item] + b * second[item] + c * third[item] + e * fourth[item]
        f += 4
    while f < d:
        a, first = np.float32(user[f]), by_factor[f]
        for item in range(known):
            sums[item] += a * first[item]
        f += 1


@numba.njit(cache=True)
def score_all(
    had: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    time_ms: int,
    known: int,
    count: NDArray[np.int64],
    vectors: Vectors,
    encoder: Encoder,
    scratch: Scratch,
) -> None:
    """scratch.scores[x] for x < known: the factors' score; below all of those, by count, items without vectors."""
    scores, sums = scratch.scores, scratch.sums
    if not encoder.adopted:
        for item in range(known):
            scores[item] = count[item]
        return
    encode(had, times_ms, time_ms, vectors, encoder, scratch)
    for item in range(known):
        sums[item] = vectors.bias[item]
    products(scratch.user, vectors.out_by_factor, known, sums)
    lowest = 0.0
    for item in range(known):
        if vectors.has[item]:
            scores[item] = sums[item]
            lowest = min(lowest, scores[item])
    for item in range(known):
        if not vectors.has[item]:
            scores[item] = lowest - _BELOW + count[item] / (1.0 + count[item])


@numba.njit(cache=True)
def test_then_learn(
    events: Interactions,
    histories: Histories,
    count: NDArray[np.int64],
    vectors: Vectors,
    encoder: Encoder,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """Rank each event, then count it."""
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target = events.item[i]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            start = histories.start[events.user[i]]
            end = start + events.seen[i]
            had, known = histories.items[start:end], events.items[i]
            times_ms = histories.times_ms[start:end]
            score_all(had, times_ms, events.time_ms[i], known, count, vectors, encoder, scratch)
            ranks[i] = rank_among(scratch.scores, known, target, had, ties_against)
        count[target] += 1
