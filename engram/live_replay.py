"""A replay beside a live learner, which a page can pause and speed up: `engram serve --replay`, `engram app`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from engram.parts import build_replay, open_log
from engram.settings import Settings
from engram.source import find_folder, open_stream
from eventlog.log import Log
from eventlog.topics import Topics
from producers.replay import Pace, Replay, publish_metadata
from serving.parts import ReplayState

_AHEAD: Final = 8  # messages that may wait to be learned: what a person sends is never far behind
_LOOK_S: Final = 0.005
_log = logging.getLogger(__name__)


class LiveReplay:
    """Writes the stream that the settings name, in a thread of its own, never far ahead of the learner.

    learned: next offset of each partition that the learner takes. Raises what finding the data set raises.
    """

    def __init__(self, settings: Settings, topics: Topics, learned: Callable[[], Mapping[int, int]]) -> None:
        self._settings = settings
        self._topics = topics
        self._learned = learned
        self._stream = open_stream(settings, find_folder(settings))
        self._dataset = settings.dataset or ""
        self._wanted = (False, settings.rate)
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._progress = (0, self._stream.total_events, False)
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Write the metadata, and begin. Raises what the log raises."""
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop; started again, it goes on where the log's tail says."""
        self._stop.set()
        self._thread.join(30.0)

    def state(self) -> ReplayState:
        """How far it is."""
        written, total, done = self._progress
        paused, rate = self._wanted
        time_ms = int(self._stream.block(written - 1, 1).event_time_ms[0]) if written else None
        return ReplayState(self._dataset, written, total, paused and not done, rate, time_ms, done)

    def change(self, *, paused: bool, rate: float | None) -> ReplayState:
        """Go on so; rate: events a second, None for as fast as they are learned."""
        self._wanted = (paused, rate)
        self._changed.set()
        return self.state()

    def _run(self) -> None:
        try:
            with open_log(self._settings) as log:
                publish_metadata(log, self._topics, self._stream)
                replay = build_replay(self._settings, log, self._topics, self._stream)
                self._note(replay)
                self._begun.set()
                self._loop(log, replay)
                replay.close()
        except BaseException as error:
            _log.exception("the replay has ended")
            self._failure = error
        finally:
            self._begun.set()

    def _loop(self, log: Log, replay: Replay) -> None:
        while not self._stop.is_set() and not replay.done:
            if self._changed.is_set():
                self._changed.clear()
                replay.change_pace(Pace(pack=self._settings.pack, rate=self._wanted[1]))
            if self._wanted[0] or self._is_ahead(log):
                self._stop.wait(_LOOK_S)
                continue
            replay.step()
            self._note(replay)

    def _is_ahead(self, log: Log) -> bool:
        at = self._learned()
        ends = log.bounds(self._topics.ratings)
        return any(bounds.end - at.get(partition, 0) > _AHEAD for partition, bounds in ends.items())

    def _note(self, replay: Replay) -> None:
        self._progress = (*replay.progress, replay.done)
