"""What the API asks of the learner's state about users, items and models; see `serving.question`."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from eventlog.partitioner import partition_of
from online_models.ids import ABSENT
from online_models.interactions import Moment
from online_models.model import Model
from online_models.recommend import NO_ROWS, Order, Query, filters_of, find_candidates, had_items, recommend
from online_models.synapse_view import SynapseView
from online_models.wisard import Wisard
from serving.question import LearnerState, Question, Streams, UnknownError

FLOORS: Final = ("popularity", "decayed_popularity", "random")
_HISTORY: Final = 50
_REASONS: Final = 3
_TRACE: Final = 50  # items of a user whose synapses may be reasons


class Because(NamedTuple):
    """A synapse that speaks for an item: from one that the user had. weight: in fresh co-activations."""

    item: str
    weight: float
    share: float
    event_time_ms: int


class Shown(NamedTuple):
    """One item of a list. popularity: events it had. known: whether anybody has had it."""

    item: str
    score: float
    rank: int
    nearest: float
    popularity: int
    because: tuple[Because, ...] = ()


class Answered(NamedTuple):
    """A list for a user. cold: "new user", "few events" or None. learned: events that the state had learned."""

    user: str
    model: str
    cold: str | None
    events: int
    learned: int
    items: tuple[Shown, ...]


class Had(NamedTuple):
    """One item of a user's history, newest first. rating: NaN where none was given."""

    item: str
    event_time_ms: int
    rating: float


class Profile(NamedTuple):
    """What the state knows of a user. genres: {name: share of the last items}. image: WiSARD's {bit: like, dislike}."""

    user: str
    known: bool
    events: int
    learned: int
    history: tuple[Had, ...]
    genres: dict[str, float]
    image: dict[str, tuple[float, float]]
    synapses: tuple[tuple[str, str, float], ...]


class Asking(NamedTuple):
    """What a list is asked with; see `online_models.recommend`."""

    model: str | None = None
    k: int = 10
    genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    include_seen: bool = False
    diversity: float = 0.0
    genre_coverage: bool = False
    session: float = 0.0
    without: tuple[str, ...] = ()
    explain: bool = False


def lane_of(streams: Streams, user: str) -> Lane:
    """The lane that learns a user's events. Raises `UnknownError` where another instance does."""
    partition = partition_of(user, streams[0].topic_partitions) if streams else 0
    for stream in streams:
        if partition in stream.lane.partitions:
            return stream.lane
    raise UnknownError(f"partition {partition} of user {user!r} is not learned here")


def ranking_model(lane: Lane, name: str | None) -> Model:
    """The model that is asked for; by default the first that is more than popularity. Raises `UnknownError`."""
    ranking = {key: model for key, model in lane.models.items() if model.ranks}
    if name is None:
        own = [key for key in ranking if key not in FLOORS]
        if not ranking:
            raise UnknownError("no model that ranks is learned here")
        return ranking[(own or list(ranking))[0]]
    if name not in ranking:
        raise UnknownError(f"model is {name!r}, expected one of {', '.join(ranking)}")
    return ranking[name]


class Recommendations(Question):
    """Ask for a user's list. Raises `UnknownError`, and `ValueError` for a filter or parameter out of range."""

    answer: ClassVar[Any] = Answered
    user: str
    asking: Asking = Asking()

    def of(self, state: LearnerState) -> Answered:
        """See `Question.of`."""
        user, asking = self.user, self.asking
        lane = lane_of(state.streams, user)
        rows, model = lane.rows, ranking_model(lane, asking.model)
        row = rows.users.find(user)
        histories = rows.histories
        passed = [rows.items.find(item) for item in asking.without]
        moment = Moment(lane.now, lane.clock_time_ms, rows.history.items)
        over = np.array([item for item in passed if item != ABSENT], np.int32) if passed else NO_ROWS
        found = recommend(model, row, histories, moment, _query(asking, tuple(rows.catalogue.genres)), over)
        events = int(histories.length[row]) if row != ABSENT else 0
        reasons = _reasons(lane, model, row, found.items) if asking.explain else {}
        columns = (found.scores, found.ranks, found.nearest, rows.history.had_by(found.items))
        lists = (column.tolist() for column in columns)
        shown = tuple(map(Shown, rows.items.ids_of(found.items), *lists))
        if reasons:
            shown = tuple(
                one._replace(because=reasons.get(item, ()))
                for one, item in zip(shown, found.items.tolist(), strict=True)
            )
        cold = "new user" if not events else "few events" if events < 5 else None
        return Answered(user, model.name, cold, events, lane.learned, shown)


