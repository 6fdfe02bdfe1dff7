"""A question to state that another process may own: data, and what it finds is data again.

Nobody but the thread that owns the state may look at it: a read during a kernel's writes would tear. So the owner answers,
between two slices of learning (`serving.desk`): each answer is of a state that existed, after some event and before the next.
A question only reads; what it returns holds no view of the state, for that goes on changing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

from consumers.stream import Stream

if TYPE_CHECKING:
    from serving.growth import GrowthDiary

Streams = Sequence[Stream]
KINDS: Final[dict[str, type[Question]]] = {}


class UnknownError(LookupError):
    """What was asked for is not known: the argument says it, as a sentence."""


class LearnerState(NamedTuple):
    """What the learner's thread owns. growth: how its synapses grew; registry: its metrics."""

    streams: Streams
    growth: GrowthDiary
    registry: CollectorRegistry


class Question(msgspec.Struct, array_like=True):
    """One question. answer: the type of what it finds, as `msgspec` reads it. A kind is known by the name of its class."""

    answer: ClassVar[Any] = None

    @property
    def keep_s(self) -> float:
        """For how long an answer may be given again to whoever asks the same, in seconds."""
        return 0.0

    def __init_subclass__(cls, **settings: Any) -> None:
        """Make the kind known to whoever answers."""
        super().__init_subclass__(**settings)
        KINDS[cls.__name__] = cls

    @abstractmethod
    def of(self, state: Any) -> Any:
        """Return the answer. Raises `UnknownError`, and `ValueError` for what is out of range."""


class Lanes(Question):
    """Ask how many lanes there are: whether anybody answers."""

    answer: ClassVar[Any] = int

    def of(self, state: LearnerState) -> int:
        """See `Question.of`."""
        return len(state.streams)


class MetricsText(Question):
    """Ask for the metrics of the process that owns the state, as Prometheus reads them."""

    answer: ClassVar[Any] = bytes

    def of(self, state: LearnerState) -> bytes:
        """See `Question.of`."""
        return generate_latest(state.registry)
