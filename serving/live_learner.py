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

MICRO_BATCH: Final = 32  # events between two looks at the questions: about a millisecond
CATCH_UP_BATCH: Final = 4096
_CATCH_UP_AFTER: Final = 50  # steps
_IDLE_S: Final = 0.002
_log = logging.getLogger(__name__)


class LiveLearner:
    """Steps a learner in a thread of its own, and answers `reads` between its micro-batches.

    build: makes the learner in that thread: connections to a log are their thread's own. failure: what ended the loop,
    None while it goes round. growth: how its synapses grew; to be read by a question only.
    """

    def __init__(self, build: Callable[[], Learner]) -> None:
        self._build = build
        self.growth = GrowthDiary()
        self.reads = Reads()
        self.positions = Positions()
        self.beaten_at_s = time.monotonic()
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

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
        reads = self.reads
        batch, full = MICRO_BATCH, 0
        while not self._stop.is_set():
            reads.answer_some(learner.streams)
            taken = learner.step(0.0, batch)
            # Full steps one after the other: there is a long log to catch up, where answers are old anyway.
            full = full + 1 if taken >= batch // 2 else 0
            batch = CATCH_UP_BATCH if full >= _CATCH_UP_AFTER else MICRO_BATCH
            self.positions.advance(learner.positions)
            self.beaten_at_s = time.monotonic()
            self.growth.look(learner.streams, self.beaten_at_s)
            if not taken and not len(reads):
                reads.arrived.wait(_IDLE_S)
