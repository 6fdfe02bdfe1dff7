"""The prequential figures of a live learner: an evaluator in a thread of its own, and what it says of now.

It reads the predictions topic as any evaluator does, so the thread that learns and answers does none of its work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from consumers.evaluator import Evaluator
from serving.reads import Reads

_STEP_S: Final = 0.25
_BLOCKS: Final = 4  # of predictions, evaluated at a time
_FRESH_S: Final = 1.0  # a description takes long: figures, and curves of all that was
_NOTHING: Final[dict[str, Any]] = {"events": 0, "figures": {}}
_log = logging.getLogger(__name__)


class LiveEvaluator:
    """Steps the evaluator that `build` makes, in that thread: connections to a log are their thread's own.

    failure: what ended the loop, None while it goes round.
    """

    def __init__(self, build: Callable[[], Evaluator]) -> None:
        self._build = build
        self.failure: BaseException | None = None
        self._reads = Reads()
        self._described = (-_FRESH_S, -1, _NOTHING)
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evaluator", daemon=True)

    def start(self) -> None:
        """Start the thread. Raises what building the evaluator raises."""
        self._thread.start()
        self._begun.wait()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Stop, with a checkpoint."""
        self._stop.set()
        self._reads.arrived.set()
        self._thread.join(30.0)

    async def latest(self, timeout_s: float) -> dict[str, Any]:
        """Return what the API says of now, made anew at most once a second. Raises `TimeoutError`."""
        found: dict[str, Any] = await self._reads.ask(self._describe, timeout_s)
        return found

    def _describe(self, evaluator: Evaluator) -> dict[str, Any]:
        made_s, events, found = self._described
        now_s = time.monotonic()
        if events != evaluator.events and now_s - made_s >= _FRESH_S:
            found = describe(evaluator)
            self._described = (now_s, evaluator.events, found)
        return found

    def _run(self) -> None:
        try:
            with self._build() as evaluator:
                self._begun.set()
                while not self._stop.is_set():
                    taken = evaluator.step(0.0, _BLOCKS)
                    self._reads.answer_some(evaluator)
                    if not taken:
                        self._reads.arrived.wait(_STEP_S)
                evaluator.checkpoint()
        except BaseException as error:
            _log.exception("figures are not made any more")
            self.failure = error
        finally:
            self._begun.set()


def describe(evaluator: Evaluator) -> dict[str, Any]:
    """Figures, the curve of Recall@10 over the smallest window, differences, lists, drifts, hand-overs: JSON-able."""
    if not evaluator.events:
        return _NOTHING
    curves = evaluator.curves()
    spans = [span for span in next(iter(curves["models"].values()), {}) if span.startswith("window_")]
    counted = sorted((span for span in spans if span.removeprefix("window_").isdecimal()), key=len)
    return {
        "events": evaluator.events,
        "total_events": evaluator.total_events,
        "figures": evaluator.figures(),
        "curve_events": curves["events"],
        "curve_span": counted[0] if counted else None,
        "curve": {model: of[counted[0]]["recall@10"] for model, of in curves["models"].items() if counted},
        "significance": evaluator.significance(),
        "beyond": evaluator.beyond(),
        "drifts": [drift._asdict() for drift in evaluator.drifts()],
        "hand_overs": evaluator.hand_overs(),
    }
