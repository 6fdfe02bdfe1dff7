"""The cost of diversity: lists of one model in several orders, made just before sampled events, test then learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from consumers.catalogue_reader import facts_of
from consumers.lane import Lane
from consumers.versions import versions
from engram.lane_events import events_of
from engram.parts import lane_config
from engram.settings import Settings
from engram.source import rating_scale
from evaluation.list_measures import LENGTH, ListMeasures, Lists
from evaluation.ranking import clip_ranks, count_ranks, empty_histogram, ranking_figures
from eventlog.events import Kind
from online_models.ids import ABSENT
from online_models.interactions import Moment
from online_models.recommend import (
    SESSION_LENGTH,
    Order,
    Ordered,
    Query,
    find_candidates,
    had_items,
    put_in_order,
)
from online_models.running_session import session_items
from producers.columns import RatingColumns
from producers.stream import EventStream

_CHUNK = 1024  # lists between two updates of the measures
_READ = 4096  # events read at a time

Progress = Callable[[int, int], None]


def label_of(order: Order) -> str:
    """How tables call an order."""
    parts = [f"diversity {order.diversity:g}"]
    if order.genre_coverage:
        parts.append("genre coverage")
    if order.session:
        parts.append(f"session {order.session:g}")
    return ", ".join(parts)


class _Asked(NamedTuple):
    """One sampled event: rows (-1 unknown), number in the stream, hash of its item's id."""

    user: int
    moment: Moment
    number: int
    target: np.uint64


class _Collected:
    """Lists of one model in one order, on their way to the measures."""

    def __init__(self) -> None:
        self.measures = ListMeasures()
        self._lists = Lists(
            np.zeros((_CHUNK, LENGTH), np.uint64),
            np.full((_CHUNK, LENGTH), -1, np.int32),
            np.zeros((_CHUNK, LENGTH), np.uint64),
            np.zeros(_CHUNK, np.uint64),
            np.zeros(_CHUNK, np.int64),
        )
        self._filled = 0

    def add(self, lane: Lane, asked: _Asked, found: Ordered, first_counted: int) -> None:
        """Take a list. first_counted: number of the first event of the last 70 %."""
        at, n = self._filled, len(found.items)
        lists, catalogue = self._lists, lane.rows.catalogue.view
        lists.items[at, :n] = lane.rows.items.hashes(found.items)
        lists.item_seen[at] = -1
        lists.item_seen[at, :n] = lane.rows.history.had_by(found.items)
        lists.genres[at, :n] = catalogue.genres[catalogue.entry[found.items]]
        lists.target[at], lists.learned[at] = asked.target, asked.number
        self._filled += 1
        if self._filled == _CHUNK:
            self.flush(first_counted)

    def flush(self, first_counted: int) -> None:
        """Hand on what there is."""
        lists = Lists._make(column[: self._filled] for column in self._lists)
        self.measures.update(lists, int(np.searchsorted(lists.learned, first_counted)))
        self._filled = 0


