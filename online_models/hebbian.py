"""Item-item Hebbian synapses: items are neurons; what fires together in a user's trace wires together.

At an event of user u with item x at time t, the trace is u's last L items y_1 (newest) ... y_L with gains

    g_k = step_decay^(k-1) * (1 + gap_k / gap_scale_s)^(-gap_exponent),     gap_k = t - time of y_k

Test. With activity a(.) (decayed count of a neuron's events), A the sum of all activities, and r = synapse_power,

    score(c) = sum_k g_k w(y_k, c)^r / (a(y_k)^p a(c)^q A^(r-p-q)) + popularity_weight * (a(c) / A)^r

which has no unit: it does not change when all memory fades alike. r = 1/2 is the square root that evens out the noise of
counts (Bartlett 1936): several synapses that agree count for more than a single strong one. Learn, asymmetric as in spike-timing-dependent
plasticity (STDP; Bi & Poo 1998): what fired before x predicts x, the reverse is weaker:

    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1

Everything halves each half-life on the lane's clock, and faster for a while after a drift (`ageing`); a late event is
added with the weight it has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.activity_order import ActivityOrder, fill, insert, no_order, remove, with_room
from online_models.ageing import AdaptiveDecayConfig, Ageing
from online_models.drift import Drift
from online_models.hebbian_scores import (
    Candidates,
    Neurons,
    Rule,
    Scratch,
    rank_bounded,
    rank_direct,
    refresh,
    score_all,
    trace_gains,
)
from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.model import Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.synapse_view import SynapseView
from online_models.synapses import Synapses, SynapseStore, potentiate, rescale

_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128


@dataclass(frozen=True)
class HebbianConfig(AdaptiveDecayConfig):
    """See the module for the formulas, and `AdaptiveDecayConfig`; gap_scale_s in seconds of event time.

    synapse_power: 0.5 or 1. direct_neurons, row_synapses: see `synapses.SynapseStore`.
    """

    trace_length: int = 16
    step_decay: float = 0.88
    gap_scale_s: float = 60.0
    gap_exponent: float = 0.5
    reverse: float = 0.6
    synapse_power: float = 0.5
    source_power: float = 0.25
    target_power: float = 0.25
    popularity_weight: float = 1.5
    half_life_events: float = 500_000.0
    half_life_s: float = 365 * 86_400.0
    # After a large fall 1/64 is left of what was, 3,000 events later: what long memory holds of a world that is gone.
    drift_pace: int = 1_000
    drift_half_lives: float = 6.0
    direct_neurons: int = 4_096
    row_synapses: int = 256

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "trace_length", "row_synapses", least=1)
        check_range(self, "direct_neurons", least=0)
        check_range(self, "step_decay", above=0, most=1)
        check_range(self, "gap_scale_s", above=0)
        check_range(
            self, "gap_exponent", "reverse", "source_power", "target_power", "popularity_weight", least=0
        )
        if self.synapse_power not in (0.5, 1.0):
            raise ValueError(f"synapse_power is {self.synapse_power!r}, expected 0.5 or 1")


@numba.njit(cache=True)
def _rebase(
    neurons: Neurons, synapses: Synapses, order: ActivityOrder, known: int, now: int, rule: Rule
) -> None:
    """Move the forward scale's base to `now`."""
    factor = np.exp2(-((now - neurons.base[0]) / rule.half_life))
    rescale(synapses, known, factor)
    neurons.total[0] *= factor
    neurons.base[0] = now
    for item in range(known):
        neurons.activity[item] *= factor
        refresh(neurons, item, rule)
    if len(synapses.post) > 0:
        fill(order, np.sort(neurons.level[:known]))


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    synapses: Synapses,
    neurons: Neurons,
    order: ActivityOrder,
    rule: Rule,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    bounded = len(synapses.post) > 0
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target, known = events.item[i], events.items[i]
        start = histories.start[events.user[i]]
        end = start + events.seen[i]
        length = min(len(scratch.gains), events.seen[i])
        gains = scratch.gains[:length]
        trace = histories.items[end - length : end][::-1]
        trace_gains(histories.times_ms, end, events.time_ms[i], rule, gains)
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            had = histories.items[start:end]
            candidates = Candidates(known, target, had, ties_against)
            if bounded:
                ranks[i] = rank_bounded(trace, candidates, synapses, neurons, order, rule, scratch)
            else:
                ranks[i] = rank_direct(trace, candidates, synapses, neurons, rule, scratch)
        if (events.now[i] - neurons.base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(neurons, synapses, order, known, events.now[i], rule)
        unit = np.exp2((events.tick[i] - neurons.base[0]) / rule.half_life)
        for k in range(length):
            before = trace[k]
            potentiate(synapses, before, target, np.float32(gains[k] * unit))
            potentiate(synapses, target, before, np.float32(gains[k] * unit * rule.reverse))
        if bounded and target < known:
            remove(order, neurons.level[target])
        neurons.activity[target] += unit
        neurons.total[0] += unit
        refresh(neurons, target, rule)
        if bounded:
            insert(order, neurons.level[target])


class Hebbian(Model):
    """Item-item Hebbian synapses with decay, traces with time gaps, and STDP asymmetry."""

    name: ClassVar[str] = "hebbian"
    config_type: ClassVar[type[ModelConfig]] = HebbianConfig
    config: HebbianConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._store = SynapseStore(self.config.direct_neurons, self.config.row_synapses)
        self._neurons = _no_neurons()
        self._order = no_order(0)
        self._scratch = self._no_scratch(256)
        self._ageing = Ageing(self.config, self.situation.clock)
        self._items = 0

    @property
    def _rule(self) -> Rule:
        config = self.config
        return Rule(
            step_decay=config.step_decay,
            gap_scale_ms=config.gap_scale_s * 1000.0,
            gap_exponent=config.gap_exponent,
            reverse=config.reverse,
            synapse_power=config.synapse_power,
            source_power=config.source_power,
            target_power=config.target_power,
            popularity_weight=config.popularity_weight,
            half_life=config.half_life_ticks(self.situation.clock),
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        events = self._ageing.age(events)
        if not self._items:
            self._neurons.base[0] = events.now[0]
        # The layout changes between two events, wherever the block happens to be cut.
        room = self._store.room_until(int(events.item.max()) + 1)
        cut = int(np.argmax(events.item >= room)) if (events.item >= room).any() else len(events.user)
        self._learn(events.part(0, cut), histories, out.part(0, cut))
        self._learn(events.part(cut, len(events.user)), histories, out.part(cut, len(events.user)))

    def _learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        if not len(events.user):
            return
        self._reserve(int(events.item.max()) + 1)
        _test_then_learn(
            events,
            histories,
            self._store.synapses,
            self._neurons,
            self._order,
            self._rule,
            self._scratch,
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, items: int) -> None:
        before, was_direct = self._items, self._store.is_direct
        self._items = max(before, items)
        self._store.reserve(self._items)
        neurons = self._neurons
        self._neurons = neurons._replace(
            activity=grown(neurons.activity, self._items),
            level=grown(neurons.level, self._items),
            source_norm=grown(neurons.source_norm, self._items),
            target_norm=grown(neurons.target_norm, self._items),
        )
        if self._items > len(self._scratch.excited):
            self._scratch = self._no_scratch(max(self._items, 2 * len(self._scratch.excited)))
        if not self._store.is_direct:
            if was_direct:
                self._scratch.excited[:] = 0
                self._put_in_order(before)
            self._order = with_room(self._order, self._items)

    def _put_in_order(self, items: int) -> None:
        """Take the levels of the first `items` items into an order of their own."""
        self._order = no_order(items)
        fill(self._order, np.sort(self._neurons.level[:items]))

    def _no_scratch(self, items: int) -> Scratch:
        length = self.config.trace_length
        return Scratch(
            np.zeros(length, np.float64),
            np.zeros(length, np.float32),
            np.zeros(items, np.float32),
            np.zeros(items + 1, np.int32),
            np.zeros(1, np.int32),
        )

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`."""
        out = np.zeros(moment.items, np.float32)
        seen = int(histories.length[user]) if user >= 0 else 0
        end = (int(histories.start[user]) if user >= 0 else 0) + seen
        length = min(seen, self.config.trace_length)
        scratch, rule = self._scratch._replace(gains=self._scratch.gains[:length]), self._rule
        trace_gains(histories.times_ms, end, moment.time_ms, rule, scratch.gains)
        trace = histories.items[end - length : end][::-1]
        score_all(trace, moment.items, self._store.synapses, self._neurons, rule, scratch, out)
        return out.astype(np.float64)

    def synapse_view(self, now: int, rows: NDArray[np.int32] | None = None) -> SynapseView:
        """See `Model.synapse_view`: neurons are items, activity is the decayed count of their events."""
        rows = np.arange(self._items, dtype=np.int32) if rows is None else rows
        pre, post, weight = self._store.pairs(rows)
        left = np.exp2(-((self._ageing.at(now) - int(self._neurons.base[0])) / self._rule.half_life))
        activity = self._neurons.activity[: self._items] * left
        return SynapseView("item", rows, pre, post, weight.astype(np.float64) * left, activity)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        if len(items) == self._items:
            return
        self._store.keep(items)
        activity = self._neurons.activity[items]
        total = np.array([activity.sum()])
        self.restore({**self.arrays(), **self._store.arrays(), "activity": activity, "total": total})

    def adapt(self, drift: Drift) -> None:
        """See `Model.adapt` and `Ageing.adapt`."""
        self._ageing.adapt(drift)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Synapses (see `SynapseStore.arrays`), activity float64[items], total float64[1], base int64[1].

        ageing: see `Ageing`.
        """
        neurons = self._neurons
        return {
            **self._store.arrays(),
            "activity": neurons.activity[: self._items],
            "total": neurons.total,
            "base": neurons.base,
            "ageing": self._ageing.state,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        items = len(arrays["activity"])
        self._store.restore(arrays)
        self._neurons = _no_neurons()
        self._items = 0
        self._reserve(items)
        self._neurons.activity[:items] = arrays["activity"]
        self._neurons.total[:] = arrays["total"]
        self._neurons.base[:] = arrays["base"]
        self._ageing.state[:] = arrays["ageing"]
        for item in range(items):
            refresh(self._neurons, item, self._rule)
        if not self._store.is_direct:
            self._put_in_order(items)


def _no_neurons() -> Neurons:
    return Neurons(
        activity=np.zeros(256, np.float64),
        total=np.zeros(1, np.float64),
        base=np.zeros(1, np.int64),
        level=np.zeros(256, np.float32),
        source_norm=np.zeros(256, np.float32),
        target_norm=np.zeros(256, np.float32),
    )
