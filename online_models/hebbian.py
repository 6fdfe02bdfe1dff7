"""Item-item Hebbian synapses: items are neurons; what fires together in a user's trace wires together.

At an event of user u with item x at time t, the trace is u's last L items y_1 (newest) ... y_L with gains

    g_k = step_decay^(k-1) * (1 + gap_k / gap_scale_s)^(-gap_exponent),     gap_k = t - time of y_k

Test. With activity a(.) (decayed count of a neuron's events) and A the sum of all activities,

    score(c) = sum_k g_k w(y_k, c) / (a(y_k)^p a(c)^q A^(1-p-q)) + popularity_weight * a(c) / A

which has no unit: it does not change when all memory fades alike. Learn, asymmetric as in spike-timing-dependent
plasticity (STDP; Bi & Poo 1998): what fired before x predicts x, the reverse is weaker:

    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1

Everything halves each half-life on the lane's clock; a late event is added with the weight it has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

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
from online_models.model import DecayConfig, Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.ranking import rank_among
from online_models.synapse_view import SynapseView
from online_models.synapses import Synapses, SynapseStore, potentiate, rescale, spread

_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
_NOTHING = 1e-30  # activity below this is forgotten: its inverse powers would overflow


@dataclass(frozen=True)
class HebbianConfig(DecayConfig):
    """See the module for the formulas; gap_scale_s in seconds of event time.

    direct_neurons, row_synapses: see `synapses.SynapseStore`.
    """

    trace_length: int = 20
    step_decay: float = 0.88
    gap_scale_s: float = 120.0
    gap_exponent: float = 0.5
    reverse: float = 0.6
    source_power: float = 0.5
    target_power: float = 0.3
    popularity_weight: float = 0.5
    half_life_events: float = 30_000.0
    half_life_s: float = 365 * 86_400.0
    direct_neurons: int = 4_096
    row_synapses: int = 512

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


class Rule(NamedTuple):
    """`HebbianConfig` for the kernels; half_life in ticks, gap_scale_ms in milliseconds."""

    step_decay: float
    gap_scale_ms: float
    gap_exponent: float
    reverse: float
    source_power: float
    target_power: float
    popularity_weight: float
    half_life: float


class Neurons(NamedTuple):
    """activity: float64[items], forward scale; total: float64[1], its sum; base: int64[1], tick of the scale.

    Read-side caches, float32[items]: level = activity, source_norm = activity^-p, target_norm = activity^-q
    (0 for a neuron without activity).
    """

    activity: NDArray[np.float64]
    total: NDArray[np.float64]
    base: NDArray[np.int64]
    level: NDArray[np.float32]
    source_norm: NDArray[np.float32]
    target_norm: NDArray[np.float32]


@numba.njit(cache=True)
def _refresh(neurons: Neurons, item: int, rule: Rule) -> None:
    """Bring the caches of one neuron up to its activity."""
    activity = neurons.activity[item]
    alive = activity > _NOTHING
    neurons.level[item] = activity if alive else 0.0
    neurons.source_norm[item] = activity**-rule.source_power if alive else 0.0
    neurons.target_norm[item] = activity**-rule.target_power if alive else 0.0


@numba.njit(cache=True)
def _rebase(neurons: Neurons, synapses: Synapses, known: int, now: int, rule: Rule) -> None:
    """Move the forward scale's base to `now`."""
    factor = np.exp2(-((now - neurons.base[0]) / rule.half_life))
    rescale(synapses, known, factor)
    neurons.total[0] *= factor
    neurons.base[0] = now
    for item in range(known):
        neurons.activity[item] *= factor
        _refresh(neurons, item, rule)


@numba.njit(cache=True)
def trace_gains(
    times_ms: NDArray[np.int64], end: int, time_ms: int, rule: Rule, gains: NDArray[np.float64]
) -> None:
    """Gain of each item of the trace, newest first: gains[k] for the item at place end - 1 - k."""
    recency = 1.0
    for k in range(len(gains)):
        gap_ms = max(time_ms - times_ms[end - 1 - k], 0)
        gains[k] = recency * (1.0 + gap_ms / rule.gap_scale_ms) ** -rule.gap_exponent
        recency *= rule.step_decay


