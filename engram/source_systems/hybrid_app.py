"""Source system 4: a hybrid web application's evaluation, ml-latest-small, the newest fifth asked about.

As it was: its NDCG, by a scorer that pays for no hit. As it should have been: NDCG of what is in the list, diversity and
novelty beside it, and how lists get better with a new user's first 1, 2, 3, 5, 10, 15, 20 ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from engram.lane_events import events_of
from engram.parts import lane_config
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.source_systems.hybrid_parts import HybridRule, diversity, novelty, tie_averaged_ndcg
from engram.source_systems.registry import Asked
from engram.source_systems.tables import Cell, ResultTable
from engram.train_runs import Rows
from evaluation.full_catalogue import ranks_of, user_figures
from eventlog.events import Kind
from online_models.catalogue import ItemFacts
from online_models.ids import ABSENT
from online_models.interactions import Moment
from producers.columns import RatingColumns
from producers.time_split import split_by_time

STEPS: Final = (1, 2, 3, 5, 10, 15, 20)
_RELEVANT: Final = 4.0
_LIST: Final = 10
_MODELS: Final = ("popularity", "decayed_popularity", "hebbian", "blend")
_RULE: Final = "its rule (.7/.2/.1 to .3/.6/.1)"
_FIRST_EVENTS: Final = 20_000  # of a small run
_BLOCK: Final = 4096
Scorer = Callable[[int], NDArray[np.float64]]


class _Data(NamedTuple):
    """genres: float64[items, genres]. facts: of items, for online models. rows: of ids."""

    rows: Rows
    genres: NDArray[np.float64]
    facts: tuple[ItemFacts, ...]


def _genres(rows: Rows, facts: tuple[ItemFacts, ...]) -> NDArray[np.float64]:
    names = sorted({genre for fact in facts for genre in fact.genres})
    place = {name: at for at, name in enumerate(names)}
    row_of = {item.decode(): row for row, item in enumerate(rows.items.tolist())}
    genres = np.zeros((len(rows.items), len(names)))
    for fact in facts:
        if fact.item in row_of:
            genres[row_of[fact.item], [place[genre] for genre in fact.genres]] = 1.0
    return genres


def _online(
    data: _Data, train: RatingColumns, models: tuple[str, ...], settings: Settings
) -> dict[str, Scorer]:
    """Learn training once; return what scores all items (by `data.rows`, -inf for unknown ones) for a user's row."""
    config = lane_config(
        msgspec.structs.replace(settings, models=models, dataset="ml-latest-small", top_every=0)
    )
    lane = Lane(0, (0,), 1, config)
    lane.rows.catalogue.add(list(data.facts), lane.rows.items)
    for first in range(0, train.size, _BLOCK):
        lane.test_then_learn(events_of(train.take(slice(first, first + _BLOCK)), first, "app", Kind.RATING))
    users, items = lane.rows.users.find_all(data.rows.users), lane.rows.items.find_all(data.rows.items)
    known = items != ABSENT
    histories = lane.rows.histories

    def scorer(name: str) -> Scorer:
        def score(user: int) -> NDArray[np.float64]:
            found = np.full(len(items), -np.inf)
            row, time_ms = -1, lane.clock_time_ms
            if users[user] != ABSENT:
                # A list is asked for when the user has just rated.
                row = int(users[user])
                time_ms = int(histories.times_ms[histories.start[row] + histories.length[row] - 1])
            moment = Moment(lane.learned, time_ms, lane.rows.history.items)
            found[known] = lane.models[name].scores(row, histories, moment)[items[known]]
            return found

        return score

    return {name: scorer(name) for name in models}


def _rule(data: _Data, train: RatingColumns) -> Scorer:
    user, item = data.rows.of_users(train.users), data.rows.of_items(train.items)
    rule = HybridRule(data.genres, user, item, len(data.rows.users))
    return lambda one: rule.scores(np.unique(item[user == one]))


class _Answers(NamedTuple):
    """Figures of one scorer: means over users; lists: int64[users, 10] rows."""

    figures: dict[str, float]
    flattering: float
    lists: NDArray[np.int64]


def _ask(
    data: _Data,
    train: RatingColumns,
    people: NDArray[np.int64],
    relevant: list[NDArray[np.int64]],
    scorer: Scorer,
) -> _Answers:
    user, item = data.rows.of_users(train.users), data.rows.of_items(train.items)
    figures, flattering, lists = [], [], []
    for one, wanted in zip(people.tolist(), relevant, strict=True):
        own = np.unique(item[user == one])
        scores = scorer(one)
        figures.append(user_figures(ranks_of(scores, own, wanted)))
        candidates = scores.copy()
        candidates[own] = -np.inf
        top = np.argsort(-candidates, kind="stable")[:_LIST]
        lists.append(top)
        flattering.append(tie_averaged_ndcg(top, wanted, len(scores) - len(own)))
    means = {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}
    return _Answers(means, float(np.mean(flattering)), np.array(lists))


def _row(name: str, found: _Answers, data: _Data, train: RatingColumns) -> dict[str, Cell]:
    counts = np.bincount(data.rows.of_items(train.items), minlength=len(data.rows.items)).astype(np.float64)
    return {
        "model": name,
        "P@10": found.figures["precision@10"],
        "R@10": found.figures["recall@10"],
        "NDCG@10": found.figures["ndcg@10"],
        "MRR@10": found.figures["mrr@10"],
        "diversity": diversity(found.lists, data.genres),
        "novelty (bits)": novelty(found.lists, counts, train.size),
    }


def _named(models: tuple[str, ...]) -> dict[str, str]:
    return {name: name if "popularity" in name else f"Engram: {name}" for name in models}


