"""Answers of a moment ago, for what is expensive and the same for whoever asks: the learner stops for each one it makes."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final

import msgspec

from serving.question import Question

MOST_KEPT: Final = 128
_encode: Final = msgspec.msgpack.Encoder().encode


class KeptAnswers:
    """Answers by question, each for as long as `Question.keep_s` says; the oldest goes where there are too many.

    Of one event loop.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], tuple[float, Any]] = OrderedDict()

    def of(self, question: Question) -> Any | None:
        """An answer that may be given again; None where there is none."""
        if question.keep_s <= 0.0 or (kept := self._kept.get(_key(question))) is None:
            return None
        until_s, answer = kept
        return answer if time.monotonic() < until_s else None

    def keep(self, question: Question, answer: Any) -> None:
        """Keep an answer, if it is one to be kept."""
        if question.keep_s <= 0.0:
            return
        key = _key(question)
        self._kept[key] = time.monotonic() + question.keep_s, answer
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _key(question: Question) -> tuple[str, bytes]:
    return type(question).__name__, _encode(question)
