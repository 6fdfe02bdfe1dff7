"""A learner whose state is asked while it learns: one thread, which alternates between events and questions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from consumers.learner import Learner
from serving.growth import GrowthDiary
from serving.positions import Positions
from serving.reads import Reads

POLLED: Final = 256  # events read from the log at a time
SLICE_S: Final = 0.002  # of learning between two looks at the questions, while there are some
LONG_SLICE_S: Final = 0.02  # while nobody asks, or a long log is caught up, where answers are old anyway
_CATCH_UP_POLLED: Final = 4096
_CATCH_UP_AFTER: Final = 50  # full steps, one after the other
_ASKED_LATELY_S: Final = 1.0
_LEAST: Final = 16  # events of a slice: each has a price of its own
_IDLE_S: Final = 0.005  # until the log is looked at again for what others wrote
_log = logging.getLogger(__name__)


class LiveLearner:
    """Steps a learner in a thread of its own, and answers `reads` between slices of learning.

    build: makes the learner in that thread: connections to a log are their thread's own. failure: what ended the loop,
    None while it goes round. growth: how its synapses grew; to be read by a question only.
    """

    def __init__(self, build: Callable[[], Learner]) -> None:
        self._build = build
        self.growth = GrowthDiary()
        self.reads = Reads()
        self.positions = Positions()
        self.written = threading.Event()
        self.beaten_at_s = time.monotonic()
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

    def wake(self) -> None:
        """Learn at once what was written; from any thread."""
        self.written.set()
        self.reads.arrived.set()

    def start(self) -> None:
        """Start the thread, and return when the learner is there. Raises what building it raises."""
        self._thread.start()
        self._begun.wait()
        if self.failure is not None:
            raise self.failure

    @property
    def alive(self) -> bool:
        """Whether its loop has not ended."""
        return self._begun.is_set() and self.failure is None and not self._stop.is_set()

    def stop(self, timeout_s: float = 60.0) -> None:
        """Stop after the event at hand, commit, and release. Raises what ended the loop before."""
        self._stop.set()
        self.reads.arrived.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            learner = self._build()
            try:
                learner.on_dead_letters = self.positions.note_dead
                self.positions.advance(learner.positions)
                self._begun.set()
                self._loop(learner)
            finally:
                learner.close()
        except BaseException as error:
            _log.exception("the learner has ended")
            self.failure = error
        finally:
            self._begun.set()

    def _loop(self, learner: Learner) -> None:
        reads, full = self.reads, 0
        slices = Slices()

        def look(taken: int) -> int:
            slices.end(taken)
            self.positions.advance(learner.positions)
            self.growth.look(learner.streams, time.monotonic())
            asked = reads.answer_some(learner.streams)
            catching_up = full >= _CATCH_UP_AFTER
            return slices.begin(asked=bool(asked), hurried=not catching_up)

        learner.between_slices = look
        stepped_s = float("-inf")
        while not self._stop.is_set():
            look(0)
            now_s = time.perf_counter()
            # Woken by a question alone, there is nothing to learn yet.
            if not self.written.is_set() and now_s - stepped_s < _IDLE_S:
                reads.arrived.wait(_IDLE_S - (now_s - stepped_s))
                continue
            self.written.clear()
            polled = _CATCH_UP_POLLED if full >= _CATCH_UP_AFTER else POLLED
            taken = learner.step(0.0, polled)
            stepped_s = time.perf_counter() if taken < polled // 2 else float("-inf")
            full = full + 1 if taken >= polled // 2 else 0
            self.positions.advance(learner.positions)
            self.beaten_at_s = time.monotonic()


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
