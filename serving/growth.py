"""How the synapses grew since this process began: figures and a small network, at moments ever further apart."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from online_models.synapse_figures import THRESHOLD
from online_models.synapse_view import most_active
from serving.network import Network, drawn, synapse_model
from serving.question import LearnerState, Question, Streams, UnknownError

KEPT: Final = 64
_FIRST_EVENTS: Final = 500
_NEURONS: Final = 36
_EACH: Final = 3
_ROWS: Final = 128
_SHARE: Final = 0.003  # of the learner's time


class Look(NamedTuple):
    """One moment. density: share of possible synapses that are active, estimated from some rows, as their number is."""

    learned: int
    event_time_ms: int
    synapses: int
    density: float
    network: Network


class GrowthDiary:
    """Looks at the first lane's synapses after every so many events; when there are `KEPT` looks, every second one goes.

    A look takes some milliseconds, so looks are apart as far as makes them a small share of all time.
    """

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self._every = _FIRST_EVENTS
        self._next = _FIRST_EVENTS
        self._not_before_s = 0.0
        self._there: bool | None = None

    def look(self, streams: Streams, now_s: float) -> None:
        """Look, if it is time to."""
        if not streams or self._there is False or now_s < self._not_before_s:
            return
        lane = streams[0].lane
        if lane.learned < self._next:
            return
        started_s = time.perf_counter()
        try:
            model = synapse_model(lane, None)
        except UnknownError:
            self._there = False
            return
        neurons = len(lane.rows.items)
        rows = np.unique(np.linspace(0, neurons - 1, min(_ROWS, neurons)).astype(np.int32))
        view = lane.models[model].synapse_view(lane.now, rows)
        assert view is not None
        active = len(view.above(THRESHOLD).weight)
        chosen = most_active(view.activity, _NEURONS)
        self.looks.append(
            Look(
                lane.learned,
                lane.clock_time_ms,
                round(active * neurons / len(rows)),
                active / view.possible if view.possible else 0.0,
                drawn(lane, model, chosen, _EACH, np.zeros(0, np.int32)),
            )
        )
        if len(self.looks) >= KEPT:
            del self.looks[::2]
            self._every *= 2
        self._next = lane.learned + self._every
        self._not_before_s = now_s + (time.perf_counter() - started_s) / _SHARE

    def at(self, events: int) -> Look | None:
        """The last look at or before `events`, else the first; None without any."""
        before = [look for look in self.looks if look.learned <= events]
        return before[-1] if before else next(iter(self.looks), None)


class Growth(Question):
    """Ask how the synapses grew."""

    answer: ClassVar[Any] = list[Look]

    def of(self, state: LearnerState) -> list[Look]:
        """See `Question.of`."""
        return state.growth.looks


class NetworkThen(Question):
    """Ask for the small network as it was after so many events."""

    answer: ClassVar[Any] = Network | None
    events: int

    def of(self, state: LearnerState) -> Network | None:
        """See `Question.of`."""
        look = state.growth.at(self.events)
        return None if look is None else look.network
