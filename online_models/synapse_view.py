"""The synapses of a model as a list of (pre, post, weight), decayed to a moment, whatever layout they are kept in."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SynapseView(NamedTuple):
    """The synapses that are kept, ordered by pre, then post.

    neurons: which rows they are of. rows: int32[r], the pre neurons that were looked at, ascending. pre, post: int32[m]
    rows of neurons. weight: float64[m], 0 or more, as it counts at the view's moment: 1 is one co-activation at full
    gain at that moment. activity: float64[n] of every neuron at the moment.
    """

    neurons: Literal["item", "user"]
    rows: NDArray[np.int32]
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: NDArray[np.float64]
    activity: NDArray[np.float64]

    @property
    def possible(self) -> int:
        """How many synapses the rows that were looked at could have: one to each other neuron."""
        return len(self.rows) * max(len(self.activity) - 1, 0)

    def above(self, threshold: float) -> SynapseView:
        """Only the synapses that weigh more than `threshold`."""
        kept = self.weight > threshold
        return self._replace(pre=self.pre[kept], post=self.post[kept], weight=self.weight[kept])

    def among(self, chosen: NDArray[np.int32]) -> SynapseView:
        """Only some neurons: chosen[i] (int32[c], -1 for one that is not there, silent) is neuron i of the result."""
        there = np.flatnonzero(chosen >= 0).astype(np.int32)
        row_of = np.full(len(self.activity), -1, np.int32)
        row_of[chosen[there]] = there
        pre, post, rows = row_of[self.pre], row_of[self.post], row_of[self.rows]
        kept = np.flatnonzero((pre >= 0) & (post >= 0))
        kept = kept[np.lexsort((post[kept], pre[kept]))]
        activity = np.zeros(len(chosen))
        activity[there] = self.activity[chosen[there]]
        return SynapseView(
            self.neurons, np.sort(rows[rows >= 0]), pre[kept], post[kept], self.weight[kept], activity
        )

    def strongest(self, top: int) -> SynapseView:
        """The `top` strongest synapses of each pre neuron; of equal ones those to the first neurons."""
        order = np.lexsort((self.post, -self.weight, self.pre))
        kept = np.sort(order[place_in_row(self.pre[order]) < top])
        return self._replace(pre=self.pre[kept], post=self.post[kept], weight=self.weight[kept])


def place_in_row(pre: NDArray[np.int32]) -> NDArray[np.int64]:
    """0, 1, 2, ... within each run of equal values of `pre` (int32[m], sorted)."""
    first = np.searchsorted(pre, pre)
    return np.arange(len(pre), dtype=np.int64) - first


def most_active(activity: NDArray[np.float64], most: int) -> NDArray[np.int32]:
    """Rows of the `most` most active neurons, int32, ascending; silent ones are left out, earlier rows go first."""
    order = np.argsort(-activity, kind="stable")[:most]
    return np.sort(order[activity[order] > 0]).astype(np.int32)
