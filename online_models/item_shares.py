"""What several lanes teach about the same items: own contributions, those of others, and their sum.

Live, each partition is a lane with users of its own, but items are everybody's. All that a model keeps of an item here is
linear and not negative: an activity, and synapses to other items, which halve each half-life. So the state of a model that
had learned everything would be the sum of what the lanes have learned each:

    whole(item) = own(item) + sum over other sources s of component_s(item)

Own grows with the lane's events. A component is the cumulative contribution of one source as it was last told: a newer one
replaces it, and nothing is ever added, so what is told twice counts once. Between two tellings the whole grows with own,
and a component fades as everything does: it is kept on its source's forward scale, value * 2^((now - base) / half_life).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.hebbian_rule import Rule, trace_gains
from online_models.ids import grown
from online_models.interactions import REPEAT, Histories, Interactions
from online_models.synapses import Synapses, SynapseStore, potentiate_trace, rescale

REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
NO_POST = -1


class ItemState(NamedTuple):
    """State of n items, cumulative.

    activity: float64[n] and weight: float32[n, k], on forward scales of their own; base: int64[n], their ticks.
    post: int32[n, k] rows of items, `NO_POST` behind the last. k is 0 for a model without synapses.
    """

    activity: NDArray[np.float64]
    base: NDArray[np.int64]
    weight: NDArray[np.float32]
    post: NDArray[np.int32]


class Whole(NamedTuple):
    """The state that a model ranks with: activity: float64[items], synapses or None, and the tick of their scale."""

    activity: NDArray[np.float64]
    synapses: Synapses | None
    base: int


@numba.njit(cache=True)
def _count(
    events: Interactions, half_life: float, activity: NDArray[np.float64], base: NDArray[np.int64]
) -> None:
    """activity[item] += 1 for each event that is not a repeat, on the forward scale."""
    for i in range(len(events.item)):
        if events.flags[i] & REPEAT:
            continue
        if (events.now[i] - base[0]) / half_life > REBASE_AFTER:
            activity *= np.exp2(-((events.now[i] - base[0]) / half_life))
            base[0] = events.now[i]
        activity[events.item[i]] += np.exp2((events.tick[i] - base[0]) / half_life)


@numba.njit(cache=True)
def _learn(
    events: Interactions,
    histories: Histories,
    synapses: Synapses,
    activity: NDArray[np.float64],
    base: NDArray[np.int64],
    rule: Rule,
    all_gains: NDArray[np.float64],
) -> None:
    """What `hebbian_kernel.test_then_learn` learns, without its tests; all_gains: float64[trace_length], scratch."""
    items, times_ms = histories.items, histories.times_ms
    for i in range(len(events.item)):
        if events.flags[i] & REPEAT:
            continue
        target = events.item[i]
        end = histories.start[events.user[i]] + events.seen[i]
        length = min(len(all_gains), events.seen[i])
        gains = all_gains[:length]
        trace_gains(times_ms, end, events.time_ms[i], rule, gains)
        if (events.now[i] - base[0]) / rule.half_life > REBASE_AFTER:
            factor = np.exp2(-((events.now[i] - base[0]) / rule.half_life))
            rescale(synapses, len(synapses.weight), factor)
            activity *= factor
            base[0] = events.now[i]
        unit = np.exp2((events.tick[i] - base[0]) / rule.half_life)
        potentiate_trace(synapses, items[end - length : end], target, gains, unit, rule.reverse)
        activity[target] += unit


@numba.njit(cache=True)
def _strongest(row: NDArray[np.float32], places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Those of `places` (ascending) where `row` is largest, at most `most`, ascending; of equal ones the first."""
    if len(places) <= most:
        return places
    values = row[places]
    least = np.partition(values, len(values) - most)[len(values) - most]
    room = most - int((values > least).sum())
    kept, count = np.empty(most, np.int64), 0
    for at in range(len(places)):
        if values[at] > least or (values[at] == least and room > 0):
            room -= values[at] == least
            kept[count] = places[at]
            count += 1
    return kept


@numba.njit(cache=True)
def _tell(
    synapses: Synapses,
    known: int,
    rows: NDArray[np.int32],
    weight: NDArray[np.float32],
    post: NDArray[np.int32],
) -> None:
    """The strongest synapses of `rows` into weight and post, float32 and int32[n, k]."""
    dense = np.zeros(known, np.float32)
    for i in range(len(rows)):
        if len(synapses.post) == 0:
            dense[:] = synapses.weight[rows[i], :known]
        else:
            for place in range(synapses.used[rows[i]]):
                dense[synapses.post[rows[i], place]] = synapses.weight[rows[i], place]
        kept = _strongest(dense, np.flatnonzero(dense > 0), weight.shape[1])
        post[i] = NO_POST
        weight[i] = 0
        for place in range(len(kept)):
            post[i, place] = kept[place]
            weight[i, place] = dense[kept[place]]
        dense[:] = 0


