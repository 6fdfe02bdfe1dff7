"""The prequential figures of a live learner: an evaluator that answers what it says of now.

It reads the predictions topic as any evaluator does, so the thread that learns and answers does none of its work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

from consumers.evaluator import Evaluator
from serving.desk import Desk
from serving.question import Question

_STEP_S: Final = 0.25
_BLOCKS: Final = 4  # of predictions, evaluated at a time
_FRESH_S: Final = 1.0  # a description takes long: figures, and curves of all that was
_NOTHING: Final[dict[str, Any]] = {"events": 0, "figures": {}}


class Described:
    """What an evaluator says of now, made anew at most once a second."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._made_s, self._events, self._found = -_FRESH_S, -1, _NOTHING

    def now(self) -> dict[str, Any]:
        """Return it."""
        now_s, events = time.monotonic(), self._evaluator.events
        if events != self._events and now_s - self._made_s >= _FRESH_S:
            self._found = describe(self._evaluator)
            self._made_s, self._events = now_s, events
        return self._found


class FiguresOfNow(Question):
    """Ask for what an evaluator says of now; see `describe`."""

    answer: ClassVar[Any] = dict[str, Any]

    def of(self, state: Described) -> dict[str, Any]:
        """See `Question.of`."""
        return state.now()


def evaluate_and_answer(evaluator: Evaluator, desk: Desk, stop: Callable[[], bool]) -> None:
    """Step an evaluator, and answer at `desk` in between, until `stop` says so or nobody is there to ask; then a checkpoint."""
    described = Described(evaluator)
    while not desk.closed and not stop():
        taken = evaluator.step(0.0, _BLOCKS)
        desk.stand({})
        desk.answer_some(described)
        if not taken:
            desk.wait(_STEP_S)
    evaluator.checkpoint()


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
