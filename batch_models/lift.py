"""Lift between items: how much oftener one follows the other than its popularity says, as tables.

    C(a, c) = sum over the events (u, c) and the items a that u had k steps before, k <= length, of g; and reverse * g the
              other way round, as spike-timing-dependent plasticity has it (Bi & Poo 1998)
    g       = step_decay^(k-1) (1 + gap / gap_scale_s)^-gap_exponent, gap being the time between the two events
    lift    = ln(1 + C(a, c) N / (prior * n(c))),    n(c) of N events are of c

A sum of lifts over what a user had is the logarithm of a product of odds: naive Bayes. It is what Hebbian synapses say
(`online_models.blend`), of a whole cut at once.

Whoever fits something to these tables must not ask them about the very events that they were counted from: a table of a
fold leaves out the users of that fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from batch_models.interactions import Interactions


@dataclass(frozen=True)
class LiftConfig:
    """See the module. length: in items; prior: in events."""

    length: int = 12
    step_decay: float = 0.88
    gap_scale_s: float = 60.0
    gap_exponent: float = 0.5
    reverse: float = 0.5
    prior: float = 100.0


@numba.njit(cache=True)
def _count(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    time_ms: NDArray[np.int64],
    folds: int,
    length: int,
    step_decay: float,
    gap_scale_ms: float,
    gap_exponent: float,
    reverse: float,
    out: NDArray[np.float32],
) -> None:
    """Add the pairs of events of each user to out[fold of the user]; events of a user are consecutive, in order.

    out: float32[folds, items, items], from what was had before to what came after.
    """
    for place in range(len(user)):
        table = out[user[place] % folds]
        gain = np.float32(1.0)
        for back in range(1, length + 1):
            before = place - back
            if before < 0 or user[before] != user[place]:
                break
            gap_ms = max(time_ms[place] - time_ms[before], 0)
            weight = np.float32(gain * (1.0 + gap_ms / gap_scale_ms) ** -gap_exponent)
            table[item[before], item[place]] += weight
            table[item[place], item[before]] += np.float32(reverse * weight)
            gain *= np.float32(step_decay)


def lift_tables(data: Interactions, folds: int, config: LiftConfig) -> NDArray[np.float32]:
    """Return float32[folds + 1, items, items]: lift from row to column.

    Table f is counted without the users u with u % folds = f, the last one with all of them. folds: >= 1.
    """
    order = np.argsort(data.user, kind="stable")
    counts = np.zeros((folds + 1, data.items, data.items), np.float32)
    _count(
        data.user[order],
        data.item[order],
        data.time_ms[order],
        folds,
        config.length,
        config.step_decay,
        config.gap_scale_s * 1000.0,
        config.gap_exponent,
        config.reverse,
        counts[:folds],
    )
    counts[folds] = counts[:folds].sum(0)
    had = np.bincount(data.item, minlength=data.items)
    for fold in range(folds):
        np.subtract(counts[folds], counts[fold], out=counts[fold])
        # float32 sums differ by rounding: never below 0.
        np.maximum(counts[fold], 0.0, out=counts[fold])
        own = np.bincount(data.item[data.user % folds == fold], minlength=data.items)
        _to_lift(counts[fold], had - own, config.prior)
    _to_lift(counts[folds], had, config.prior)
    return counts


@numba.njit(cache=True)
def _to_lift(counts: NDArray[np.float32], had: NDArray[np.int64], prior: float) -> None:
    """Let counts[a, c] become ln(1 + counts[a, c] N / (prior * n(c))), with n(c) = had[c], 1 at least, and N their sum."""
    total = had.sum()
    for row in range(len(counts)):
        for column in range(counts.shape[1]):
            if counts[row, column] > 0.0:
                counts[row, column] = np.log1p(counts[row, column] * total / (prior * max(had[column], 1)))
