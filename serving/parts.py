"""What the API stands on: links to the live learner and its evaluator, the writer, titles, and a replay beside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry

from serving.access import Keys, RateLimit
from serving.kept_answers import KeptAnswers
from serving.link import Link
from serving.owners import Owners
from serving.positions import Passed, parse_position
from serving.problems import ProblemError
from serving.question import Question
from serving.shelf import Shelf
from serving.writes import EventWriter


class ReplayState(NamedTuple):
    """A replay that runs beside. rate: events a second, None for as fast as they are learned; event_time_ms: of the last."""

    dataset: str
    written: int
    total: int
    paused: bool
    rate: float | None
    event_time_ms: int | None
    done: bool


class ReplayControl(Protocol):
    """A replay that can be paused and sped up; safe for several threads."""

    def state(self) -> ReplayState:
        """How far it is."""

    def change(self, *, paused: bool, rate: float | None) -> ReplayState:
        """Go on so."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the API stands on.

    live, figures: to the learner, and to the evaluator. answer_timeout_s: of a question to the state; after_timeout_s: of
    waiting for an event. longest_wait_s: what a caller may ask to wait for an event, at most. owners: of users, None where
    all are known here. kept: answers that are given again for a moment.
    """

    live: Link
    figures: Link
    writer: EventWriter
    shelf: Shelf
    registry: CollectorRegistry
    version: str
    replay: ReplayControl | None = None
    keys: Keys = field(default_factory=Keys)
    limit: RateLimit = field(default_factory=lambda: RateLimit(0.0, 1))
    origins: tuple[str, ...] = ()
    owners: Owners | None = None
    kept: KeptAnswers = field(default_factory=KeptAnswers)
    answer_timeout_s: float = 5.0
    after_timeout_s: float = 10.0
    longest_wait_s: float = 60.0

    def attach(self) -> None:
        """Hear what learner and evaluator say in the event loop that runs."""
        self.live.attach()
        self.figures.attach()

    async def ask(self, question: Question) -> Any:
        """Ask the learner's state. Raises `ProblemError` where it is busy, or what is asked for is out of range."""
        if (kept := self.kept.of(question)) is not None:
            return kept
        try:
            answer = await self.live.ask(question, self.answer_timeout_s)
        except TimeoutError:
            raise ProblemError(
                503,
                f"the learner did not answer in {self.answer_timeout_s:g} s",
                headers={"Retry-After": "1"},
            ) from None
        except ValueError as error:
            raise ProblemError(422, str(error)) from None
        self.kept.keep(question, answer)
        return answer

    async def passed(self, after: str | None, timeout_s: float | None) -> Passed | None:
        """Wait until the learner has passed a position. Raises `ProblemError` where it does not in time."""
        if after is None:
            return None
        position = parse_position(after)
        try:
            return await self.live.positions.wait(
                position, min(timeout_s or self.after_timeout_s, self.longest_wait_s)
            )
        except TimeoutError:
            at = ".".join(f"{p}-{offset}" for p, offset in sorted(self.live.positions.at.items()))
            raise ProblemError(
                504, f"position {after} is not learned yet; the learner stands before {at}"
            ) from None
