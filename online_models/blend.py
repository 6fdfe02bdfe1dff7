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
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.blend_potentials import (
    CORRECTION,
    KINDS,
    LIFT,
    LONG,
    NOBODY,
    SHORT,
    Leaks,
    Neurons,
    Potentials,
    charge,
    claim,
    fade,
    no_potentials,
    recall,
    slot_of,
)
from online_models.blend_trends import Trends, adapt_shares, add_to_trends, no_trends, trend
from online_models.blend_weights import (
    AGES,
    CONTEXTS,
    GAPS,
    TAKEN,
    Weights,
    age_class,
    correct,
    gap_class,
    rivals_of,
    softmax,
    step_weights,
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
from online_models.model import DecayConfig, Model, ModelConfig, Situation
from online_models.polynomials import log_in_place, rough_log2_in_place
from online_models.ranking import rank_among
from online_models.synapses import Synapses, SynapseStore, potentiate, rescale

PARTS = ("short", "long", "lift", "trend", "recency", "age")
_F_SHORT, _F_LONG, _F_LIFT, _F_TREND, _F_RECENCY, _F_AGE = range(len(PARTS))
_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
_PRIOR_COUNT = 0.1  # events that an item is believed to have had before the first
_NOTHING = 1e-30


@dataclass(frozen=True)
class BlendConfig(DecayConfig):
    """See the module for the formulas; one set for all streams, what differs between them is learned.

    Potentials: leak and gap_exponent of short, long, lift, correction; slots: how many users have potentials.
    Learning: short_ and long_ of length (items), step_decay, gap_exponent, reverse. Priors in events.
    trend_half_lives_events, trend_half_lives_s: of the parts of the trend, beside the synapses' half-life.
    correction_rate, correction_length (items), correction_least (probability), bias_share (of the rate).
    direct_neurons, row_synapses: see `synapses.SynapseStore`.
    """

    half_life_events: float = 200_000.0
    half_life_s: float = 2 * 365 * 86_400.0
    trend_half_lives_events: tuple[float, ...] = (50.0, 300.0, 2_000.0, 20_000.0)
    trend_half_lives_s: tuple[float, ...] = (3_600.0, 6 * 3_600.0, 2 * 86_400.0, 14 * 86_400.0)
    leak: tuple[float, float, float, float] = (0.8, 0.98, 0.8, 0.95)
    gap_exponent: tuple[float, float, float, float] = (0.5, 0.05, 0.8, 0.05)
    gap_scale_s: float = 60.0
    slots: int = 64
    recall_length: int = 12
    short_length: int = 12
    short_step_decay: float = 0.88
    short_gap_exponent: float = 0.5
    short_reverse: float = 0.5
    long_length: int = 20
    long_step_decay: float = 0.94
    long_gap_exponent: float = 0.0
    long_reverse: float = 1.0
    short_prior: float = 3.0
    long_prior: float = 10.0
    lift_prior: float = 100.0
    first_weights: tuple[float, float, float, float, float, float] = (0.5, 0.5, 0.3, 0.8, -0.03, 0.1)
    weight_rate: float = 0.05
    share_rate: float = 0.001
    correction_rate: float = 0.05
    correction_length: int = 16
    correction_least: float = 0.005
    bias_share: float = 0.2
    direct_neurons: int = 4_096
    row_synapses: int = 256

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        for name in ("slots", "recall_length", "short_length", "long_length", "correction_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected 1 or more")
        for name in ("trend_half_lives_events", "trend_half_lives_s"):
            if not all(half_life > 0 for half_life in getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected more than 0")
        if len(self.trend_half_lives_events) != len(self.trend_half_lives_s):
            raise ValueError("trend_half_lives_events and trend_half_lives_s are not equally many")


class Trace(NamedTuple):
    """How synapses of one kind learn along the user's last items; see the module."""

    length: int
    step_decay: float
    gap_exponent: float
    reverse: float


class Rule(NamedTuple):
    """`BlendConfig` for the kernels; half_life, trend_half_lives (float64[H]) in ticks."""

    half_life: float
    trend_half_lives: NDArray[np.float64]
    leaks: Leaks
    short: Trace
    long: Trace
    short_prior: float
    long_prior: float
    weight_rate: float
    share_rate: float
    correction_rate: float
    correction_length: int
    correction_least: float
    bias_share: float


class State(NamedTuple):
    """What is learned, but for the synapses' layout.

    bias: float32[AGES + GAPS, items]. taken: float32[AGES, items], how often by users of that age; taken_log: its
    read-side cache ln(1 + taken). last: float64[items], number of the event that took it; learned: int64[1], events.
    """

    neurons: Neurons
    potentials: Potentials
    trends: Trends
    weights: Weights
    bias: NDArray[np.float32]
    taken: NDArray[np.float32]
    taken_log: NDArray[np.float32]
    last: NDArray[np.float64]
    learned: NDArray[np.int64]


class Scratch(NamedTuple):
    """features: float32[parts, items]; scores, ones, own: float32[items]; rows: float32[2, items].

    value: float32[KINDS, items], potentials of who has no slot. rivals: int32[items + 1].
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    ones: NDArray[np.float32]
    rows: NDArray[np.float32]
    value: NDArray[np.float32]
    rivals: NDArray[np.int32]


@numba.njit(cache=True)
def _unit(neurons: Neurons, tick: int, rule: Rule) -> float:
    """What an event at `tick` weighs on the forward scale."""
    return float(np.exp2((tick - neurons.base[0]) / rule.half_life))


@numba.njit(cache=True)
def _refresh(state: State, age: int, item: int) -> None:
    """Bring the cache of `taken` up to date."""
    state.taken_log[age, item] = np.log1p(state.taken[age, item])


@numba.njit(cache=True)
def _rebase(state: State, known: int, now: int, rule: Rule) -> None:
    """Move the synapses' forward scale to `now`; potentials are on its square root."""
    neurons = state.neurons
    factor = np.exp2(-((now - neurons.base[0]) / rule.half_life))
    rescale(neurons.short, known, factor)
    rescale(neurons.long, known, factor)
    small, root = np.float32(factor), np.float32(np.sqrt(factor))
    for item in range(known):
        for sums in (neurons.activity, neurons.short_sum, neurons.long_sum):
            faded = sums[item] * small
            sums[item] = faded if faded > np.float32(_NOTHING) else np.float32(0.0)
    for slot in range(len(state.potentials.owner)):
        for kind in (SHORT, LONG):
            row = state.potentials.value[slot, kind]
            for item in range(known):
                row[item] *= root
    neurons.total[0] *= factor
    neurons.base[0] = now


@numba.njit(cache=True, error_model="numpy")  # a check for division by zero would keep loops from being vectorised
def score_all(
    value: NDArray[np.float32],
    faded: NDArray[np.float64],
    contexts: tuple[int, int],
    known: int,
    now: int,
    state: State,
    rule: Rule,
    scratch: Scratch,
) -> None:
    """Score every known item into scratch.scores, by the parts in scratch.features.

    value: potentials, float32[KINDS, items]; faded: see `fade`; contexts: classes of age and gap.
    """
    neurons, features, scores = state.neurons, scratch.features, scratch.scores
    unit = _unit(neurons, now, rule)
    total, activity = neurons.total[0], neurons.activity
    prior = np.float32(_PRIOR_COUNT * unit)
    one = np.float32(1.0)
    rarity = scratch.rows[1]
    for item in range(known):
        rarity[item] = one / (activity[item] + prior)
    for part, kind, expected in ((_F_SHORT, SHORT, rule.short_prior), (_F_LONG, LONG, rule.long_prior)):
        feature, potential = features[part], value[kind]
        scale = np.float32(faded[kind] * total / (expected * np.sqrt(unit)))
        for item in range(known):
            feature[item] = one + potential[item] * scale * rarity[item]
        log_in_place(feature, known, scratch.rows[0])
    feature, potential, left = features[_F_LIFT], value[LIFT], np.float32(faded[LIFT])
    for item in range(known):
        feature[item] = potential[item] * left
    trend(state.trends, activity, total, known, features[_F_TREND])
    log_in_place(features[_F_TREND], known, scratch.rows[0])
    feature, learned = features[_F_RECENCY], np.float64(state.learned[0])
    for item in range(known):
        feature[item] = np.float32(learned - state.last[item])
    rough_log2_in_place(feature, known)
    feature, taken = features[_F_AGE], state.taken_log[contexts[0]]
    for item in range(known):
        feature[item] = taken[item]
    potential, left = value[CORRECTION], np.float32(faded[CORRECTION])
    by_age, by_gap = state.bias[contexts[0]], state.bias[AGES + contexts[1]]
    weights = state.weights.value
    w = weights[0] + weights[1 + contexts[0]] + weights[1 + AGES + contexts[1]]
    w0, w1, w2 = np.float32(w[0]), np.float32(w[1]), np.float32(w[2])
    w3, w4, w5 = np.float32(w[3]), np.float32(w[4]), np.float32(w[5])
    f0, f1, f2, f3, f4, f5 = features[0], features[1], features[2], features[3], features[4], features[5]
    for item in range(known):
        scores[item] = potential[item] * left + by_age[item] + by_gap[item]
    for item in range(known):
        scores[item] += w0 * f0[item] + w1 * f1[item] + w2 * f2[item]
    for item in range(known):
        scores[item] += w3 * f3[item] + w4 * f4[item] + w5 * f5[item]


@numba.njit(cache=True)
def _wire(
    synapses: Synapses,
    sums: NDArray[np.float32],
    trace: NDArray[np.int32],
    gaps: NDArray[np.float64],
    target: int,
    unit: float,
    rule: Trace,
) -> None:
    """Potentiate both ways along the trace, oldest first; gaps: ln(1 + gap_k / gap_scale), newest first."""
    recency = unit
    for k in range(min(len(trace), rule.length)):
        before = trace[len(trace) - 1 - k]
        amount = recency
        if rule.gap_exponent != 0.0:
            amount *= np.exp(-rule.gap_exponent * gaps[k])
        potentiate(synapses, before, target, np.float32(amount))
        sums[before] += np.float32(amount)
        potentiate(synapses, target, before, np.float32(amount * rule.reverse))
        sums[target] += np.float32(amount * rule.reverse)
        recency *= rule.step_decay


@numba.njit(cache=True)
def _learn_errors(
    state: State,
    value: NDArray[np.float32],
    faded: NDArray[np.float64],
    contexts: tuple[int, int],
    trace: NDArray[np.int32],
    times_ms: NDArray[np.int64],
    target: int,
    known: int,
    left: float,
    rule: Rule,
    scratch: Scratch,
) -> None:
    """Corrective synapses of the trace, and biases; scratch.scores holds probabilities. left: a late event's weight.

    A synapse learns in proportion to how much it has to do with the score: as much as its row has faded since.
    """
    chances = scratch.scores
    count = rivals_of(chances, target, known, rule.correction_least, scratch.rivals)
    rivals = scratch.rivals[:count]
    rate = rule.correction_rate * left
    gain, energy = faded[CORRECTION], 0.0
    exponent, leak = rule.leaks.gap_exponent[CORRECTION], rule.leaks.leak[CORRECTION]
    for k in range(min(len(trace), rule.correction_length)):
        at = len(trace) - 1 - k
        correct(
            state.neurons.correction,
            trace[at],
            target,
            rate * gain,
            chances,
            rivals,
            rule.correction_least,
        )
        energy += gain * gain
        if at > 0:
            gap_ms = max(times_ms[at] - times_ms[at - 1], 0)
            gain *= leak * (1.0 + gap_ms / rule.leaks.gap_scale_ms) ** -exponent
    surprise = 1.0 - chances[target]
    own, amount = value[CORRECTION], rate * energy / faded[CORRECTION]  # what it changed of the own potential
    for item in rivals:
        own[item] -= np.float32(amount) * chances[item]
    own[target] += np.float32(amount * surprise)
    for context in (contexts[0], AGES + contexts[1]):
        row, amount = state.bias[context], rate * rule.bias_share
        for item in rivals:
            row[item] -= np.float32(amount) * chances[item]
        row[target] += np.float32(amount * surprise)


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    state: State,
    rule: Rule,
    scratch: Scratch,
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    neurons, potentials = state.neurons, state.potentials
    longest = max(rule.short.length, rule.long.length, rule.correction_length)
    gaps, faded = np.zeros(longest), np.ones(KINDS)
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        user, target, known, seen = events.user[i], events.item[i], events.items[i], events.seen[i]
        tick, now, time_ms = events.tick[i], events.now[i], events.time_ms[i]
        start = histories.start[user]
        end = start + seen
        gap_ms = max(time_ms - histories.times_ms[end - 1], 0) if seen > 0 else 0
        contexts = (age_class(seen), gap_class(seen, gap_ms))
        fade(rule.leaks, gap_ms, faded)
        slot = NOBODY
        if seen > 0:
            slot = slot_of(potentials, user)
            if slot == NOBODY:
                slot = claim(potentials, user)
                unit = _unit(neurons, now, rule)
                recall(
                    potentials.value[slot],
                    histories,
                    end,
                    seen,
                    known,
                    neurons,
                    rule.leaks,
                    unit,
                    scratch.rows,
                )
            value = potentials.value[slot]
        else:
            value = scratch.value
            value[:, :known] = 0.0
        first = end - min(seen, longest)
        trace, times_ms = histories.items[first:end], histories.times_ms[first:end]
        left = np.exp2(-((now - tick) / rule.half_life))
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            score_all(value, faded, contexts, known, now, state, rule, scratch)
            had = histories.items[start:end]
            ranks[i] = rank_among(scratch.scores, known, target, had, ties_against)
            for item in had:
                scratch.scores[item] = TAKEN
            softmax(scratch.scores, target, known, scratch.ones, scratch.rows[0])
            step_weights(
                state.weights,
                contexts,
                scratch.features,
                scratch.scores,
                target,
                known,
                rule.weight_rate,
                scratch.rows[0],
            )
            active = neurons.activity[target] / neurons.total[0] if neurons.total[0] > _NOTHING else 0.0
            adapt_shares(state.trends, target, active, known, rule.share_rate, state.learned[0])
            _learn_errors(
                state,
                value,
                faded,
                contexts,
                trace,
                times_ms,
                target,
                known,
                left,
                rule,
                scratch,
            )
        if (now - neurons.base[0]) / rule.half_life > _REBASE_AFTER:
            _rebase(state, known, now, rule)
        unit = _unit(neurons, tick, rule)
        for k in range(len(trace)):
            gap_ms = max(time_ms - times_ms[len(trace) - 1 - k], 0)
            gaps[k] = np.log1p(gap_ms / rule.leaks.gap_scale_ms)
        _wire(neurons.short, neurons.short_sum, trace, gaps, target, unit, rule.short)
        _wire(neurons.long, neurons.long_sum, trace, gaps, target, unit, rule.long)
        neurons.activity[target] += np.float32(unit)
        neurons.total[0] += unit
        add_to_trends(state.trends, target, tick, now, known, rule.trend_half_lives)
        state.last[target] = state.learned[0]
        state.learned[0] += 1
        state.taken[contexts[0], target] += np.float32(1.0)
        _refresh(state, contexts[0], target)
        if slot != NOBODY:
            unit = _unit(neurons, now, rule)
            charge(value, target, faded, max(known, target + 1), neurons, rule.leaks, unit, scratch.rows)
            potentials.used[slot] = state.learned[0]


class Blend(Model):
    """A log-linear blend of Hebbian parts and popularity, weighted online per context."""

    name: ClassVar[str] = "blend"
    config_type: ClassVar[type[ModelConfig]] = BlendConfig
    config: BlendConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._start()

    def _start(self) -> None:
        config = self.config
        self._items = 0
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
        )
        self._scratch = _scratch(256)

    @property
    def _rule(self) -> Rule:
        config, clock = self.config, self.situation.clock
        in_ticks = (
            config.trend_half_lives_events
            if clock == "event_count"
            else tuple(1000.0 * half_life for half_life in config.trend_half_lives_s)
        )
        return Rule(
            half_life=config.half_life_ticks(clock),
            trend_half_lives=np.array(in_ticks, np.float64),
            leaks=Leaks(
                leak=np.array(config.leak, np.float64),
                gap_exponent=np.array(config.gap_exponent, np.float64),
                gap_scale_ms=config.gap_scale_s * 1000.0,
                lift_prior=config.lift_prior,
                recall_length=config.recall_length,
            ),
            short=Trace(
                config.short_length, config.short_step_decay, config.short_gap_exponent, config.short_reverse
            ),
            long=Trace(
                config.long_length, config.long_step_decay, config.long_gap_exponent, config.long_reverse
            ),
            short_prior=config.short_prior,
            long_prior=config.long_prior,
            weight_rate=config.weight_rate,
            share_rate=config.share_rate,
            correction_rate=config.correction_rate,
            correction_length=config.correction_length,
            correction_least=config.correction_least,
            bias_share=config.bias_share,
        )

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
        self._learn(events.part(0, cut), histories, out.part(0, cut))
        self._learn(events.part(cut, len(events.user)), histories, out.part(cut, len(events.user)))

    def _learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        if not len(events.user):
            return
        self._reserve(int(events.item.max()) + 1)
        _test_then_learn(
            events,
            histories,
            self._state,
            self._rule,
            self._scratch,
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, items: int) -> None:
        self._items = items = max(self._items, items)
        for store in self._stores.values():
            store.reserve(items)
        state, neurons = self._state, self._state.neurons
        potentials, trends = state.potentials, state.trends
        self._state = state._replace(
            neurons=neurons._replace(
                **{name: store.synapses for name, store in self._stores.items()},
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
            self._scratch = _scratch(len(self._state.last))

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: of the log-linear score, as it stands at `moment`."""
        state, rule, known = self._state, self._rule, moment.items
        if not known:
            return np.zeros(0)
        scratch = _scratch(known)
        seen = int(histories.length[user]) if user >= 0 else 0
        end = (int(histories.start[user]) if user >= 0 else 0) + seen
        gap_ms = max(moment.time_ms - int(histories.times_ms[end - 1]), 0) if seen else 0
        faded = np.ones(KINDS)
        fade(rule.leaks, gap_ms, faded)
        value = scratch.value
        if seen:
            slot = slot_of(state.potentials, user)
            if slot != NOBODY:
                value = state.potentials.value[slot]
            else:
                unit = float(_unit(state.neurons, moment.now, rule))
                recall(value, histories, end, seen, known, state.neurons, rule.leaks, unit, scratch.rows)
        contexts = (age_class(seen), gap_class(seen, gap_ms))
        score_all(value, faded, contexts, known, moment.now, state, rule, scratch)
        return scratch.scores[:known].astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Synapses as in `SynapseStore.arrays`, with short_, long_ or correction_ before the name; the others as in
        `Neurons`, `Potentials`, `Trends` (trend_...), `Weights` (weight_...) and `State`, without caches.
        """
        n = self._items
        named = {
            f"{kind}_{name}": array
            for kind, store in self._stores.items()
            for name, array in store.arrays().items()
        }
        return {**named, **{name: array[..., :n] for name, array in self._per_item().items()}, **self._others()}

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
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        items = len(arrays["activity"])
        for kind, store in self._stores.items():
            store.restore(
                {name: arrays[f"{kind}_{name}"] for name in ("weight", "post", "used", "lost")}
            )
        self._reserve(items)
        for name, array in self._per_item().items():
            array[..., :items] = arrays[name]
        for name, array in self._others().items():
            array[:] = arrays[name]
        for age in range(AGES):
            for item in range(items):
                _refresh(self._state, age, item)


def _widened(array: NDArray[Any], items: int) -> NDArray[Any]:
    """Like `grown`, for arrays whose last axis is items."""
    have = array.shape[-1]
    if items <= have:
        return array
    wider = np.zeros((*array.shape[:-1], max(items, 2 * have)), array.dtype)
    wider[..., :have] = array
    return wider


def _scratch(items: int) -> Scratch:
    return Scratch(
        features=np.zeros((len(PARTS), items), np.float32),
        scores=np.zeros(items, np.float32),
        ones=np.ones(items, np.float32),
        rows=np.zeros((2, items), np.float32),
        value=np.zeros((KINDS, items), np.float32),
        rivals=np.zeros(items + 1, np.int32),
    )
