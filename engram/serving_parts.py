"""A live learner with its API, put together from the settings: for `engram serve`, `engram app` and tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.learner import Learner
from engram.parts import build_learner, create_topics, lane_config, open_log
from engram.settings import Settings
from engram.source import rating_limits
from engram.warm import warm_up_evaluator, warm_up_learner
from eventlog.topics import Topics
from serving import questions
from serving.access import Keys, RateLimit
from serving.api import Serving
from serving.live_learner import LiveLearner
from serving.shelf import Shelf, ShelfReader
from serving.writes import EventWriter

_NOBODY: Final = "\x01nobody"  # no id holds a control character
_COMPILED_IN_S: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask: see `serving.access`. origins: of pages that browsers may call from; none by default."""

    keys: Keys = field(default_factory=Keys)
    requests_a_second: float = 0.0
    burst: int = 100
    origins: tuple[str, ...] = ()


@contextlib.contextmanager
def serving_of(settings: Settings, access: Access | None = None) -> Iterator[Serving]:
    """Start learner, writer and reader of titles; stop them at the end, the learner with a commit.

    Raises what opening the log and restoring the checkpoint raise.
    """
    access = access or Access()
    topics = Topics.with_prefix(settings.topic_prefix)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    warm_up_learner(lane_config(settings), settings.partitions)
    warm_up_evaluator()
    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
    shelf = Shelf()
    titles = ShelfReader(lambda: open_log(settings), topics.items, shelf)
    writer = EventWriter(lambda: open_log(settings), topics.ratings, rating_limits(settings))
    live = LiveLearner(lambda: _build(settings, topics, registry))
    started: list[Callable[[], None]] = []
    try:
        for start, stop in (
            (live.start, live.stop),
            (writer.start, writer.stop),
            (titles.start, titles.stop),
        ):
            start()
            started.append(stop)
        asyncio.run(_warm_up(live))
        yield Serving(
            live=live,
            writer=writer,
            shelf=shelf,
            registry=registry,
            version=version("engram-stream"),
            keys=access.keys,
            limit=RateLimit(access.requests_a_second, access.burst),
            origins=access.origins,
        )
    finally:
        for stop in reversed(started):
            stop()


async def _warm_up(live: LiveLearner) -> None:
    """Ask each kind of question once, whatever the answer: kernels are compiled at the first."""
    everything = questions.Asking(diversity=0.1, session=0.1, genre_coverage=True, explain=True)
    for question in (
        questions.recommendations(_NOBODY, everything),
        questions.similar(_NOBODY, 1),
        questions.profile(_NOBODY),
    ):
        with contextlib.suppress(questions.UnknownError):
            await live.reads.ask(question, _COMPILED_IN_S)


def _build(settings: Settings, topics: Topics, registry: CollectorRegistry) -> tuple[Learner, Evaluator]:
    """In the learner's own thread: connections to a log are a thread's own."""
    log = open_log(settings)
    # Live, events are learned as they arrive; with one partition that is the merged order.
    settings = msgspec.structs.replace(settings, merge=settings.merge and settings.partitions > 1)
    learner = build_learner(settings, log, topics, registry, until_end=False)
    store = CheckpointStore(Path(settings.checkpoint_dir) / "evaluator")
    return learner, Evaluator(log, topics.predictions, lanes=(), store=store)
