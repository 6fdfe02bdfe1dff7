"""A learner whose state is asked while it learns: one thread, which alternates between events and questions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from consumers.learner import Learner
from serving.desk import Desk
from serving.growth import GrowthDiary
from serving.question import LearnerState

POLLED: Final = 128  # events read from the log at a time: who asks waits while they are decoded
SLICE_S: Final = 0.002  # of learning between two looks at the questions, while there are some
LONG_SLICE_S: Final = 0.02  # while nobody asks, or a long log is caught up, where answers are old anyway
_CATCH_UP_POLLED: Final = 4096
_CATCH_UP_AFTER: Final = 50  # full steps, one after the other
_ASKED_LATELY_S: Final = 1.0
_LEAST: Final = 16  # events of a slice: each has a price of its own
_IDLE_S: Final = 0.005  # until the log is looked at again for what others wrote


def learn_and_answer(
    learner: Learner, desk: Desk, registry: CollectorRegistry, stop: Callable[[], bool]
) -> None:
    """Step a learner, and answer at `desk` between slices of learning, until `stop` says so or nobody is there to ask.

    registry: its metrics. Raises what a step raises. The learner is not closed.
    """
    growth = GrowthDiary()
    slices, full = Slices(), 0

    def look(taken: int) -> int:
        slices.end(taken)
        growth.look(learner.streams, time.monotonic())
        desk.stand(learner.positions)
        asked = desk.answer_some(LearnerState(learner.streams, growth, registry))
        return slices.begin(asked=bool(asked), hurried=full < _CATCH_UP_AFTER)

    learner.between_slices = look
    learner.on_dead_letters = desk.note_dead
    stepped_s = float("-inf")
    while not desk.closed and not stop():
        look(0)
        now_s = time.perf_counter()
        # Woken by a question alone, there is nothing to learn yet.
        if not desk.written and now_s - stepped_s < _IDLE_S:
            desk.wait(_IDLE_S - (now_s - stepped_s))
            continue
        desk.written = False
        polled = _CATCH_UP_POLLED if full >= _CATCH_UP_AFTER else POLLED
        taken = learner.step(0.0, polled)
        stepped_s = time.perf_counter() if taken < polled // 2 else float("-inf")
        full = full + 1 if taken >= polled // 2 else 0


class Slices:
    """How many events to learn between two looks at the questions, from how long the last ones took."""

    def __init__(self) -> None:
        self._event_s = SLICE_S / 16  # one event, by a fading mean
        self._began_s = time.perf_counter()
        self._asked_s = float("-inf")

    def end(self, events: int) -> None:
        """A slice has ended, of which nothing is made for 0 events."""
        if events:
            took_s = (time.perf_counter() - self._began_s) / events
            self._event_s += (took_s - self._event_s) / 8

    def begin(self, *, asked: bool, hurried: bool) -> int:
        """Begin a slice; returns how many events it may have. asked: whether somebody just did."""
        self._began_s = now_s = time.perf_counter()
        if asked:
            self._asked_s = now_s
        short = hurried and now_s - self._asked_s < _ASKED_LATELY_S
        return max(_LEAST, int((SLICE_S if short else LONG_SLICE_S) / self._event_s))
