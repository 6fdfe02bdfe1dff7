"""User-user Hebbian synapses: users are neurons; who meets the same item fires together and wires together.

Each item keeps its audience, a ring of the last R users who had it. When user u meets item x, every user v of the
ring co-activates with u:

    w(u, v) += 1        w(v, u) += reverse        a(x) += 1

A row w(u, .) halves each half-life on the lane's clock, and each `own_half_life_events` events of u itself: what u did
last says most. a(.) halves on the lane's clock alone, A is the sum of all a(.), n(v) the number of v's items. A row
holds at most K synapses (see `synapses`); a late event is added with the weight it has left.

Test. Each neighbour v has a voice, and speaks for its last M items, y_0 the newest:

    voice(v) = w(u, v) / n(v)^p, as its share in the sum over all neighbours
    score(c) = (a(c) / A)^-q * sum of voice(v) * step_decay^k over v and k with y_k(v) = c
               + popularity_weight * a(c) / A

which has no unit: it does not change when all memory fades alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.audience import NOTHING, Items, Rule, event_unit, keep_audience, refresh
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
from online_models.synapses import Synapses, SynapseStore, potentiate

_REBASE_AFTER = 48.0  # half-lives; float32 overflows at 128
_INAUDIBLE = 1e-18  # as much as a row's voices must come to


@dataclass(frozen=True)
class UserHebbianConfig(DecayConfig):
    """See the module: audience is R, row_synapses K, recent_items M, source_power p, target_power q."""

    audience: int = 128
    row_synapses: int = 128
    recent_items: int = 400
    step_decay: float = 0.995
    reverse: float = 0.0
    own_half_life_events: float = 3.0
    source_power: float = 0.5
    target_power: float = 0.4
    popularity_weight: float = 1.0
    half_life_events: float = 20_000.0
    half_life_s: float = 365 * 86_400.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "audience", "row_synapses", "recent_items", least=1)
        check_range(self, "own_half_life_events", above=0)
        check_range(self, "step_decay", above=0, most=1)
        check_range(self, "reverse", "source_power", "target_power", "popularity_weight", least=0)


class Users(NamedTuple):
    """synapses: one row a user, each on a forward scale of its own.

    had: int32[users], items that the user has had. base: int64[users], tick of the row's scale; base_had:
    int32[users], what it was at that tick.
    """

    synapses: Synapses
    had: NDArray[np.int32]
    base: NDArray[np.int64]
    base_had: NDArray[np.int32]


@numba.njit(cache=True)
def _row_unit(users: Users, user: int, tick: int, now: int, rule: Rule) -> float:
    """What an event at `tick` adds to a synapse of the row; moves the row's base to `now` when it is due."""
    own = (users.had[user] - users.base_had[user]) / rule.own_half_life
    fallen = (now - users.base[user]) / rule.half_life + own
    if users.synapses.used[user] == 0 or fallen > _REBASE_AFTER:
        factor = np.float32(np.exp2(-fallen))
        row = users.synapses.weight[user]
        for place in range(users.synapses.used[user]):
            faded = row[place] * factor
            # Subnormal numbers would slow every later read down a hundredfold.
            row[place] = faded if faded > NOTHING else np.float32(0.0)
        users.synapses.lost[user] *= factor
        users.base[user] = now
        users.base_had[user] = users.had[user]
        own = 0.0
    return float(np.exp2((tick - users.base[user]) / rule.half_life + own))


