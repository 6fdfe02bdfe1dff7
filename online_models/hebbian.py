"""Item-item Hebbian synapses: items are neurons; what fires together in a user's trace wires together.

Test. A user's membrane potentials v(.) are charged by the items that the user took (see `hebbian_potentials`). At an
event at time t, with activity a(.) (decayed count of a neuron's events), A the sum of all activities, r = synapse_power,

    score(c) = fade(t - time of the user's last item) * v(c) / (a(c)^q A^(r-p-q)) + popularity_weight * (a(c) / A)^r

which has no unit: it does not change when all memory fades alike. r = 1/2 is the square root that evens out the noise of
counts (Bartlett 1936): several synapses that agree count for more than a single strong one. Learn. The trace of user u at an event with item x is
u's last L items y_1 (newest) ... y_L with gains

    g_k = step_decay^(k-1) * fade(t - time of y_k),          fade(gap) = (1 + gap / gap_scale_s)^(-gap_exponent)

and asymmetric as in spike-timing-dependent plasticity (STDP; Bi & Poo 1998): what fired before x predicts x, the
reverse is weaker:

    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1

Everything halves each half-life on the lane's clock, and faster for a while after a drift (`ageing`); a late event is
added with the weight it has left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from online_models.activity_order import ActivityOrder, fill, no_order, with_room
from online_models.ageing import AdaptiveDecayConfig, Ageing
from online_models.drift import Drift
from online_models.hebbian_kernel import Scratch, State, test_then_learn
from online_models.hebbian_potentials import (
    NOBODY,
    Asker,
    free_slots,
    slot_apart,
    vacate,
)
from online_models.hebbian_rule import Neurons, Rule, refresh
from online_models.hebbian_scores import score_all
from online_models.ids import grown, widened
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.item_shares import ItemShares, Whole, restore_shared, shared_arrays
from online_models.model import Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.synapse_view import SynapseView
from online_models.synapses import SynapseStore


@dataclass(frozen=True)
class HebbianConfig(AdaptiveDecayConfig):
    """See the module for the formulas, and `AdaptiveDecayConfig`; gap_scale_s in seconds of event time.

    trace_length: L. synapse_power: r, 0.5 or 1. slots, recall_length (items), recall_every (charges): see `hebbian_potentials`.
    direct_neurons, row_synapses: see `synapses.SynapseStore`.
    """

    trace_length: int = 20
    step_decay: float = 0.92
    gap_scale_s: float = 60.0
    gap_exponent: float = 0.5
    reverse: float = 0.6
    synapse_power: float = 0.5
    source_power: float = 0.2
    target_power: float = 0.25
    popularity_weight: float = 1.5
    half_life_events: float = 500_000.0
    half_life_s: float = 365 * 86_400.0
    slots: int = 64
    recall_length: int = 20
    recall_every: int = 64
    # After a large fall 1/64 is left of what was, 3,000 events later: what long memory holds of a world that is gone.
    drift_pace: int = 1_000
    drift_half_lives: float = 6.0
    direct_neurons: int = 4_096
    row_synapses: int = 256

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "trace_length", "slots", "recall_length", "recall_every", "row_synapses", least=1)
        check_range(self, "direct_neurons", least=0)
        check_range(self, "step_decay", above=0, most=1)
        check_range(self, "gap_scale_s", above=0)
        check_range(
            self, "gap_exponent", "reverse", "source_power", "target_power", "popularity_weight", least=0
        )
        if self.synapse_power not in (0.5, 1.0):
            raise ValueError(f"synapse_power is {self.synapse_power!r}, expected 0.5 or 1")


_PER_SLOT = ("left", "owner", "charges", "used", "uses")


class Hebbian(Model):
    """Item-item Hebbian synapses with decay, traces with time gaps, and STDP asymmetry."""

    name: ClassVar[str] = "hebbian"
    reads_ratings: ClassVar[bool] = False
    shares_items: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = HebbianConfig
    config: HebbianConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._shares: ItemShares | None = None
        self._start()

    def _start(self) -> None:
        config = self.config
        self._items = 0
        self._ageing = Ageing(config, self.situation.clock)
        self._store = SynapseStore(config.direct_neurons, config.row_synapses)
        potentials = free_slots(config.slots, 256 if self._store.is_direct else 0)
        self._state = State(self._store.synapses, _no_neurons(), potentials, no_order(0))
        self._scratch = Scratch(
            np.zeros(config.trace_length, np.float64),
            np.zeros(256, np.float32),
            np.zeros(257, np.int32),
            np.zeros(1, np.int32),
        )

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
            recall_length=config.recall_length,
            recall_every=config.recall_every,
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        n = len(events.user)
        if not n:
            return
        events = self._ageing.age(events)
        if self._shares is not None:
            self._shares.learn(events, histories, self._rule, self.config.trace_length)
        if not self._items:
            self._state.neurons.base[0] = events.now[0]
        cut = self._store.fitting(events.item)
        if cut == n:
            self._learn(events, histories, out)
            return
        self._learn(events.part(0, cut), histories, out.part(0, cut))
        self._learn(events.part(cut, n), histories, out.part(cut, n))

    def _learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        if not len(events.user):
            return
        self._reserve(int(events.item.max()) + 1)
        ties_against = self.situation.ties_against
        test_then_learn(events, histories, self._state, self._rule, self._scratch, ties_against, out.ranks)

    def _reserve(self, items: int) -> None:
        before, was_direct = self._items, self._store.is_direct
        if items <= before:
            return
        self._items = items
        self._store.reserve(self._items)
        _, neurons, potentials, order = self._state
        neurons = neurons._replace(
            activity=grown(neurons.activity, self._items),
            level=grown(neurons.level, self._items),
            source_norm=grown(neurons.source_norm, self._items),
            target_norm=grown(neurons.target_norm, self._items),
        )
        if self._store.is_direct:
            potentials = potentials._replace(value=widened(potentials.value, self._items))
        else:
            if was_direct:
                order, potentials = _order_of(neurons.level[:before]), free_slots(self.config.slots, 0)
            order = with_room(order, self._items)
        self._state = State(self._store.synapses, neurons, potentials, order)
        self._scratch = self._scratch._replace(
            silence=grown(self._scratch.silence, self._items),
            touched=grown(self._scratch.touched, self._items + 1),
        )

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`."""
        out = np.zeros(moment.items, np.float32)
        seen = int(histories.length[user]) if user >= 0 else 0
        asker = Asker(user, int(histories.start[user]) + seen if seen else 0, seen, moment.items)
        state = self._state
        score_all(
            slot_apart(state.potentials, user),
            asker,
            moment.time_ms,
            histories,
            state.synapses,
            state.neurons,
            self._rule,
            out,
        )
        return out.astype(np.float64)

    def synapse_view(self, now: int, rows: NDArray[np.int32] | None = None) -> SynapseView:
        """See `Model.synapse_view`: neurons are items, activity is the decayed count of their events."""
        neurons = self._state.neurons
        rows = np.arange(self._items, dtype=np.int32) if rows is None else rows
        pre, post, weight = self._store.pairs(rows)
        left = np.exp2(-((self._ageing.at(now) - int(neurons.base[0])) / self._rule.half_life))
        activity = neurons.activity[: self._items] * left
        return SynapseView("item", rows, pre, post, weight.astype(np.float64) * left, activity)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`; the potentials of users who stay go with them, unless items are dropped."""
        owner = self._state.potentials.owner
        self._vacate(~np.isin(owner, users))
        taken = owner != NOBODY
        owner[taken] = np.searchsorted(users, owner[taken])
        if len(items) == self._items:
            return
        if self._shares is not None:
            self._shares.keep(items)
        # Their histories have changed.
        self._vacate(taken)
        self._store.keep(items)
        arrays = self.arrays()
        arrays["activity"] = arrays["activity"][items]
        arrays["total"] = np.array([arrays["activity"].sum()])
        if self._store.is_direct:
            arrays["potential"] = arrays["potential"][:, items]
        self.restore(arrays)

    def forget_user(self, user: int) -> None:
        """See `Model.forget_user`: the user's potentials go."""
        self._vacate(self._state.potentials.owner == user)

    def retract(self, user: int, item: int) -> None:
        """See `Model.retract`: the user is integrated anew, from the history without the item."""
        self._vacate(self._state.potentials.owner == user)

    def adapt(self, drift: Drift) -> None:
        """See `Model.adapt` and `Ageing.adapt`."""
        self._ageing.adapt(drift)

    def share(self) -> None:
        """See `Model.share`."""
        config = self.config
        self._shares = ItemShares(self._rule.half_life, config.direct_neurons, config.row_synapses)

    @property
    def shares(self) -> ItemShares | None:
        """See `Model.shares`."""
        return self._shares

    def clock_ahead(self, now: int) -> int:
        """See `Model.clock_ahead`."""
        return self._ageing.at(now) - now

    def adopt_items(self, items: int, rows: NDArray[np.int32]) -> None:
        """See `Model.adopt_items`; potentials keep what they were charged with."""
        assert self._shares is not None
        self._shares.reserve(items)
        if not self._items:
            self._state.neurons.base[0] = self._shares.newest_base(rows)
        self._reserve(items)
        neurons = self._state.neurons
        self._shares.mix(rows, Whole(neurons.activity, self._store.synapses, int(neurons.base[0])))
        neurons.total[0] = neurons.activity[:items].sum()
        refresh(neurons, items, self._rule)
        if not self._store.is_direct:
            order = with_room(_order_of(neurons.level[:items]), items)
            self._state = self._state._replace(order=order)

    def _vacate(self, slots: NDArray[np.bool_]) -> None:
        vacate(self._state.potentials, slots)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Synapses (see `SynapseStore.arrays`), activity float64[items], total float64[1], base int64[1].

        ageing: see `Ageing`. What is shared: `ItemShares.arrays`, with share_ before the name. Potentials as in `Potentials`, with potential_ before the name; of no items in the bounded layout.
        """
        neurons, potentials = self._state.neurons, self._state.potentials
        return {
            **self._store.arrays(),
            "activity": neurons.activity[: self._items],
            "total": neurons.total,
            "base": neurons.base,
            "ageing": self._ageing.state,
            "potential": potentials.value[:, : self._items],
            **{f"potential_{name}": getattr(potentials, name) for name in _PER_SLOT},
            **shared_arrays(self._shares),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        self._store.restore(arrays)
        if not self._store.is_direct:
            self._state = self._state._replace(potentials=free_slots(self.config.slots, 0))
        items = len(arrays["activity"])
        self._reserve(items)
        _, neurons, potentials, _ = self._state
        neurons.activity[:items] = arrays["activity"]
        neurons.total[:] = arrays["total"]
        neurons.base[:] = arrays["base"]
        self._ageing.state[:] = arrays["ageing"]
        potentials.value[:, : arrays["potential"].shape[1]] = arrays["potential"]
        for name in _PER_SLOT:
            getattr(potentials, name)[:] = arrays[f"potential_{name}"]
        restore_shared(self._shares, arrays)
        refresh(neurons, items, self._rule)
        if not self._store.is_direct:
            order = with_room(_order_of(neurons.level[:items]), items)
            self._state = self._state._replace(order=order)


def _no_neurons() -> Neurons:
    return Neurons(
        activity=np.zeros(256, np.float64),
        total=np.zeros(1, np.float64),
        base=np.zeros(1, np.int64),
        level=np.zeros(256, np.float32),
        source_norm=np.zeros(256, np.float32),
        target_norm=np.zeros(256, np.float32),
    )


def _order_of(levels: NDArray[np.float32]) -> ActivityOrder:
    order = no_order(len(levels))
    fill(order, np.sort(levels))
    return order
