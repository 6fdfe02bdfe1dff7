"""Synapses between neurons (items): weights with decay, in rows of bounded size.

w(pre, post) is kept on a forward scale, w * 2^((now - base) / half_life): fading costs nothing between events, the
weakest synapse of a row can be found without a clock, and a late event is added with the weight it has left.
Only non-negative, linear statistics are stored; norms and priors are applied on read.

Two layouts, chosen by the largest number of neurons so far. Direct: the post neuron is the column; exact, and the fastest
while the catalogue is small. Bounded: each row holds at most K (post, weight) pairs; a newcomer starts at its own
increment and replaces the weakest, whose weight goes into the row's `lost` field only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown

_SMALLEST = 64
_NOTHING = np.float32(1e-30)
_SIZE = np.int32(0x7FFFFFFF)  # bits of a number but for its sign
_PADDING = 16  # columns of a direct layout that are not used: rows a power of 2 apart would share few places of a cache


class Synapses(NamedTuple):
    """weight: float32[rows, width], forward scale. post: int32[rows, width], or of no rows in the direct layout.

    used: int32[rows], taken places of a bounded row. lost: float32[rows], weight evicted, forward scale.
    """

    weight: NDArray[np.float32]
    post: NDArray[np.int32]
    used: NDArray[np.int32]
    lost: NDArray[np.float32]


@numba.njit(cache=True)
def _place_of(posts: NDArray[np.int32], post: int) -> int:
    """Place of `post` in posts, -1 where it is not."""
    found = -1  # no early exit: the comparison of a whole row is vectorised
    for place in range(len(posts)):
        if posts[place] == post:
            found = place
    return found


@numba.njit(cache=True)
def _weakest(row: NDArray[np.float32]) -> int:
    """Place of what is nearest to 0 in row (float32, of either sign), of equally near ones the first."""
    bits = row.view(np.int32)  # less the sign in the order of sizes, and integers' least is found by vectors
    least = _SIZE
    for place in range(len(bits)):
        least = min(least, np.int32(bits[place] & _SIZE))
    found = 0
    while bits[found] & _SIZE != least:
        found += 1
    return found


@numba.njit(cache=True)
def potentiate(synapses: Synapses, pre: int, post: int, amount: np.float32) -> None:
    """w(pre, post) += amount (forward scale)."""
    if len(synapses.post) == 0:
        synapses.weight[pre, post] += amount
        return
    row, posts, used = synapses.weight[pre], synapses.post[pre], synapses.used[pre]
    found = _place_of(posts[:used], post)
    if found >= 0:
        row[found] += amount
        return
    if used < len(posts):
        found = used
        synapses.used[pre] = used + 1
    else:
        found = _weakest(row)
        synapses.lost[pre] += row[found]
    posts[found] = post
    row[found] = amount


@numba.njit(cache=True)
def potentiate_trace(
    synapses: Synapses,
    trace: NDArray[np.int32],
    neuron: int,
    gains: NDArray[np.float64],
    unit: float,
    reverse: float,
) -> None:
    """w(y_k, neuron) += gains[k] * unit and w(neuron, y_k) += reverse * gains[k] * unit, for each y_k of a trace.

    trace: int32[n], oldest first, without the neuron; gains: newest first. The same as `potentiate` for each, in order.
    """
    last = len(trace) - 1
    if len(synapses.post) == 0:
        weight = synapses.weight
        for k in range(len(gains)):
            weight[trace[last - k], neuron] += np.float32(gains[k] * unit)
            weight[neuron, trace[last - k]] += np.float32(gains[k] * unit * reverse)
        return
    # Written out, for each call would count references to four arrays.
    weight, posts, taken, lost = synapses.weight, synapses.post, synapses.used, synapses.lost
    width, bits = weight.shape[1], weight.view(np.int32)
    for k in range(len(gains)):
        amount = gains[k] * unit
        for pre, post in ((trace[last - k], neuron), (neuron, trace[last - k])):
            used, found, part = taken[pre], -1, np.float32(amount)
            amount *= reverse
            for place in range(used):
                if posts[pre, place] == post:
                    found = place
            if found >= 0:
                weight[pre, found] += part
                continue
            if used < width:
                found = used
                taken[pre] = used + 1
            else:
                least = bits[pre, 0]
                for place in range(width):
                    least = min(least, bits[pre, place])
                found = 0
                while bits[pre, found] != least:
                    found += 1
                lost[pre] += weight[pre, found]
            posts[pre, found], weight[pre, found] = post, part


@numba.njit(cache=True)
def potentiate_to(
    synapses: Synapses, pres: NDArray[np.int32], post: int, amounts: NDArray[np.float32]
) -> None:
    """w(pres[k], post) += amounts[k] (forward scale); pres are different."""
    if len(synapses.post) == 0:
        weight = synapses.weight
        # Nothing but this in the loop: the reads wait for memory side by side.
        for k in range(len(pres)):
            weight[pres[k], post] += amounts[k]
    else:
        for k in range(len(pres)):
            potentiate(synapses, pres[k], post, amounts[k])


@numba.njit(cache=True)
def potentiate_from(
    synapses: Synapses, pre: int, posts: NDArray[np.int32], amounts: NDArray[np.float32]
) -> None:
    """w(pre, posts[k]) += amounts[k] (forward scale); posts are different."""
    if len(synapses.post) == 0:
        row = synapses.weight[pre]
        for k in range(len(posts)):
            row[posts[k]] += amounts[k]
    else:
        for k in range(len(posts)):
            potentiate(synapses, pre, posts[k], amounts[k])


@numba.njit(cache=True)
def rescale(synapses: Synapses, rows: int, factor: float) -> None:
    """Multiply all weights of the first `rows` rows by `factor`, at a rebase; what is as good as nothing is gone."""
    small = np.float32(factor)
    for pre in range(rows):
        for place in range(synapses.weight.shape[1]):
            faded = synapses.weight[pre, place] * small
            # Subnormal numbers would slow every later read down a hundredfold.
            synapses.weight[pre, place] = faded if faded > _NOTHING else np.float32(0.0)
        synapses.lost[pre] *= small


@numba.njit(cache=True)
def _keep_posts(old: Synapses, rows: NDArray[np.int32], row_of: NDArray[np.int32], new: Synapses) -> None:
    """Rows `rows` of a bounded layout into `new`, posts by their new numbers; row_of is -1 for one that goes."""
    for i in range(len(rows)):
        pre, taken = rows[i], 0
        new.lost[i] = old.lost[pre]
        for place in range(old.used[pre]):
            post = row_of[old.post[pre, place]]
            if post >= 0:
                new.post[i, taken] = post
                new.weight[i, taken] = old.weight[pre, place]
                taken += 1
            else:
                new.lost[i] += old.weight[pre, place]
        new.used[i] = taken


@numba.njit(cache=True)
def _forget(synapses: Synapses, neuron: int, neurons: int) -> None:
    if len(synapses.post) == 0:
        synapses.weight[:, neuron] = 0
    else:
        for pre in range(neurons):
            posts, row, taken = synapses.post[pre], synapses.weight[pre], 0
            used = synapses.used[pre]
            for place in range(used):
                posts[taken], row[taken] = posts[place], row[place]
                taken += posts[place] != neuron
            posts[taken:used] = 0
            row[taken:used] = 0
            synapses.used[pre] = taken
        synapses.post[neuron] = 0
        synapses.used[neuron] = 0
    synapses.weight[neuron] = 0
    synapses.lost[neuron] = 0


class SynapseStore:
    """Rows of synapses for a growing number of neurons.

    direct_neurons: up to this many neurons the layout is direct; beyond, rows hold at most `row_synapses`.
    """

    def __init__(self, direct_neurons: int, row_synapses: int) -> None:
        self._direct_neurons = direct_neurons
        self._row_synapses = row_synapses
        self._neurons = 0
        self.synapses = self._nothing(direct=direct_neurons > 0)

    @property
    def is_direct(self) -> bool:
        """Whether the post neuron is the column."""
        return len(self.synapses.post) == 0

    def fitting(self, neurons: NDArray[np.int32]) -> int:
        """How many of the first `neurons` (rows, int32[n]) go before `reserve` changes the layout: where to cut a block."""
        beyond = neurons >= max(self._direct_neurons, self._neurons)
        return int(np.argmax(beyond)) if self.is_direct and beyond.any() else len(neurons)

    def room_until(self, neurons: int) -> int:
        """How many of `neurons` the present layout can take; when fewer, `reserve` changes the layout."""
        return min(neurons, max(self._direct_neurons, self._neurons)) if self.is_direct else neurons

    def reserve(self, neurons: int) -> None:
        """Make room for `neurons` in all. Passing `direct_neurons` turns rows into bounded ones."""
        if self.is_direct and neurons > self._direct_neurons:
            self.synapses = _bounded_from_direct(self.synapses, self._neurons, self._row_synapses)
        self._neurons = max(self._neurons, neurons)
        have = len(self.synapses.weight)
        if neurons <= have:
            return
        old = self.synapses
        if self.is_direct:
            side = min(max(neurons, 2 * have), self._direct_neurons)
            weight = np.zeros((side, side + _PADDING), np.float32)
            weight[:have, :have] = old.weight[:, :have]
            self.synapses = old._replace(
                weight=weight, used=grown(old.used, side), lost=grown(old.lost, side)
            )
        else:
            self.synapses = Synapses(*(grown(array, neurons) for array in old))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays of the rows in use: weight, post, used, lost (see `Synapses`)."""
        n, synapses = self._neurons, self.synapses
        width = n if self.is_direct else synapses.weight.shape[1]
        return {
            "weight": synapses.weight[:n, :width],
            "post": synapses.post[:n],
            "used": synapses.used[:n],
            "lost": synapses.lost[:n],
        }

    def pairs(
        self, rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """(pre, post, weight) of the synapses of `rows` (ascending) above 0, by pre, then post; forward scale."""
        weight, width = self.synapses.weight[rows], self._neurons
        if self.is_direct:
            at, post = np.nonzero(weight[:, :width])
            return rows[at], post.astype(np.int32), weight[at, post]
        taken = np.arange(weight.shape[1]) < self.synapses.used[rows][:, None]
        at, place = np.nonzero(taken & (weight > 0))
        to = self.synapses.post[rows[at], place]
        order = np.lexsort((to, at))
        return rows[at[order]], to[order], weight[at, place][order]

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        n = len(arrays["used"])
        direct = self._direct_neurons > 0 and len(arrays["post"]) == 0
        self._neurons = 0
        self.synapses = self._nothing(direct=direct)
        self.reserve(n)
        self.synapses.weight[:n, : arrays["weight"].shape[1]] = arrays["weight"]
        if not direct:
            self.synapses.post[:n] = arrays["post"]
        self.synapses.used[:n] = arrays["used"]
        self.synapses.lost[:n] = arrays["lost"]

    def keep(self, rows: NDArray[np.int32]) -> None:
        """Neuron rows[i] (ascending) becomes neuron i; the others are dropped, and the synapses to them are lost."""
        if len(rows) == self._neurons:
            return
        old = self.arrays()
        row_of = np.full(self._neurons, -1, np.int32)
        row_of[rows] = np.arange(len(rows), dtype=np.int32)
        if self.is_direct:
            weight = old["weight"][rows]
            gone = np.ones(self._neurons, bool)
            gone[rows] = False
            lost = old["lost"][rows] + weight[:, gone].sum(axis=1, dtype=np.float32)
            self.restore({**old, "weight": weight[:, rows], "used": old["used"][rows], "lost": lost})
            return
        # With the room there was: the rows to come would else have all of them copied once more.
        kept = _empty(len(self.synapses.weight), old["weight"].shape[1], direct=False)
        _keep_posts(self.synapses, rows, row_of, kept)
        self.synapses, self._neurons = kept, len(rows)

    def forget(self, neuron: int) -> None:
        """Clear a neuron's own synapses and all synapses to it; the neuron's row stays."""
        self.reserve(neuron + 1)
        _forget(self.synapses, neuron, self._neurons)

    def _nothing(self, *, direct: bool) -> Synapses:
        side = min(_SMALLEST, self._direct_neurons)
        return (
            _empty(side, side, direct=True) if direct else _empty(_SMALLEST, self._row_synapses, direct=False)
        )


def _empty(rows: int, width: int, *, direct: bool) -> Synapses:
    return Synapses(
        np.zeros((rows, width), np.float32),
        np.zeros((0 if direct else rows, width), np.int32),
        np.zeros(rows, np.int32),
        np.zeros(rows, np.float32),
    )


def _bounded_from_direct(old: Synapses, neurons: int, width: int) -> Synapses:
    """Keep the `width` strongest synapses of each row, ordered by post."""
    new = _empty(max(neurons, _SMALLEST), width, direct=False)
    for pre in range(neurons):
        row = old.weight[pre, :neurons]
        posts = np.flatnonzero(row)
        if len(posts) > width:
            strongest = np.argsort(-np.abs(row[posts]), kind="stable")
            new.lost[pre] = row[posts[strongest[width:]]].sum(dtype=np.float32)
            posts = np.sort(posts[strongest[:width]])
        new.weight[pre, : len(posts)] = row[posts]
        new.post[pre, : len(posts)] = posts
        new.used[pre] = len(posts)
    return new
