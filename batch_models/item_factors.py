"""Item factors: a truncated singular value decomposition of what follows what, in numpy and numba, without torch.

Entry (a, b) of the matrix C counts how item b follows item a in the histories of users, near ones more:

    C[a, b] = sum over events (u, b) and items a that u had k steps before:  recency * g
    g = step_decay^(k-1) * product over those k steps of (1 + gap / gap_scale_s)^-gap_exponent
    recency = 2^(-(events after it) / half_life_events)

and with `reverse` times its transpose added (what follows says something of what came before, too); then
normalised by activity as Hebbian synapses are: C[a, b] / (n(a)^source_power n(b)^target_power N^(1 - source_power -
target_power)), n being decayed counts and N their sum. Then C ~ U S V', item_in = U sqrt(S), item_out = V sqrt(S), and
the user of a trace scores sum_k g_k item_in[y_k] . item_out[c], which is what the synapses would say, through `factors`
numbers an item; bias is popularity_weight * n(c) / N.

C is never made. One pass over the events, with the running trace of each user, multiplies it by a block of vectors, so
that an iteration costs events * factors, whatever the number of items (randomized subspace iteration: Halko, Martinsson
& Tropp 2011, "Finding Structure with Randomness", SIAM Review 53(2)). Kernels are of one thread and use no BLAS: the
same cut gives the same bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from batch_models.from_cut import manifest_of
from eventlog.artefact import Artefact, Trace
from eventlog.cut import Cut

NAME: Final = "item_factors"


@dataclass(frozen=True)
class ItemFactorsConfig:
    """See the module. factors: numbers an item; oversampling: more of them while iterating; length: of the trace."""

    factors: int = 128
    oversampling: int = 16
    iterations: int = 4
    step_decay: float = 0.75
    reverse: float = 0.3
    gap_scale_s: float = 120.0
    gap_exponent: float = 0.7
    half_life_events: float = 30_000.0
    source_power: float = 0.5
    target_power: float = 0.3
    popularity_weight: float = 1.0
    length: int = 20


@numba.njit(cache=True)
def _follows(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    gain: NDArray[np.float64],
    weight: NDArray[np.float64],
    vectors: NDArray[np.float64],
    backward: bool,
    out: NDArray[np.float64],
) -> None:
    """Out += C vectors (backward: C' vectors); events of a user are consecutive, in order.

    gain[i]: what is left of the trace from event i - 1 to event i of the same user; weight[i]: recency of event i.
    """
    n, d = len(user), vectors.shape[1]
    trace = np.zeros(d)
    if backward:
        # Forward in time: the trace of what came before, into what follows.
        for i in range(n):
            if i == 0 or user[i] != user[i - 1]:
                trace[:] = 0.0
            else:
                for f in range(d):
                    trace[f] = gain[i] * (trace[f] + vectors[item[i - 1], f])
            for f in range(d):
                out[item[i], f] += weight[i] * trace[f]
    else:
        for i in range(n - 1, -1, -1):
            if i == n - 1 or user[i + 1] != user[i]:
                trace[:] = 0.0
            else:
                for f in range(d):
                    trace[f] = gain[i + 1] * (trace[f] + weight[i + 1] * vectors[item[i + 1], f])
            for f in range(d):
                out[item[i], f] += trace[f]


@numba.njit(cache=True)
def _orthonormalise(by_vector: NDArray[np.float64]) -> None:
    """Modified Gram-Schmidt, twice, over the rows; a row that depends on those before it becomes 0."""
    for k in range(len(by_vector)):
        row = by_vector[k]
        before = np.sqrt(np.sum(row * row))
        for _ in range(2):
            for j in range(k):
                other = by_vector[j]
                dot = 0.0
                for x in range(len(row)):
                    dot += row[x] * other[x]
                for x in range(len(row)):
                    row[x] -= dot * other[x]
        norm = np.sqrt(np.sum(row * row))
        scale = 1.0 / norm if norm > 1e-10 * before and norm > 0.0 else 0.0
        for x in range(len(row)):
            row[x] *= scale


@numba.njit(cache=True)
def _gram(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors' vectors: float64[d, d]."""
    d = vectors.shape[1]
    out = np.zeros((d, d))
    for row in range(len(vectors)):
        for f in range(d):
            for g in range(d):
                out[f, g] += vectors[row, f] * vectors[row, g]
    return out


@numba.njit(cache=True)
def _rotate(vectors: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors by: float64[n, k]."""
    out = np.zeros((len(vectors), by.shape[1]))
    for row in range(len(vectors)):
        for f in range(by.shape[0]):
            for k in range(by.shape[1]):
                out[row, k] += vectors[row, f] * by[f, k]
    return out


def train(cut: Cut, seed: int, config: ItemFactorsConfig | None = None) -> Artefact:
    """Train on a cut. seed: of the first subspace. Items without an event are left out."""
    config = config or ItemFactorsConfig()
    user, item, time_ms, age = _first_meetings(cut)
    here, inverse = np.unique(item, return_inverse=True)
    item = inverse.astype(np.int32)
    items = len(here)
    weight = np.exp2(-age / config.half_life_events)
    gap_s = np.maximum(np.diff(time_ms, prepend=time_ms[:1]), 0) / 1000.0
    gain = (1.0 + gap_s / config.gap_scale_s) ** -config.gap_exponent
    # One step back has no step_decay.
    gain = gain * config.step_decay
    activity = np.bincount(item, weights=weight, minlength=items)
    total = max(float(activity.sum()), 1e-300)
    alive = np.maximum(activity, 1e-300)
    source = alive**-config.source_power / config.step_decay
    target = alive**-config.target_power * total ** (config.source_power + config.target_power - 1.0)

    def times(vectors: NDArray[np.float64], *, backward: bool) -> NDArray[np.float64]:
        """Multiply the normalised matrix, or its transpose."""
        before, after = (source, target) if backward else (target, source)
        given = np.ascontiguousarray(vectors * before[:, None])
        out, reversed_out = np.zeros_like(given), np.zeros_like(given)
        _follows(user, item, gain, weight, given, backward, out)
        if config.reverse:
            _follows(user, item, gain, weight, given, not backward, reversed_out)
        return (out + config.reverse * reversed_out) * after[:, None]

    def orthonormal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        by_vector = np.ascontiguousarray(vectors.T)
        _orthonormalise(by_vector)
        return np.ascontiguousarray(by_vector.T)

    width = min(config.factors + config.oversampling, items)
    basis = orthonormal(times(np.random.default_rng(seed).standard_normal((items, width)), backward=False))
    for _ in range(config.iterations):
        basis = orthonormal(times(orthonormal(times(basis, backward=True)), backward=False))
    # C ~ Q (Q' C) = Q B', B = C' Q: the singular vectors of B' are those of B B' in small.
    projected = times(basis, backward=True)
    squares, turn = np.linalg.eigh(_gram(projected))
    strongest = np.argsort(-squares, kind="stable")[: config.factors]
    singular = np.sqrt(np.maximum(squares[strongest], 0.0))
    turn = np.ascontiguousarray(turn[:, strongest])
    root = np.sqrt(singular)
    item_in = _rotate(basis, turn) * root
    item_out = _rotate(projected, turn) * np.where(singular > 0.0, root / np.maximum(singular, 1e-300), 0.0)
    bias = config.popularity_weight * activity / total
    manifest = manifest_of(
        cut,
        here,
        name=NAME,
        encoder=Trace(
            length=config.length,
            step_decay=config.step_decay,
            gap_scale_s=config.gap_scale_s,
            gap_exponent=config.gap_exponent,
            normalize=False,
        ),
        parameters=asdict(config),
        seed=seed,
        metrics={
            "items": float(items),
            "largest_singular_value": float(singular.max(initial=0.0)),
            "smallest_singular_value": float(singular.min(initial=0.0)),
        },
    )
    arrays = {"item_in": item_in, "item_out": item_out, "bias": bias}
    return Artefact(manifest, {name: array.astype(np.float32) for name, array in arrays.items()})


def _first_meetings(
    cut: Cut,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """User, item, time and age (in events) of each pair's first event; user by user, in order."""
    n = len(cut.user)
    pair = cut.user.astype(np.int64) * (len(cut.item_ids) + 1) + cut.item
    _, first = np.unique(pair, return_index=True)
    first = np.sort(first)
    first = first[np.argsort(cut.user[first], kind="stable")]
    age = (n - 1 - first).astype(np.float64)
    return cut.user[first], cut.item[first], cut.time_ms[first], age
