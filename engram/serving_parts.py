"""A live learner with its API, put together from the settings: for `engram serve`, `engram app` and tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.learner import Learner
from engram.live_replay import LiveReplay
from engram.parts import build_learner, create_topics, lane_config, open_log, topics_of
from engram.settings import Settings
from engram.source import rating_limits
from engram.warm import warm_up_evaluator, warm_up_learner
from eventlog.topics import Topics
from serving import questions
from serving.access import Keys, RateLimit
from serving.live_evaluator import LiveEvaluator
from serving.live_learner import LiveLearner
from serving.network import Around, network
from serving.owners import Owners
from serving.parts import Serving
from serving.shelf import Shelf, ShelfReader
from serving.writes import EventWriter

_NOBODY: Final = "\x01nobody"  # no id holds a control character
_COMPILED_IN_S: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask: see `serving.access`. origins: of pages that browsers may call from; none by default.

    owners: of users, where several instances share a log; None where this one knows all.
    """

    keys: Keys = field(default_factory=Keys)
    requests_a_second: float = 0.0
    burst: int = 100
    origins: tuple[str, ...] = ()
    owners: Owners | None = None


class _Part(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextlib.contextmanager
def serving_of(
    settings: Settings, access: Access | None = None, *, replay: bool = False
) -> Iterator[Serving]:
    """Start learner, evaluator, writer and reader of titles; stop them at the end, the learner with a commit.

    replay: whether the data set that the settings name is replayed beside.

    Raises what opening the log and restoring the checkpoint raise.
    """
    access = access or Access()
    topics = topics_of(settings)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    warm_up_learner(lane_config(settings), settings.partitions)
    warm_up_evaluator()
    import networkx  # noqa: F401 (not by the thread that answers)

    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
    shelf = Shelf()
    titles = ShelfReader(lambda: open_log(settings), topics.items, shelf)
    writer = EventWriter(lambda: open_log(settings), topics.ratings, rating_limits(settings))
    owners = access.owners
    live = LiveLearner(lambda: _learner(settings, topics, registry, owners))
    live.positions.elsewhere = frozenset() if owners is None else owners.elsewhere
    writer.on_written = live.wake  # what is accepted is learned at once
    figures = LiveEvaluator(lambda: _evaluator(settings, topics, owners))
    beside = LiveReplay(settings, topics, lambda: live.positions.at) if replay else None
    parts: list[_Part] = [live, figures, writer, titles]
    started: list[Callable[[], None]] = []
    try:
        for part in [*parts, beside] if beside is not None else parts:
            part.start()
            started.append(part.stop)
        asyncio.run(_warm_up(live))
        yield Serving(
            live=live,
            figures=figures,
            replay=beside,
            writer=writer,
            shelf=shelf,
            registry=registry,
            version=version("engram-stream"),
            keys=access.keys,
            limit=RateLimit(access.requests_a_second, access.burst),
            origins=access.origins,
            owners=owners,
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
        network(Around()),
    ):
        with contextlib.suppress(questions.UnknownError):
            await live.reads.ask(question, _COMPILED_IN_S)


def _learner(
    settings: Settings, topics: Topics, registry: CollectorRegistry, owners: Owners | None
) -> Learner:
    """In the learner's own thread: connections to a log are a thread's own."""
    # Live, events are learned as they arrive; with one partition that is the merged order.
    merge = settings.merge and settings.partitions > 1 and owners is None
    settings = msgspec.structs.replace(settings, merge=merge)
    only = None if owners is None else owners.mine
    log = open_log(settings)
    return build_learner(settings, log, topics, registry, until_end=False, only=only, answers=True)


def _evaluator(settings: Settings, topics: Topics, owners: Owners | None) -> Evaluator:
    # Each instance evaluates what all of them predict, on its own.
    own = "evaluator" if owners is None else f"evaluator-{'-'.join(map(str, sorted(owners.mine)))}"
    store = CheckpointStore(Path(settings.checkpoint_dir) / own)
    return Evaluator(open_log(settings), topics.predictions, lanes=(), store=store)