def _evolution(
    data: _Data,
    columns: RatingColumns,
    train: RatingColumns,
    settings: Settings,
    models: tuple[str, ...],
    steps: tuple[int, ...],
) -> tuple[dict[str, Cell], ...]:
    """New users' lists after their first ratings: training, and k ratings of each, in order of time."""
    after = columns.take(slice(train.size, None))
    old = set(train.users.tolist())
    people, counts = np.unique(after.users, return_counts=True)
    liked = {user: int((after.ratings[after.users == user] >= _RELEVANT).sum()) for user in people.tolist()}
    new = [
        user
        for user, count in zip(people.tolist(), counts.tolist(), strict=True)
        if user not in old and count > steps[-1] and liked[user] > 0
    ]
    places = [np.flatnonzero(after.users == user) for user in new]
    # The same are asked about at every step: what is liked after the last of them.
    places_wanted = [rows[steps[-1] :] for rows in places]
    kept = [at for at, rows in enumerate(places_wanted) if (after.ratings[rows] >= _RELEVANT).any()]
    relevant = [
        data.rows.of_items(after.items[places_wanted[at]][after.ratings[places_wanted[at]] >= _RELEVANT])
        for at in kept
    ]
    rows: list[dict[str, Cell]] = []
    for step in steps:
        told = np.sort(np.concatenate([places[at][:step] for at in kept]))
        learned = RatingColumns.concat([train, after.take(told)])
        people_rows = data.rows.of_users(np.array([new[at] for at in kept]))
        scorers = _online(data, learned, models, settings) | {_RULE: _rule(data, learned)}
        names = _named(models) | {_RULE: _RULE}
        for name, scorer in scorers.items():
            found = _ask(data, learned, people_rows, relevant, scorer)
            rows.append(
                {"ratings given": step, "users": len(kept), **_row(names[name], found, data, learned)}
            )
    return tuple(rows)


def _published() -> dict[str, Cell]:
    return {
        "model": "published (result file)",
        "P@10": 0.025,
        "R@10": 0.0078,
        "NDCG by its scorer": 0.261,
        "NDCG@10": None,
    }


def run(asked: Asked) -> list[ResultTable]:
    """Measure both forms; see the module."""
    settings = msgspec.structs.replace(
        asked.settings, dataset="ml-latest-small", limit=_FIRST_EVENTS if asked.small else None, params=()
    )
    stream = open_stream(settings, find_source(settings).folder)
    columns = stream.block(0, stream.total_events)
    facts = tuple(ItemFacts(item.item, item.genres, item.year, item.language) for item in stream.items())
    rows = Rows(np.unique(columns.users), np.unique(columns.items))
    data = _Data(rows, _genres(rows, facts), facts)
    split = split_by_time(columns, _RELEVANT)
    by_user = np.argsort(split.users, kind="stable")
    people, first = np.unique(split.users[by_user], return_index=True)
    relevant = np.split(data.rows.of_items(split.items[by_user]), first[1:])
    models = _MODELS[:1] if asked.small else _MODELS
    scorers = _online(data, split.train, models, settings) | {_RULE: _rule(data, split.train)}
    names = _named(models) | {_RULE: _RULE}
    answers = {
        names[name]: _ask(data, split.train, data.rows.of_users(people), relevant, scorer)
        for name, scorer in scorers.items()
    }
    nothing = float(
        np.mean([tie_averaged_ndcg(np.full(_LIST, -1), wanted, len(rows.items)) for wanted in relevant])
    )
    was: list[dict[str, Cell]] = [
        _published(),
        {
            "model": "no hit for anybody",
            "P@10": 0.0,
            "R@10": 0.0,
            "NDCG by its scorer": nothing,
            "NDCG@10": 0.0,
        },
    ]
    for name, found in answers.items():
        was.append(
            {
                "model": name,
                "P@10": found.figures["precision@10"],
                "R@10": found.figures["recall@10"],
                "NDCG by its scorer": found.flattering,
                "NDCG@10": found.figures["ndcg@10"],
            }
        )
    known = np.isin(people, split.train.users)
    of = (
        f"MovieLens latest-small, cut once in time: the newest fifth is asked about, films rated 4 or better, among all films that the "
        f"user has not had. {len(people)} users, {int((~known).sum())} of whom have no event before the cut."
    )
    steps = STEPS[:3] if asked.small else STEPS
    return [
        ResultTable(
            "hybrid-app-as-it-was",
            "As it was",
            (
                of,
                "Its scorer takes all that is not in the list for one tie and pays each relevant film in it the tie's mean worth: a list without a "
                "single hit scores as much as what was published. NDCG@10 beside it counts what is in the list.",
            ),
            tuple(was),
        ),
        ResultTable(
            "hybrid-app",
            "As it should have been",
            (
                of,
                "Its content part compared texts; here it is genres. diversity: mean Jaccard distance of genres within a list; novelty: mean "
                "-log2 of an item's share of events.",
            ),
            tuple(
                sorted(
                    (_row(name, found, data, split.train) for name, found in answers.items()),
                    key=lambda row: -float(row["NDCG@10"] or 0),
                )
            ),
        ),
        ResultTable(
            "hybrid-app-evolution",
            "With a new user's first ratings",
            (
                f"Users without an event before the cut and with more than {steps[-1]} ratings after it. Of each, the first k ratings are learned; "
                "the same films are asked about at every k: those that are liked after the last of these. A list is asked for at the time of "
                "the user's newest rating.",
            ),
            _evolution(data, columns, split.train, settings, models, steps),
        ),
    ]
