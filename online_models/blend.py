"""The blend: Hebbian parts and popularity in one log-linear score, whose weights are learned on the stream itself.

For a user with potentials v (see `blend_potentials`), at a gap after the user's last event, with fade_m =
(1 + gap / gap_scale_s)^(-gap_exponent_m):

    score(c) = sum_j w_j f_j(c) + fade v_correction(c) + b_age(c) + b_gap(c)

    f_short, f_long = ln(1 + fade v(c) / (prior * pi(c)))   co-activation beside what is expected by chance
    f_lift          = fade v_lift(c)                        every item of the trace has its own say: naive Bayes
    f_trend         = ln P(c)                               a mixture of popularities (see `blend_trends`)
    f_recency       = log2(events since c was last taken), linear between powers of 2
    f_age           = ln(1 + how often users with as many items took c)

Learn, with the user's last items y_1 (newest), y_2, ... and gains g_k = step_decay^(k-1) (1 + gap_k /
gap_scale_s)^(-gap_exponent), for short and for long synapses each with its own parameters, asymmetric as in
spike-timing-dependent plasticity (STDP; Bi & Poo 1998):

    w(y_k, x) += g_k        w(x, y_k) += reverse * g_k        a(x) += 1

and from the error of the softmax over the candidates: the weights w_j, the corrective synapses v(y_k, .) and the
biases b (see `blend_weights`). Counts halve each half-life on the lane's clock, and a late event is added with the
weight it has left; what is learned from errors is unlearned by errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from online_models.ageing import Ageing
from online_models.blend_config import BlendConfig, rule_of
from online_models.blend_kernel import refresh_all_taken, score_user, test_then_learn
from online_models.blend_member import add_member, no_member, with_room
from online_models.blend_potentials import NOBODY, Neurons, no_potentials
from online_models.blend_state import PARTS, State, scratch_for
from online_models.blend_trends import no_trends
from online_models.blend_weights import AGES, CONTEXTS, GAPS, Weights
from online_models.drift import Drift
from online_models.ids import grown
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.model import Model, ModelConfig, Situation
from online_models.synapses import SynapseStore


class Blend(Model):
    """A log-linear blend of Hebbian parts and popularity, weighted online per context."""

    name: ClassVar[str] = "blend"
    reads_ratings: ClassVar[bool] = False
    config_type: ClassVar[type[ModelConfig]] = BlendConfig
    config: BlendConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._rule = rule_of(self.config, self.situation.clock)
        self._asked = scratch_for(256)  # of `scores`, which must not touch what learning works with
        self._start()

    def _start(self) -> None:
        config = self.config
        self._items = 0
        self._ageing = Ageing(config, self.situation.clock)
        self._stores = {
            name: SynapseStore(config.direct_neurons, config.row_synapses)
            for name in ("short", "long", "correction")
        }
        weights = Weights(np.zeros((CONTEXTS, len(PARTS))), np.zeros((CONTEXTS, len(PARTS))))
        weights.value[0] = config.first_weights
        self._state = State(
            neurons=Neurons(
                **{name: store.synapses for name, store in self._stores.items()},
                activity=np.zeros(256, np.float32),
                short_sum=np.zeros(256, np.float32),
                long_sum=np.zeros(256, np.float32),
                total=np.zeros(1, np.float64),
                base=np.zeros(1, np.int64),
            ),
            potentials=no_potentials(config.slots),
            trends=no_trends(len(config.trend_half_lives_events)),
            weights=weights,
            bias=np.zeros((AGES + GAPS, 256), np.float32),
            taken=np.zeros((AGES, 256), np.float32),
            taken_log=np.zeros((AGES, 256), np.float32),
            last=np.zeros(256, np.float64),
            learned=np.zeros(1, np.int64),
            due=np.zeros(1, np.int64),
            member=no_member(),
        )
        self._scratch = scratch_for(256)

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        if not self._items:
            self._state.neurons.base[0] = events.now[0]
            self._state.trends.base[:] = events.now[0]
        # The layout changes between two events, wherever the block happens to be cut.
        room = self._stores["short"].room_until(int(events.item.max()) + 1)
        cut = int(np.argmax(events.item >= room)) if (events.item >= room).any() else len(events.user)
        if self._state.due[0]:
            self._unlearn()
        aged = self._ageing.age(events)
        if cut == len(events.user):
            self._learn(aged, events, histories, out)
            return
        for start, end in ((0, cut), (cut, len(events.user))):
            self._learn(aged.part(start, end), events.part(start, end), histories, out.part(start, end))

    def _learn(
        self, events: Interactions, undrifted: Interactions, histories: Histories, out: Predictions
    ) -> None:
        if not len(events.user):
            return
        self._reserve(int(events.item.max()) + 1)
        test_then_learn(
            events,
            undrifted,
            histories,
            self._state,
            self._rule,
            self._scratch,
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, items: int) -> None:
        if items <= self._items:
            return
        self._items = items
        for store in self._stores.values():
            store.reserve(items)
        state, neurons = self._state, self._state.neurons
        potentials, trends = state.potentials, state.trends
        self._state = state._replace(
            neurons=neurons._replace(
                short=self._stores["short"].synapses,
                long=self._stores["long"].synapses,
                correction=self._stores["correction"].synapses,
                activity=grown(neurons.activity, items),
                short_sum=grown(neurons.short_sum, items),
                long_sum=grown(neurons.long_sum, items),
            ),
            potentials=potentials._replace(value=_widened(potentials.value, items)),
            trends=trends._replace(level=_widened(trends.level, items)),
            bias=_widened(state.bias, items),
            taken=_widened(state.taken, items),
            taken_log=_widened(state.taken_log, items),
            last=grown(state.last, items),
        )
        if len(self._scratch.scores) < items:
            self._scratch = scratch_for(len(self._state.last))

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: of the log-linear score, as it stands at `moment`."""
        known = moment.items
        if not known:
            return np.zeros(0)
        if len(self._asked.scores) < known:
            self._asked = scratch_for(2 * known)
        state, scratch = self._state, self._asked
        aged = moment._replace(now=self._ageing.at(moment.now))
        contexts = score_user(user, aged, histories, state, self._rule, scratch)
        if state.member.encoder.adopted:
            start, seen = (int(histories.start[user]), int(histories.length[user])) if user >= 0 else (0, 0)
            had = slice(start, start + seen)
            add_member(
                with_room(state.member, known),
                histories.items[had],
                histories.times_ms[had],
                moment.time_ms,
                contexts,
                known,
                scratch.scores,
            )
        return scratch.scores[:known].astype(np.float64)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`; the potentials of users who stay go with them."""
        owner = self._state.potentials.owner
        self._vacate(~np.isin(owner, users))
        taken = owner != NOBODY
        owner[taken] = np.searchsorted(users, owner[taken])
        if len(items) == self._items:
            return
        for store in self._stores.values():
            store.keep(items)
        arrays = self.arrays()
        for name in self._per_item():
            arrays[name] = arrays[name][..., items]
        arrays["total"] = np.array([arrays["activity"].sum(dtype=np.float64)])
        arrays["trend_total"] = arrays["trend_level"].sum(axis=1, dtype=np.float64)
        self.restore(arrays)

    def forget_user(self, user: int) -> None:
        """See `Model.forget_user`: the user's potentials go."""
        self._vacate(self._state.potentials.owner == user)

    def retract(self, user: int, item: int) -> None:
        """See `Model.retract`: the user's potentials are integrated anew, from the history without the item."""
        self._vacate(self._state.potentials.owner == user)

    def adapt(self, drift: Drift) -> None:
        """See `Model.adapt` and `Ageing.adapt`; what errors taught has no clock, and fades at the next event."""
        if self._ageing.adapt(drift):
            self._state.due[0] += 1

    def _unlearn(self) -> None:
        """Let what errors taught fade at once by what counts will have faded after the drifts that are due."""
        state = self._state
        left = np.float32(2.0 ** -(self.config.drift_half_lives * int(state.due[0])))
        for array in (state.neurons.correction.weight, state.bias, state.taken):
            np.multiply(array, left, out=array)
        self._refresh_taken()
        self._vacate(np.ones(len(state.potentials.owner), np.bool_))
        state.due[0] = 0

    def _refresh_taken(self) -> None:
        refresh_all_taken(self._state, self._items)

    def _vacate(self, slots: NDArray[np.bool_]) -> None:
        potentials = self._state.potentials
        potentials.value[slots] = 0
        potentials.owner[slots] = NOBODY
        potentials.used[slots] = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Synapses as in `SynapseStore.arrays`, with short_, long_ or correction_ before the name.

        The others as in `Neurons`, `Potentials`, `Trends` (trend_...), `Weights` (weight_...) and `State`.
        """
        n = self._items
        named = {
            f"{kind}_{name}": array
            for kind, store in self._stores.items()
            for name, array in store.arrays().items()
        }
        return {
            **named,
            **{name: array[..., :n] for name, array in self._per_item().items()},
            **self._others(),
        }

    def _per_item(self) -> dict[str, NDArray[Any]]:
        """Arrays whose last axis is items, with spare capacity."""
        state, neurons = self._state, self._state.neurons
        return {
            "activity": neurons.activity,
            "short_sum": neurons.short_sum,
            "long_sum": neurons.long_sum,
            "potential": state.potentials.value,
            "trend_level": state.trends.level,
            "bias": state.bias,
            "taken": state.taken,
            "last": state.last,
        }

    def _others(self) -> dict[str, NDArray[Any]]:
        """Arrays of a fixed size."""
        state = self._state
        return {
            "total": state.neurons.total,
            "base": state.neurons.base,
            "potential_owner": state.potentials.owner,
            "potential_used": state.potentials.used,
            "trend_total": state.trends.total,
            "trend_base": state.trends.base,
            "trend_share": state.trends.share,
            "weight_value": state.weights.value,
            "weight_squares": state.weights.squares,
            "learned": state.learned,
            "due": state.due,
            "ageing": self._ageing.state,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        items = len(arrays["activity"])
        for kind, store in self._stores.items():
            store.restore({name: arrays[f"{kind}_{name}"] for name in ("weight", "post", "used", "lost")})
        self._reserve(items)
        for name, array in self._per_item().items():
            array[..., :items] = arrays[name]
        for name, array in self._others().items():
            array[:] = arrays[name]
        self._refresh_taken()


def _widened(array: NDArray[Any], items: int) -> NDArray[Any]:
    """Like `grown`, for arrays whose last axis is items."""
    have = array.shape[-1]
    if items <= have:
        return array
    # Not a power of 2: the same column of all rows would share few places of a cache.
    wide = max(items, 2 * have) // 64 * 64 + 80
    wider = np.zeros((*array.shape[:-1], wide), array.dtype)
    wider[..., :have] = array
    return wider