def cost_of_diversity(
    settings: Settings,
    stream: EventStream,
    orders: Sequence[Order],
    *,
    candidates: int,
    every: int,
    progress: Progress,
) -> dict[str, Any]:
    """Learn the stream; of every `every`-th event make each model's list in each order before it is learned.

    Each list holds ten of the best `candidates`. Returns figures by model and order, JSON-able; the first order is
    what the others are compared with. Repeats are left out; an item never seen before is a miss. progress: told how
    many events are learned, and of how many.
    """
    config = lane_config(msgspec.structs.replace(settings, top_every=0))
    lane = Lane(0, (0,), 1, config)
    facts = [facts_of(item) for item in stream.items()]
    lane.rows.catalogue.add(facts, lane.rows.items)
    total = stream.total_events
    first_counted = total * 3 // 10
    collected = {name: [_Collected() for _ in orders] for name in lane.models}
    ranks = {name: empty_histogram(2) for name in lane.models}
    query = Query(LENGTH, candidates)
    for first, columns in _parts(stream, every):
        asked = _asked(lane, columns, first)
        if asked is not None:
            for name in lane.models:
                lists = _lists(lane, name, asked, query, orders)
                for of_order, found in zip(collected[name], lists, strict=True):
                    of_order.add(lane, asked, found, first_counted)
        block = lane.test_then_learn(events_of(columns, first, stream.source_id, Kind.RATING))
        for name, histograms in ranks.items():
            if block is not None:
                clipped = clip_ranks(block.ranks[name])
                histograms[0] += count_ranks(clipped)
                histograms[1] += count_ranks(clipped[max(first_counted - first, 0) :])
        progress(first + columns.size, total)
    known = lane.rows.history.items
    models = {}
    for name, of_model in collected.items():
        for one in of_model:
            one.flush(first_counted)
        models[name] = {
            "config": lane.config.fingerprint()["models"][name],
            "all_events": {
                span: ranking_figures(ranks[name][number]) for number, span in enumerate(("all", "last_70"))
            },
            "orders": [
                {
                    "label": label_of(order),
                    "diversity": order.diversity,
                    "genre_coverage": order.genre_coverage,
                    "session": order.session,
                    **{
                        span: one.measures.figures(known, number)
                        | _paired(one.measures, of_model[0].measures, number)
                        for number, span in enumerate(("all", "last_70"))
                    },
                }
                for order, one in zip(orders, of_model, strict=True)
            ],
        }
    return {
        "events": total,
        "every": every,
        "candidates": candidates,
        "known_items": known,
        "items_with_metadata": len(facts),
        "rating_scale": list(rating_scale(settings)),
        "seed": settings.seed,
        "data_digest": stream.digest(),
        "versions": versions(),
        "models": models,
    }


def _parts(stream: EventStream, every: int) -> Iterator[tuple[int, RatingColumns]]:
    """The stream in parts of `every` events, each with the number of its first."""
    size = max(_READ // every, 1) * every
    for start in range(0, stream.total_events, size):
        block = stream.block(start, size)
        for at in range(0, block.size, every):
            yield start + at, block.take(slice(at, at + every))


def _paired(measures: ListMeasures, beside: ListMeasures, span: int) -> dict[str, float | None]:
    found = measures.beside(beside, span)
    return {
        "recall@10 difference": found.difference if found else None,
        "recall@10 margin": found.margin if found else None,
        "gained": found.gained if found else None,
        "lost": found.lost if found else None,
    }


def _asked(lane: Lane, columns: RatingColumns, first: int) -> _Asked | None:
    """The question that the first event of `columns` answers; None for a repeat."""
    user = lane.rows.users.find(bytes(columns.users[0]).decode())
    item = lane.rows.items.find(bytes(columns.items[0]).decode())
    if item != ABSENT and (had_items(user, lane.rows.histories) == item).any():
        return None
    time_ms = int(columns.event_time_ms[0])
    now = first if lane.config.clock == "event_count" else max(lane.clock_time_ms, time_ms)
    # No row: no list holds it. A hash of 0 stands for no item.
    target = lane.rows.items.hashes(np.array([item], np.int32))[0] if item != ABSENT else np.uint64(0)
    return _Asked(user, Moment(now, time_ms, lane.rows.history.items), first, target)


def _lists(lane: Lane, name: str, asked: _Asked, query: Query, orders: Sequence[Order]) -> list[Ordered]:
    """The model's list in each order, all of the same candidates."""
    histories = lane.rows.histories
    scores = lane.models[name].scores(asked.user, histories, asked.moment)
    had = had_items(asked.user, histories)
    found = find_candidates(scores, had, histories.catalogue, query)
    lists = []
    for order in orders:
        pause_ms = round(order.session_pause_s * 1000)
        session = session_items(asked.user, histories, asked.moment.time_ms, pause_ms, SESSION_LENGTH)
        lists.append(put_in_order(found, histories.catalogue, query.k, order, session))
    return lists
