"""A live learner with its API over an embedded log, in this process; and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx

from engram.settings import Settings, load
from eventlog.metadata import ItemMetadata
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from serving.api import build_app
from serving.parts import Serving
from serving.question import LearnerState, Question

FILMS = [
    ItemMetadata(item="1", title="Star Wars", year=1977, genres=("Action", "Sci-Fi")),
    ItemMetadata(item="2", title="The Empire Strikes Back", year=1980, genres=("Action", "Sci-Fi")),
    ItemMetadata(item="3", title="Fargo", year=1996, genres=("Crime", "Drama")),
    ItemMetadata(item="4", title="Pulp Fiction", year=1994, genres=("Crime",)),
    ItemMetadata(item="5", title="Toy Story", year=1995, genres=("Animation",)),
    ItemMetadata(item="6", title="War and Peace", year=1956, genres=("Drama", "War")),
]
TOPICS = Topics.with_prefix("engram")


class Weights(Question):
    """Ask the state for all its synapses, as (from, to, weight): what the API says is held against it."""

    answer: ClassVar[Any] = list[tuple[str, str, float]]

    def of(self, state: LearnerState) -> list[tuple[str, str, float]]:
        """See `Question.of`."""
        lane = state.streams[0].lane
        view = lane.models["hebbian"].synapse_view(lane.now)
        assert view is not None
        names = [lane.rows.items.id_of(row) for row in range(len(lane.rows.items))]
        pairs = zip(view.pre.tolist(), view.post.tolist(), view.weight.tolist(), strict=True)
        return [(names[pre], names[post], weight) for pre, post, weight in pairs]


def settings_in(folder: Path, **flags: Any) -> Settings:
    """Settings of a live learner in a folder."""
    given = {"models": ("popularity", "hebbian"), "rating_min": 1.0, "rating_max": 5.0, "drift": "none"}
    places = {"log_path": str(folder / "log.sqlite"), "checkpoint_dir": str(folder / "checkpoints")}
    return load({**given, **places, **flags}, environment={})


def put_films(settings: Settings) -> None:
    """Say what is known of the films."""
    with SqliteLog(settings.log_path) as log:
        log.create_topic(TOPICS.items, 1, compacted=True)
        with log.writer() as writer:
            writer.append(TOPICS.items, 0, [film.to_record() for film in FILMS])


Session = Callable[[Callable[[httpx.AsyncClient], Awaitable[None]]], None]


def converse(serving: Serving, conversation: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run `conversation(http)` against an application over `serving`."""

    async def run() -> None:
        transport = httpx.ASGITransport(app=build_app(serving))
        async with httpx.AsyncClient(transport=transport, base_url="http://engram", timeout=60) as http:
            await conversation(http)

    asyncio.run(run())