@numba.njit(cache=True)
def _sizes(synapses: Synapses, known: int, sizes: NDArray[np.float64]) -> None:
    """sizes[row] += sum of the row's synapses."""
    for row in range(known):
        width = known if len(synapses.post) == 0 else synapses.used[row]
        total = 0.0
        for place in range(width):
            total += synapses.weight[row, place]
        sizes[row] += total


@numba.njit(cache=True)
def _mix(
    own: Synapses,
    own_factor: float,
    others: ItemState,
    factors: NDArray[np.float64],
    rows: NDArray[np.int32],
    known: int,
    whole: Synapses,
) -> None:
    """Rows of the whole's synapses anew: own, and the components in order of their sources.

    others: of shape [sources, items, k]; factors: float64[sources, items], from their scales to the whole's.
    """
    dense = np.zeros(known, np.float32)
    for row in rows:
        if len(own.post) == 0:
            for post in range(known):
                dense[post] = np.float32(own.weight[row, post] * own_factor)
        else:
            for place in range(own.used[row]):
                dense[own.post[row, place]] = np.float32(own.weight[row, place] * own_factor)
        for source in range(len(factors)):
            for place in range(others.post.shape[2]):
                post = others.post[source, row, place]
                if post == NO_POST:
                    break
                dense[post] += np.float32(others.weight[source, row, place] * factors[source, row])
        if len(whole.post) == 0:
            whole.weight[row, :known] = dense
        else:
            places = np.flatnonzero(dense > 0)
            kept = _strongest(dense, places, whole.weight.shape[1])
            lost = dense[places].sum() - dense[kept].sum()
            whole.post[row] = 0
            whole.weight[row] = 0
            for place in range(len(kept)):
                whole.post[row, place] = kept[place]
                whole.weight[row, place] = dense[kept[place]]
            whole.used[row] = len(kept)
            whole.lost[row] = max(lost, np.float32(0.0))
        dense[:] = 0