@numba.njit(cache=True)
def score_all(
    user: int,
    known: int,
    histories: Histories,
    users: Users,
    items: Items,
    rule: Rule,
    out: NDArray[np.float32],
) -> None:
    """Score every known item for `user` (-1: unknown) into out[:known]."""
    out[:known] = 0
    used = users.synapses.used[user] if user >= 0 else 0
    row, posts = users.synapses.weight[user], users.synapses.post[user]
    heard = 0.0
    for place in range(used):
        heard += row[place] * users.had[posts[place]] ** -rule.source_power
    audible = heard > _INAUDIBLE
    if audible:
        for place in range(used):
            other = posts[place]
            count = users.had[other]
            voice = row[place] * count**-rule.source_power
            end = histories.start[other] + count
            for k in range(min(count, rule.recent_items)):
                out[histories.items[end - 1 - k]] += np.float32(voice)
                voice *= rule.step_decay
    # What does not depend on the item is divided by once: exact sums stay exact.
    total = items.total[0]
    unit, share = np.float32(0.0), np.float32(0.0)
    if total > NOTHING:
        share = np.float32(rule.popularity_weight / total)
        if audible:
            unit = np.float32(total**rule.target_power / heard)
    norm, level = items.norm, items.level
    for item in range(known):
        out[item] = out[item] * norm[item] * unit + level[item] * share


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    users: Users,
    items: Items,
    rule: Rule,
    scores: NDArray[np.float32],
    ties_against: bool,
    ranks: NDArray[np.int32],
) -> None:
    """scores: float32[items], scratch."""
    size = items.audience.shape[1]
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        user, target, known = events.user[i], events.item[i], events.items[i]
        tick, now = events.tick[i], events.now[i]
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
        else:
            score_all(user, known, histories, users, items, rule, scores)
            start = histories.start[user]
            had = histories.items[start : start + events.seen[i]]
            ranks[i] = rank_among(scores, known, target, had, ties_against)
        met = items.met[target]
        amount = np.float32(_row_unit(users, user, tick, now, rule))
        for k in range(min(met, size)):
            other = items.audience[target, (met - 1 - k) % size]
            potentiate(users.synapses, user, other, amount)
            if rule.reverse > 0:
                echo = np.float32(rule.reverse * _row_unit(users, other, tick, now, rule))
                potentiate(users.synapses, other, user, echo)
        items.audience[target, met % size] = user
        items.met[target] = met + 1
        users.had[user] += 1
        unit = event_unit(items, known, tick, now, rule)
        items.activity[target] += unit
        items.total[0] += unit
        refresh(items, target, rule)


