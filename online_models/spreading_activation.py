"""Spreading activation: what the rows of synapses of several items add up to (Collins & Loftus 1975)."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.prefetch import prefetch_row
from online_models.synapses import Synapses


@numba.njit(cache=True)
def spread_direct(
    synapses: Synapses,
    pres: NDArray[np.int32],
    gains: NDArray[np.float32],
    known: int,
    root: bool,
    out: NDArray[np.float32],
) -> None:
    """out[post] = sum over k of gains[k] * w(pres[k], post), added in the order of k, for every post < known.

    In the direct layout. root: of the square roots of w. Otherwise four rows a pass, so that `out` is read and written a
    fourth as often; roots take longer than that.
    """
    weight = synapses.weight
    out[:known] = 0
    if root:
        for k in range(len(pres)):
            row, gain = weight[pres[k]], gains[k]
            for post in range(known):
                out[post] += gain * np.sqrt(row[post])
        return
    fours = len(pres) // 4 * 4
    for k in range(0, fours, 4):
        one, two, three, four = weight[pres[k]], weight[pres[k + 1]], weight[pres[k + 2]], weight[pres[k + 3]]
        g, h, i, j = gains[k], gains[k + 1], gains[k + 2], gains[k + 3]
        for post in range(known):
            out[post] = (((out[post] + g * one[post]) + h * two[post]) + i * three[post]) + j * four[post]
    for k in range(fours, len(pres)):
        row, gain = weight[pres[k]], gains[k]
        for post in range(known):
            out[post] += gain * row[post]


@numba.njit(cache=True)
def spread_row(
    row: NDArray[np.float32],
    posts: NDArray[np.int32],
    gain: np.float32,
    root: bool,
    out: NDArray[np.float32],
    touched: NDArray[np.int32],
    count: int,
) -> int:
    """out[posts] += gain * row, of a row of the bounded layout: its weights, and the posts of its taken places.

    root: of the square roots of the weights. touched: int32, room for one more than there are posts; touched[:count]
    are those where `out` is not 0, each once, before and after. Returns how many they are.
    """
    for place in range(len(posts)):
        post = posts[place]
        before = out[post]
        after = before + gain * (np.sqrt(row[place]) if root else row[place])
        out[post] = after
        # Nothing is negative: what is not 0 stays so. Without a branch, for it would be a coin's toss.
        touched[count] = post
        count += (before == 0) & (after != 0)
    return count


@numba.njit(cache=True)
def spread_bounded(
    synapses: Synapses,
    pres: NDArray[np.int32],
    gains: NDArray[np.float32],
    root: bool,
    out: NDArray[np.float32],
    touched: NDArray[np.int32],
) -> int:
    """out[post] += gains[k] * w(pres[k], post), in the order of k, in the bounded layout; `out` is all 0 before.

    root, touched: see `spread_row`. Returns how many posts it lists.
    """
    count = 0
    for k in range(len(pres)):
        if k + 1 < len(pres):
            prefetch_row(synapses.post, pres[k + 1])
            prefetch_row(synapses.weight, pres[k + 1])
        posts = synapses.post[pres[k]][: synapses.used[pres[k]]]
        count = spread_row(synapses.weight[pres[k]], posts, gains[k], root, out, touched, count)
    return count