class ItemShares:
    """Own contribution of one model, and the components of other sources.

    half_life: in ticks; infinite for what never fades. direct_neurons, row_synapses: of `SynapseStore`; no row_synapses
    for a model without synapses.
    """

    def __init__(self, half_life: float, direct_neurons: int = 0, row_synapses: int = 0) -> None:
        self.half_life = half_life
        self._store = SynapseStore(direct_neurons, row_synapses) if row_synapses else None
        self._width = row_synapses
        self._items = 0
        self._activity = np.zeros(0, np.float64)
        self._base = np.zeros(1, np.int64)
        self._begun = np.zeros(1, np.uint8)
        self._sources: list[int] = []
        self._others = self._no_others(0)

    @property
    def has_synapses(self) -> bool:
        """Whether there are synapses beside the activity."""
        return self._store is not None

    def _no_others(self, items: int) -> ItemState:
        shape = (len(self._sources), items)
        return ItemState(
            np.zeros(shape, np.float64),
            np.zeros(shape, np.int64),
            np.zeros((*shape, self._width), np.float32),
            np.full((*shape, self._width), NO_POST, np.int32),
        )

    def reserve(self, items: int) -> None:
        """Make room for `items` in all."""
        self._items = max(self._items, items)
        self._activity = grown(self._activity, self._items)
        if self._store is not None:
            self._store.reserve(self._items)
        self._reserve_others()

    def _reserve_others(self) -> None:
        have = self._others.activity.shape
        if have[0] < len(self._sources) or have[1] < self._items:
            old, room = self._others, have[1] if have[1] >= self._items else max(self._items, 2 * have[1])
            self._others = self._no_others(room)
            for name, known in old._asdict().items():
                getattr(self._others, name)[: have[0], : have[1]] = known

    def learn(
        self, events: Interactions, histories: Histories, rule: Rule | None = None, length: int = 0
    ) -> None:
        """Take the events of a block into the own contribution.

        rule, length: of Hebbian synapses and their traces; None counts activity alone.
        """
        n = len(events.item)
        if not n:
            return
        if not self._begun[0]:
            self._base[0], self._begun[0] = events.now[0], 1
        if self._store is None or rule is None:
            self.reserve(int(events.item.max()) + 1)
            _count(events, self.half_life, self._activity, self._base)
            return
        cut = self._store.fitting(events.item)
        for part in (events.part(0, cut), events.part(cut, n)):
            if len(part.item):
                self.reserve(int(part.item.max()) + 1)
                gains = np.zeros(length, np.float64)
                _learn(part, histories, self._store.synapses, self._activity, self._base, rule, gains)

    def take_back(self, item: int) -> None:
        """Count one event of `item` less; for what never fades."""
        self._activity[item] -= 1

    def sizes(self) -> tuple[NDArray[np.float64], int]:
        """Activity and synapses of each own row in one number, float64[items] on the forward scale, and its tick."""
        sizes = self._activity[: self._items].copy()
        if self._store is not None:
            _sizes(self._store.synapses, self._items, sizes)
        return sizes, int(self._base[0])

    def contribution(self, rows: NDArray[np.int32]) -> ItemState:
        """Own state of `rows` (int32[n], known): the strongest `row_synapses` of each."""
        n = len(rows)
        weight, post = np.zeros((n, self._width), np.float32), np.full((n, self._width), NO_POST, np.int32)
        if self._store is not None:
            _tell(self._store.synapses, self._items, rows, weight, post)
        return ItemState(self._activity[rows], np.full(n, self._base[0]), weight, post)

    def replace(self, source: int, rows: NDArray[np.int32], state: ItemState) -> None:
        """Let `state` be what `source` has contributed to `rows` (int32[n], known)."""
        if source not in self._sources:
            self._sources.append(source)
            self._reserve_others()
        of, others = self._sources.index(source), self._others
        k = min(state.weight.shape[1], self._width)  # another configuration may have longer rows
        others.activity[of, rows], others.base[of, rows] = state.activity, state.base
        others.weight[of, rows], others.post[of, rows] = 0, NO_POST
        others.weight[of, rows, :k], others.post[of, rows, :k] = state.weight[:, :k], state.post[:, :k]

    def newest_base(self, rows: NDArray[np.int32]) -> int:
        """The latest tick of a scale on which others have told of `rows`; 0 for none."""
        return int(self._others.base[:, rows].max(initial=0))

    def withdraw(self, source: int) -> None:
        """Let `source` have contributed nothing."""
        if source in self._sources:
            rows = np.arange(self._items, dtype=np.int32)
            empty = np.zeros((self._items, 0))
            nothing = np.zeros(self._items)
            self.replace(
                source,
                rows,
                ItemState(
                    nothing, nothing.astype(np.int64), empty.astype(np.float32), empty.astype(np.int32)
                ),
            )

    def mix(self, rows: NDArray[np.int32], whole: Whole) -> None:
        """Make `rows` of the whole anew."""
        others = self._others
        factors = np.exp2((others.base - whole.base) / self.half_life)
        own_factor = float(np.exp2((int(self._base[0]) - whole.base) / self.half_life))
        activity = self._activity[rows] * own_factor
        for of in range(len(self._sources)):  # in this order on every run
            activity += others.activity[of, rows] * factors[of, rows]
        whole.activity[rows] = activity
        if whole.synapses is not None and self._store is not None:
            _mix(self._store.synapses, own_factor, others, factors, rows, self._items, whole.synapses)

    def keep(self, items: NDArray[np.int32]) -> None:
        """Item items[i] (int32, ascending) becomes item i; the others are dropped."""
        row_of = np.full(self._items + 1, NO_POST, np.int32)  # the last one: of NO_POST
        row_of[items] = np.arange(len(items), dtype=np.int32)
        sources = len(self._sources)
        others = ItemState._make(array[:sources, items].copy() for array in self._others)
        post = row_of[others.post]
        gone = np.argsort(post == NO_POST, axis=-1, kind="stable")  # what stays moves up, in its order
        weight = np.where(post == NO_POST, np.float32(0), others.weight)
        self._others = others._replace(
            post=np.take_along_axis(post, gone, -1), weight=np.take_along_axis(weight, gone, -1)
        )
        self._activity = self._activity[items]
        if self._store is not None:
            self._store.keep(items)
        self._items = len(items)

    def hand_to(self, source: int) -> None:
        """Let what was own be what `source` has contributed: its users are another lane's now."""
        rows = np.arange(self._items, dtype=np.int32)
        self.replace(source, rows, self.contribution(rows))
        self._activity[:] = 0
        if self._store is not None:
            self._store.restore({name: np.zeros_like(array) for name, array in self._store.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays of the state in use; see `ItemState` and `SynapseStore.arrays`."""
        sources, n = len(self._sources), self._items
        named: dict[str, NDArray[Any]] = {
            "activity": self._activity[:n],
            "base": self._base,
            "begun": self._begun,
            "sources": np.array(self._sources, np.int32),
            **{f"others_{name}": array[:sources, :n] for name, array in self._others._asdict().items()},
        }
        if self._store is not None:
            named |= {f"own_{name}": array for name, array in self._store.arrays().items()}
        return named

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        self._items = len(arrays["activity"])
        self._activity = arrays["activity"].copy()
        self._base[:], self._begun[:] = arrays["base"], arrays["begun"]
        self._sources = arrays["sources"].tolist()
        self._others = ItemState._make(arrays[f"others_{name}"].copy() for name in ItemState._fields)
        if self._store is not None:
            prefix = "own_"
            own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
            self._store.restore(own)


_SHARED = "share_"


def shared_arrays(shares: ItemShares | None) -> dict[str, NDArray[Any]]:
    """Arrays of what a model shares, with share_ before their names; none where it shares nothing."""
    return {} if shares is None else {f"{_SHARED}{name}": array for name, array in shares.arrays().items()}


def restore_shared(shares: ItemShares | None, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Restore what `shared_arrays` gave, if anything is shared, and there is anything."""
    own = {name[len(_SHARED) :]: array for name, array in arrays.items() if name.startswith(_SHARED)}
    if shares is not None and own:
        shares.restore(own)
