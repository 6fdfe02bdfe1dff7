"""An API with its learner and evaluator, put together from the settings: for `engram serve`, `engram app` and tests."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from prometheus_client import CollectorRegistry

from engram.live_replay import LiveReplay
from engram.part_hosts import PartProcess, PartThread
from engram.parts import create_topics, lane_config, open_log, topics_of
from engram.serve_part import Order, PartName
from engram.settings import Settings
from engram.source import rating_limits
from serving.access import Keys, RateLimit
from serving.link import Link
from serving.owners import Owners
from serving.parts import Serving
from serving.process_metrics import Processes
from serving.shelf import Shelf, ShelfReader
from serving.writes import EventWriter


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
    settings: Settings,
    access: Access | None = None,
    *,
    replay: bool = False,
    apart: bool = False,
    for_people: bool = False,
) -> Iterator[Serving]:
    """Start learner, evaluator, writer and reader of titles; stop them at the end, the learner with a commit.

    replay: whether the data set that the settings name is replayed beside. apart: learner and evaluator in a process each,
    which this one starts again when they end; else in threads of this process. for_people: who reads their logs.

    Raises what opening the log and restoring the checkpoint raise.
    """
    access = access or Access()
    topics = topics_of(settings)
    lane_config(settings)  # what is wrong with it is said before anything is started
    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
    owners = access.owners
    mine = None if owners is None else tuple(sorted(owners.mine))

    def hosted(part: PartName, link: Link) -> PartProcess | PartThread:
        order = Order(part=part, settings=settings, mine=mine, for_people=for_people)
        return PartProcess(order, link) if apart else PartThread(order, link)

    live, figures, shelf = Link("learner"), Link("evaluator"), Shelf()
    live.positions.elsewhere = frozenset() if owners is None else owners.elsewhere
    learner, evaluator = hosted("learner", live), hosted("evaluator", figures)
    pids: dict[str, Callable[[], int | None]] = {"api": os.getpid}
    for name, host in (("learner", learner), ("evaluator", evaluator)):
        if isinstance(host, PartProcess):
            pids[name] = functools.partial(_pid_of, host)
    registry = CollectorRegistry()
    registry.register(Processes(pids))
    titles = ShelfReader(lambda: open_log(settings), topics.items, shelf)
    writer = EventWriter(lambda: open_log(settings), topics.ratings, rating_limits(settings))
    writer.on_written = live.wake  # what is accepted is learned at once
    beside = LiveReplay(settings, topics, lambda: live.positions.at) if replay else None
    parts: list[_Part] = [learner, evaluator, writer, titles]
    started: list[Callable[[], None]] = []
    try:
        for host in (learner, evaluator):  # both at once, for they load for some seconds
            started.append(host.stop)
            host.begin()
        for part in [*parts, beside] if beside is not None else parts:
            part.start()
            if part not in (learner, evaluator):
                started.append(part.stop)
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
        with contextlib.ExitStack() as stack:
            for stop in started:  # the last first, and each whatever another raises
                stack.callback(stop)


def _pid_of(host: PartProcess) -> int | None:
    return host.pid