@numba.njit(cache=True)
def score_all(
    trace: NDArray[np.int32],
    gains: NDArray[np.float64],
    known: int,
    synapses: Synapses,
    neurons: Neurons,
    rule: Rule,
    out: NDArray[np.float32],
) -> None:
    """Score every known item into out[:known]; trace: int32[len(gains)], oldest first; gains: newest first."""
    out[:known] = 0
    for k in range(len(gains)):
        pre = trace[len(trace) - 1 - k]
        spread(synapses, pre, np.float32(gains[k] * neurons.source_norm[pre]), known, out)
    total = neurons.total[0]
    unit = np.float32(0.0)
    share = np.float32(0.0)
    if total > _NOTHING:
        unit = np.float32(total ** (rule.source_power + rule.target_power - 1.0))
        share = np.float32(rule.popularity_weight / total)
    norm, level = neurons.target_norm, neurons.level
    for item in range(known):
        out[item] = out[item] * norm[item] * unit + level[item] * share


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    synapses: Synapses,
    neurons: Neurons,
    rule: Rule,
    scratch: tuple[NDArray[np.float64], NDArray[np.float32]],
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """scratch: gains float64[trace_length], scores float32[items]."""
    all_gains, scores = scratch
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target, known = events.item[i], events.items[i]
        start = histories.start[events.user[i]]
        end = start + events.seen[i]
        gains = all_gains[: min(len(all_gains), events.seen[i])]
        trace = histories.items[end - len(gains) : end]
        trace_gains(histories.times_ms, end, events.time_ms[i], rule, gains)
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            score_all(trace, gains, known, synapses, neurons, rule, scores)
            ranks[i] = rank_among(scores, known, target, histories.items[start:end], ties_against)
        if (events.now[i] - neurons.base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(neurons, synapses, known, events.now[i], rule)
        unit = np.exp2((events.tick[i] - neurons.base[0]) / rule.half_life)
        for k in range(len(gains)):
            before = trace[len(trace) - 1 - k]
            potentiate(synapses, before, target, np.float32(gains[k] * unit))
            potentiate(synapses, target, before, np.float32(gains[k] * unit * rule.reverse))
        neurons.activity[target] += unit
        neurons.total[0] += unit
        _refresh(neurons, target, rule)


class Hebbian(Model):
    """Item-item Hebbian synapses with decay, traces with time gaps, and STDP asymmetry."""

    name: ClassVar[str] = "hebbian"
    config_type: ClassVar[type[ModelConfig]] = HebbianConfig
    config: HebbianConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._store = SynapseStore(self.config.direct_neurons, self.config.row_synapses)
        self._neurons = _no_neurons()
        self._scores = np.zeros(256, np.float32)
        self._gains = np.zeros(self.config.trace_length, np.float64)
        self._items = 0

    @property
    def _rule(self) -> Rule:
        config = self.config
        return Rule(
            step_decay=config.step_decay,
            gap_scale_ms=config.gap_scale_s * 1000.0,
            gap_exponent=config.gap_exponent,
            reverse=config.reverse,
            source_power=config.source_power,
            target_power=config.target_power,
            popularity_weight=config.popularity_weight,
            half_life=config.half_life_ticks(self.situation.clock),
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
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
            self._rule,
            (self._gains, self._scores),
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, items: int) -> None:
        self._items = max(self._items, items)
        self._store.reserve(self._items)
        self._scores = grown(self._scores, self._items)
        neurons = self._neurons
        self._neurons = neurons._replace(
            activity=grown(neurons.activity, self._items),
            level=grown(neurons.level, self._items),
            source_norm=grown(neurons.source_norm, self._items),
            target_norm=grown(neurons.target_norm, self._items),
        )

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`."""
        out = np.zeros(moment.items, np.float32)
        seen = int(histories.length[user]) if user >= 0 else 0
        end = (int(histories.start[user]) if user >= 0 else 0) + seen
        gains = np.zeros(min(seen, self.config.trace_length), np.float64)
        rule = self._rule
        trace_gains(histories.times_ms, end, moment.time_ms, rule, gains)
        trace = histories.items[end - len(gains) : end]
        score_all(trace, gains, moment.items, self._store.synapses, self._neurons, rule, out)
        return out.astype(np.float64)

    def synapse_view(self, now: int, rows: NDArray[np.int32] | None = None) -> SynapseView:
        """See `Model.synapse_view`: neurons are items, activity is the decayed count of their events."""
        rows = np.arange(self._items, dtype=np.int32) if rows is None else rows
        pre, post, weight = self._store.pairs(rows)
        left = np.exp2(-((now - int(self._neurons.base[0])) / self._rule.half_life))
        activity = self._neurons.activity[: self._items] * left
        return SynapseView("item", rows, pre, post, weight.astype(np.float64) * left, activity)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        if len(items) == self._items:
            return
        self._store.keep(items)
        activity = self._neurons.activity[items]
        total = np.array([activity.sum()])
        self.restore(
            {**self._store.arrays(), "activity": activity, "total": total, "base": self._neurons.base}
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Synapses (see `SynapseStore.arrays`), activity float64[items], total float64[1], base int64[1]."""
        neurons = self._neurons
        return {
            **self._store.arrays(),
            "activity": neurons.activity[: self._items],
            "total": neurons.total,
            "base": neurons.base,
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
        for item in range(items):
            _refresh(self._neurons, item, self._rule)


def _no_neurons() -> Neurons:
    return Neurons(
        activity=np.zeros(256, np.float64),
        total=np.zeros(1, np.float64),
        base=np.zeros(1, np.int64),
        level=np.zeros(256, np.float32),
        source_norm=np.zeros(256, np.float32),
        target_norm=np.zeros(256, np.float32),
    )
