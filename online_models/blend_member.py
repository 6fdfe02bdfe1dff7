"""One more part of the blend's score: what a batch model says, standardised, with a weight that is learned as the others.

    score(c) += w f_batch(c),    f_batch(c) = asinh(z(c)),    z(c) = (s(c) - mean of s) / standard deviation of s

s are the batch model's scores of all items it has vectors for, from the user's live history (`online_models.batch_kernel`),
mean and deviation being over these; an item without vectors, new since the training, has f = 0. So the part is on the same
scale for every kind of batch model and every version of it, and one very strong item has its logarithm's say.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.batch_kernel import Encoder, Scratch, Vectors, encode, products
from online_models.blend_weights import AGES, CONTEXTS, Weights, step_weights
from online_models.polynomials import natural_log


class Member(NamedTuple):
    """A batch model in the blend; encoder.adopted is 0 while there is none.

    value: float32[>= items], f_batch of the event at hand. weights: of the one part, see `Weights`.
    """

    vectors: Vectors
    encoder: Encoder
    scratch: Scratch
    value: NDArray[np.float32]
    weights: Weights


def no_member() -> Member:
    """Nothing adopted."""
    vectors = Vectors(
        np.zeros((0, 0), np.float32),
        np.zeros((0, 0), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.uint8),
        np.zeros((0, 0)),
        np.zeros(0, np.float32),
    )
    work = np.zeros((4, 0, 0), np.float32)
    scratch = Scratch(np.zeros(0), np.zeros((0, 0)), np.zeros(0, np.float32), np.zeros(0), work)
    weights = Weights(np.zeros((CONTEXTS, 1)), np.zeros((CONTEXTS, 1)))
    return Member(vectors, Encoder(), scratch, np.zeros(0, np.float32), weights)


def with_room(member: Member, items: int) -> Member:
    """The same with scratch of its own, for `items` items: what is worked out in it changes nothing."""
    scratch = member.scratch
    own = Scratch(
        scratch.user.copy(),
        scratch.matrix.copy(),
        np.zeros(items, np.float32),
        np.zeros(0),
        scratch.work.copy(),
    )
    return member._replace(scratch=own, value=np.zeros(items, np.float32))


@numba.njit(cache=True)
def add_member(
    member: Member,
    had: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    time_ms: int,
    contexts: tuple[int, int],
    known: int,
    scores: NDArray[np.float32],
) -> None:
    """scores[:known] += w f_batch of the user who has had `had` at `times_ms`, oldest first; f_batch into member.value."""
    vectors, sums, value = member.vectors, member.scratch.sums, member.value
    encode(had, times_ms, time_ms, vectors, member.encoder, member.scratch)
    for item in range(known):
        sums[item] = vectors.bias[item]
    products(member.scratch.user, vectors.out_by_factor, known, sums)
    count, total, squares = 0, 0.0, 0.0
    for item in range(known):
        if vectors.has[item]:
            count += 1
            total += sums[item]
            squares += np.float64(sums[item]) * sums[item]
    mean = total / max(count, 1)
    variance = squares / max(count, 1) - mean * mean
    scale = np.float32(1.0 / np.sqrt(variance)) if variance > 1e-12 * mean * mean else np.float32(0.0)
    of_all = member.weights.value
    weight = np.float32(of_all[0, 0] + of_all[1 + contexts[0], 0] + of_all[1 + AGES + contexts[1], 0])
    middle, one = np.float32(mean), np.float32(1.0)
    for item in range(known):
        z = (sums[item] - middle) * scale * np.float32(vectors.has[item])
        far = abs(z)
        squashed = natural_log(far + np.sqrt(far * far + one))
        value[item] = squashed if z >= 0 else -squashed
        scores[item] += weight * value[item]


@numba.njit(cache=True)
def learn_member(
    member: Member,
    odds: NDArray[np.float32],
    scale: float,
    target: int,
    contexts: tuple[int, int],
    known: int,
    rate: float,
) -> None:
    """One step of the part's weight. odds, scale: see `blend_weights.expectations`."""
    total = 0.0
    for item in range(known):
        total += odds[item] * member.value[item]
    gradient = np.array([member.value[target] - scale * total])
    step_weights(member.weights, contexts, gradient, rate)