class UserHebbian(Model):
    """User-user Hebbian synapses with decay, grown by what the audience of an item has in common."""

    name: ClassVar[str] = "user_hebbian"
    reads_ratings: ClassVar[bool] = False
    config_type: ClassVar[type[ModelConfig]] = UserHebbianConfig
    config: UserHebbianConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._start()

    def _start(self) -> None:
        self._store = SynapseStore(direct_neurons=0, row_synapses=self.config.row_synapses)
        self._clear()

    def _clear(self) -> None:
        """Forget everything but the synapses."""
        self._known_users, self._known_items = 0, 0
        self._users = Users(
            synapses=self._store.synapses,
            had=np.zeros(256, np.int32),
            base=np.zeros(256, np.int64),
            base_had=np.zeros(256, np.int32),
        )
        self._items = Items(
            audience=np.zeros((256, self.config.audience), np.int32),
            met=np.zeros(256, np.int64),
            activity=np.zeros(256, np.float64),
            total=np.zeros(1, np.float64),
            base=np.zeros(1, np.int64),
            level=np.zeros(256, np.float32),
            norm=np.zeros(256, np.float32),
        )
        self._scores = np.zeros(256, np.float32)

    @property
    def _rule(self) -> Rule:
        config = self.config
        return Rule(
            recent_items=config.recent_items,
            step_decay=config.step_decay,
            reverse=config.reverse,
            source_power=config.source_power,
            target_power=config.target_power,
            popularity_weight=config.popularity_weight,
            own_half_life=config.own_half_life_events,
            half_life=config.half_life_ticks(self.situation.clock),
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        if not self._known_items:
            self._items.base[0] = events.now[0]
        self._reserve(int(events.user.max()) + 1, int(events.item.max()) + 1)
        _test_then_learn(
            events,
            histories,
            self._users,
            self._items,
            self._rule,
            self._scores,
            self.situation.ties_against,
            out.ranks,
        )

    def _reserve(self, known_users: int, known_items: int) -> None:
        self._known_users = max(self._known_users, known_users)
        self._known_items = max(self._known_items, known_items)
        self._store.reserve(self._known_users)
        users, n = self._users, self._known_users
        self._users = Users(
            self._store.synapses, grown(users.had, n), grown(users.base, n), grown(users.base_had, n)
        )
        items, n = self._items, self._known_items
        self._items = items._replace(
            audience=grown(items.audience, n),
            met=grown(items.met, n),
            activity=grown(items.activity, n),
            level=grown(items.level, n),
            norm=grown(items.norm, n),
        )
        self._scores = grown(self._scores, n)

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`."""
        out = np.zeros(moment.items, np.float32)
        known = user if user < self._known_users else -1
        score_all(known, moment.items, histories, self._users, self._items, self._rule, out)
        return out.astype(np.float64)

    def synapse_view(self, now: int, rows: NDArray[np.int32] | None = None) -> SynapseView:
        """See `Model.synapse_view`: neurons are users, activity is the number of items that they have had."""
        rows = np.arange(self._known_users, dtype=np.int32) if rows is None else rows
        pre, post, weight = self._store.pairs(rows)
        users, rule = self._users, self._rule
        own = (users.had[pre] - users.base_had[pre]) / rule.own_half_life
        left = np.exp2(-((now - users.base[pre]) / rule.half_life + own))
        activity = users.had[: self._known_users].astype(np.float64)
        return SynapseView("user", rows, pre, post, weight.astype(np.float64) * left, activity)

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """See `Model.keep`."""
        self._store.keep(users)
        row_of = np.full(self._known_users, -1, np.int32)
        row_of[users] = np.arange(len(users), dtype=np.int32)
        keep_audience(self._items, row_of)
        arrays = self.arrays()
        activity = arrays["activity"][items]
        # Items that were dropped left the histories; what a user has done since the row's base stays as it was.
        had = histories.length[: len(users)].copy()
        since = (arrays["had"] - arrays["row_base_had"])[users]
        self._refill(
            {
                "had": had,
                "row_base": arrays["row_base"][users],
                "row_base_had": had - since,
                "audience": arrays["audience"][items],
                "met": arrays["met"][items],
                "activity": activity,
                "total": np.array([activity.sum()]),
                "base": arrays["base"],
            }
        )

    def forget_user(self, user: int) -> None:
        """See `Model.forget_user`: also as others' neighbour, and in the items' audiences."""
        self._store.forget(user)
        self._users = self._users._replace(synapses=self._store.synapses)
        for column in self._users[1:]:
            column[user] = 0
        row_of = np.arange(self._known_users, dtype=np.int32)
        row_of[user] = -1
        keep_audience(self._items, row_of)

    def retract(self, user: int, item: int) -> None:
        """See `Model.retract`: the user leaves the item's audience."""
        self._users.had[user] -= 1
        self._users.base_had[user] -= 1
        row_of = np.arange(self._known_users, dtype=np.int32)
        row_of[user] = -1
        items = self._items
        rows = slice(item, item + 1)
        keep_audience(items._replace(audience=items.audience[rows], met=items.met[rows]), row_of)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named as in `Synapses`, `Users` (its bases as row_base, row_base_had) and `Items`, without caches."""
        users, items = self._users, self._items
        n = self._known_users
        return {
            **self._store.arrays(),
            "had": users.had[:n],
            "row_base": users.base[:n],
            "row_base_had": users.base_had[:n],
            "audience": items.audience[: self._known_items],
            "met": items.met[: self._known_items],
            "activity": items.activity[: self._known_items],
            "total": items.total,
            "base": items.base,
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._start()
        self._store.restore(arrays)
        self._refill(arrays)

    def _refill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes, beside the synapses, which are that already."""
        self._clear()
        known_users, known_items = len(arrays["had"]), len(arrays["met"])
        self._reserve(known_users, known_items)
        users, items = self._users, self._items
        for name, array in (
            ("had", users.had),
            ("row_base", users.base),
            ("row_base_had", users.base_had),
        ):
            array[:known_users] = arrays[name]
        for name in ("audience", "met", "activity"):
            getattr(items, name)[:known_items] = arrays[name]
        items.total[:] = arrays["total"]
        items.base[:] = arrays["base"]
        rule = self._rule
        for item in range(known_items):
            refresh(items, item, rule)
