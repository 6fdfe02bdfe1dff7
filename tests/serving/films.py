"""A small world for the page: films of two tastes, and people who have one of them each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eventlog.metadata import ItemMetadata
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from serving.bodies import EventIn

FILMS = tuple(
    ItemMetadata(
        item=str(number),
        title=f"{'Robot' if number % 2 else 'Garden'} {number} (19{60 + number})",
        year=1960 + number,
        genres=("Sci-Fi", "Action") if number % 2 else ("Drama", "Romance"),
    )
    for number in range(1, 31)
)


def put_films(log_path: Path) -> None:
    """Write the films to the topic `items` of a new log."""
    topics = Topics.with_prefix("engram")
    with SqliteLog(log_path) as log:
        log.create_topic(topics.items, 1, compacted=True)
        with log.writer() as writer:
            writer.append(topics.items, 0, [film.to_record() for film in FILMS])


def ratings(users: int = 100, each: int = 13, seed: int = 0) -> list[EventIn]:
    """Each user has `each` films of one taste, odd or even ones, in an order of their own, a minute apart."""
    random = np.random.default_rng(seed)
    events = []
    for user in range(users):
        taste = [film.item for film in FILMS if int(film.item) % 2 == user % 2]
        for at, item in enumerate(random.permutation(taste)[:each].tolist()):
            time_ms = 1_000_000_000_000 + 60_000 * (user * each + at)
            rating = float(random.integers(3, 6))
            events.append(EventIn(user=f"u{user}", item=str(item), rating=rating, event_time_ms=time_ms))
    return events
