"""What the API asks of the synapses: the network around a user or an item, and the profile of one neuron."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from online_models.ids import ABSENT
from online_models.interactions import Histories
from online_models.recommend import had_items
from online_models.synapse_figures import THRESHOLD
from online_models.synapse_graph import communities, modularity
from online_models.synapse_view import SynapseView, most_active
from serving.question import LearnerState, Question, UnknownError
from serving.questions import lane_of

_TRACE: Final = 12  # of a user's last items that a network is drawn around


class Neuron(NamedTuple):
    """An item as a neuron. activity: its decayed count of events; community: 0 for the largest; centre: asked for."""

    item: str
    activity: float
    community: int
    popularity: int
    centre: bool


class Network(NamedTuple):
    """Neurons and their strongest synapses to each other, as (from, to, weight). learned: events of the state."""

    model: str
    learned: int
    neurons: tuple[Neuron, ...]
    synapses: tuple[tuple[str, str, float], ...]
    modularity: float


class Bond(NamedTuple):
    """A synapse to another item. share: of all weight that leaves the neuron; back: the synapse the other way."""

    item: str
    weight: float
    share: float
    back: float


class ItemProfile(NamedTuple):
    """One neuron. synapses: how many leave it with a weight that counts; bonds: the strongest."""

    item: str
    model: str
    learned: int
    activity: float
    popularity: int
    synapses: int
    bonds: tuple[Bond, ...]


class Around(NamedTuple):
    """What a network is asked around; nothing: around the most active neurons. each: synapses of a neuron."""

    user: str | None = None
    item: str | None = None
    model: str | None = None
    neurons: int = 40
    each: int = 4


class NetworkAround(Question):
    """Ask for a network. Raises `UnknownError` for an item, user or model that there is none of."""

    answer: ClassVar[Any] = Network
    around: Around = Around()

    @property
    def keep_s(self) -> float:
        """See `Question.keep_s`: communities take long to find. Users see at once what they have changed."""
        return 2.0 if self.around.user is None else 0.0

    def of(self, state: LearnerState) -> Network:
        """See `Question.of`."""
        around = self.around
        lane = state.streams[0].lane if around.user is None else lane_of(state.streams, around.user)
        name, view = _view(lane, around.model, np.zeros(0, np.int32))
        centre = _centre(lane, around)
        chosen = centre
        if around.user is None and around.item is None:
            chosen = most_active(view.activity, around.neurons)
        elif len(centre):
            _, near = _view(lane, name, centre)
            chosen = _neighbourhood(near, centre, around.neurons)
        return drawn(lane, name, chosen, around.each, centre)


def drawn(lane: Lane, model: str, chosen: NDArray[np.int32], each: int, centre: NDArray[np.int32]) -> Network:
    """The network of some rows of items (int32[c], ascending), each with its `each` strongest synapses."""
    _, view = _view(lane, model, chosen)
    inside = view.among(chosen).above(THRESHOLD).strongest(each)
    found = communities(inside, lane.config.seed) if len(chosen) else np.zeros(0, np.int32)
    name = [lane.rows.items.id_of(row) for row in chosen.tolist()]
    popularity = lane.rows.history.had_by(chosen)
    central = set(centre.tolist())
    neurons = tuple(
        Neuron(name[at], float(inside.activity[at]), int(found[at]), int(popularity[at]), row in central)
        for at, row in enumerate(chosen.tolist())
    )
    pairs = zip(inside.pre.tolist(), inside.post.tolist(), inside.weight.tolist(), strict=True)
    synapses = tuple((name[pre], name[post], weight) for pre, post, weight in pairs)
    return Network(model, lane.learned, neurons, synapses, modularity(inside, found) if len(chosen) else 0.0)


class ProfileOfItem(Question):
    """Ask for the profile of one neuron, with its `most` strongest synapses. Raises `UnknownError`."""

    answer: ClassVar[Any] = ItemProfile
    item: str
    model: str | None = None
    most: int = 15

    def of(self, state: LearnerState) -> ItemProfile:
        """See `Question.of`."""
        item = self.item
        lane = state.streams[0].lane
        row = _row(lane, item)
        name, view = _view(lane, self.model, np.array([row], np.int32))
        active = view.above(THRESHOLD)
        best = np.lexsort((active.post, -active.weight))[: self.most]
        _, others = _view(lane, name, np.unique(active.post[best]).astype(np.int32))
        to_it = others.post == row
        back = dict(zip(others.pre[to_it].tolist(), others.weight[to_it].tolist(), strict=True))
        total = float(active.weight.sum())
        bonds = tuple(
            Bond(
                lane.rows.items.id_of(int(active.post[at])),
                float(active.weight[at]),
                float(active.weight[at]) / total,
                float(back.get(int(active.post[at]), 0.0)),
            )
            for at in best.tolist()
        )
        popularity = int(lane.rows.history.had_by(np.array([row], np.int32))[0])
        activity = float(view.activity[row])
        return ItemProfile(item, name, lane.learned, activity, popularity, len(active.weight), bonds)


def synapse_model(lane: Lane, name: str | None) -> str:
    """The model with synapses between items that is asked for, or the first. Raises `UnknownError`."""
    return _view(lane, name, np.zeros(0, np.int32))[0]


def _view(lane: Lane, model: str | None, rows: NDArray[np.int32]) -> tuple[str, SynapseView]:
    names = [model] if model is not None else list(lane.models)
    for name in names:
        if name not in lane.models:
            raise UnknownError(f"model is {name!r}, expected one of {', '.join(lane.models)}")
        view = lane.models[name].synapse_view(lane.now, rows)
        if view is not None and view.neurons == "item":
            return name, view
    raise UnknownError("no model with synapses between items is learned here, expected hebbian or blend")


def _row(lane: Lane, item: str) -> int:
    row = lane.rows.items.find(item)
    if row == ABSENT:
        raise UnknownError(f"item is {item!r}, expected one that somebody has had")
    return int(row)


def _centre(lane: Lane, around: Around) -> NDArray[np.int32]:
    """Rows of what the network is around, ascending."""
    rows: list[int] = []
    if around.item is not None:
        rows.append(_row(lane, around.item))
    if around.user is not None:
        row = lane.rows.users.find(around.user)
        if row == ABSENT:
            raise UnknownError(f"user is {around.user!r}, expected one who has had something")
        rows += _last_items(int(row), lane.rows.histories)
    return np.unique(np.array(rows, np.int32))


def _last_items(user: int, histories: Histories) -> list[int]:
    return [int(item) for item in had_items(user, histories)[-_TRACE:].tolist()]


def _neighbourhood(view: SynapseView, centre: NDArray[np.int32], most: int) -> NDArray[np.int32]:
    """The centre, and what it is wired to most strongly, for what fires with everything is near to nothing."""
    closeness = np.zeros(len(view.activity))
    np.add.at(closeness, view.post, view.weight / np.sqrt(np.maximum(view.activity[view.post], 1e-9)))
    closeness[centre] = 0.0
    order = np.argsort(-closeness, kind="stable")[: max(most - len(centre), 0)]
    near = order[closeness[order] > 0]
    return np.unique(np.concatenate([centre, near]).astype(np.int32))