@functools.lru_cache(256)
def _query(asking: Asking, genres: tuple[str, ...]) -> Query:
    """What `asking` means where these genres are known. Raises `ValueError` for what is out of range."""
    order = Order(asking.diversity, asking.genre_coverage, asking.session)
    return Query(
        k=asking.k,
        # Another order needs more to choose from; the model's own is that of the best.
        candidates=asking.k if order == Order() else max(100, 2 * asking.k),
        filters=filters_of(genres, asking.genres, asking.year_from, asking.year_to),
        order=order,
        include_seen=asking.include_seen,
    )


def _reasons(lane: Lane, model: Model, user: int, items: NDArray[np.int32]) -> dict[int, tuple[Because, ...]]:
    """Of each item, the strongest synapses to it from what the user had last. {} where the model has none."""
    view, _trace = _trace_synapses(lane, model, user)
    if view is None:
        return {}
    rows, histories = lane.rows, lane.rows.histories
    start = int(histories.start[user])
    length = int(histories.length[user])
    when = dict(
        zip(
            histories.items[start : start + length].tolist(),
            histories.times_ms[start : start + length].tolist(),
            strict=True,
        )
    )
    reasons = {}
    for item in items.tolist():
        to_it = np.flatnonzero(view.post == item)
        total = float(view.weight[to_it].sum())
        if total <= 0:
            continue
        best = to_it[np.argsort(-view.weight[to_it], kind="stable")[:_REASONS]]
        reasons[item] = tuple(
            Because(
                rows.items.id_of(int(view.pre[at])),
                float(view.weight[at]),
                float(view.weight[at]) / total,
                int(when.get(int(view.pre[at]), 0)),
            )
            for at in best
            if view.weight[at] > 0
        )
    return reasons


def _trace_synapses(lane: Lane, model: Model, user: int) -> tuple[SynapseView | None, NDArray[np.int32]]:
    """Synapses from the items that a user had last; of the model, or of any other item-item one beside it."""
    had = had_items(user, lane.rows.histories)
    trace = np.unique(had[-_TRACE:]).astype(np.int32)
    if not len(trace):
        return None, trace
    for candidate in (model, *lane.models.values()):
        view = candidate.synapse_view(lane.now, trace)
        if view is not None and view.neurons == "item":
            return view, trace
    return None, trace


class Similar(Question):
    """Ask which items fire together with one. Raises `UnknownError`."""

    answer: ClassVar[Any] = tuple[Shown, ...]
    item: str
    k: int
    model: str | None = None

    def of(self, state: LearnerState) -> tuple[Shown, ...]:
        """See `Question.of`."""
        lane = state.streams[0].lane
        row = lane.rows.items.find(self.item)
        if row == ABSENT:
            raise UnknownError(f"item is {self.item!r}, expected one that somebody has had")
        names = [self.model] if self.model is not None else list(lane.models)
        for name in names:
            if name not in lane.models:
                raise UnknownError(f"model is {name!r}, expected one of {', '.join(lane.models)}")
            view = lane.models[name].synapse_view(lane.now, np.array([row], np.int32))
            if view is None or view.neurons != "item":
                continue
            # What fires with everything is like nothing: cosine-like, by the activity of both.
            weight = view.weight / np.sqrt(np.maximum(view.activity[view.post], 1e-9))
            best = np.lexsort((view.post, -weight))[: self.k]
            return tuple(
                Shown(lane.rows.items.id_of(int(view.post[at])), float(view.weight[at]), place, 0.0, 0)
                for place, at in enumerate(best.tolist(), 1)
                if view.weight[at] > 0 and int(view.post[at]) != row
            )
        raise UnknownError("no model with synapses between items is learned here, expected hebbian or blend")


class ProfileOf(Question):
    """Ask what is known of a user."""

    answer: ClassVar[Any] = Profile
    user: str

    def of(self, state: LearnerState) -> Profile:
        """See `Question.of`."""
        user = self.user
        lane = lane_of(state.streams, user)
        rows, histories = lane.rows, lane.rows.histories
        row = rows.users.find(user)
        if row == ABSENT:
            return Profile(user, False, 0, lane.learned, (), {}, {}, ())
        start, length = int(histories.start[row]), int(histories.length[row])
        last = range(start + length - 1, start + max(length - _HISTORY, 0) - 1, -1)
        had = tuple(
            Had(
                rows.items.id_of(int(histories.items[at])),
                int(histories.times_ms[at]),
                float(histories.ratings[at]),
            )
            for at in last
        )
        return Profile(
            user,
            True,
            length,
            lane.learned,
            had,
            _genres(lane, histories.items[start : start + length][-_HISTORY:]),
            _image(lane, row),
            _strongest(lane, row),
        )


def _genres(lane: Lane, items: NDArray[np.int32]) -> dict[str, float]:
    catalogue = lane.rows.catalogue
    view = catalogue.view
    shares = dict.fromkeys(catalogue.genres, 0.0)
    for item in items.tolist():
        mask = int(view.genres[view.entry[item]])
        names = [name for bit, name in enumerate(catalogue.genres) if mask >> bit & 1]
        for name in names:
            shares[name] += 1.0 / len(names) / len(items)
    return {name: share for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share > 0}


def _image(lane: Lane, row: int) -> dict[str, tuple[float, float]]:
    for model in lane.models.values():
        if isinstance(model, Wisard):
            image = model.mental_image(row)
            return {
                name: (float(like), float(dislike))
                for name, like, dislike in zip(image.names, image.like, image.dislike, strict=True)
            }
    return {}


def _strongest(lane: Lane, row: int, most: int = 20) -> tuple[tuple[str, str, float], ...]:
    """The strongest synapses among what the user had last: (from, to, weight)."""
    for model in lane.models.values():
        view, trace = _trace_synapses(lane, model, row)
        if view is None:
            return ()
        inside = np.flatnonzero(np.isin(view.post, trace))
        best = inside[np.argsort(-view.weight[inside], kind="stable")[:most]]
        name = lane.rows.items.id_of
        return tuple(
            (name(int(view.pre[at])), name(int(view.post[at])), float(view.weight[at]))
            for at in best
            if view.weight[at] > 0
        )
    return ()


class Models(Question):
    """Ask which models are learned: {name: what it does, its size}."""

    answer: ClassVar[Any] = dict[str, dict[str, Any]]

    def of(self, state: LearnerState) -> dict[str, dict[str, Any]]:
        """See `Question.of`."""
        return {
            name: {
                "ranks": model.ranks,
                "rates": model.rates,
                "likes": model.likes,
                "state_bytes": sum(stream.lane.models[name].state_bytes for stream in state.streams),
            }
            for name, model in state.streams[0].lane.models.items()
        }


class Population(Question):
    """Ask how much was learned of how many: users, items that somebody had, events, and the clock."""

    answer: ClassVar[Any] = dict[str, int]

    def of(self, state: LearnerState) -> dict[str, int]:
        """See `Question.of`."""
        lanes = [stream.lane for stream in state.streams]
        return {
            "items_had": max(len(lane.rows.items) for lane in lanes),
            "users": sum(lane.rows.known_users for lane in lanes),
            "learned_events": sum(lane.learned for lane in lanes),
            "clock_ms": max(lane.clock_time_ms for lane in lanes),
        }


class BestItems(Question):
    """Ask for what is had most: for a page to begin with."""

    answer: ClassVar[Any] = list[str]
    k: int

    @property
    def keep_s(self) -> float:
        """See `Question.keep_s`."""
        return 1.0

    def of(self, state: LearnerState) -> list[str]:
        """See `Question.of`."""
        lane = state.streams[0].lane
        moment = Moment(lane.now, lane.clock_time_ms, lane.rows.history.items)
        name = next((name for name in FLOORS if name in lane.models), None)
        model = lane.models[name] if name is not None else ranking_model(lane, None)
        scores = model.scores(-1, lane.rows.histories, moment)
        wanted = Query(k=self.k, candidates=self.k)
        found = find_candidates(scores, NO_ROWS, lane.rows.histories.catalogue, wanted)
        return [lane.rows.items.id_of(item) for item in found.items.tolist()[: self.k]]
