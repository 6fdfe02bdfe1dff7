"""From a model's exact scores to the list that a user is shown: candidates, filters, and the order among them.

1. Candidates: the best by the model's own scores, without what the user has had (unless asked for), what was shown in
   the session and passed over, and what the filters leave out.
2. Relevance of each, from its rank (see `rerank`); pulled towards the running session by `session`:

       relevance(c) = (1 - session) relevance(c) + session * mean similarity of c to the session's items

   but for those that the user has rated below the middle of the scale: nobody is pulled to what they disliked.
3. Maximal marginal relevance, and genre coverage.

With the default order the list is that of `Model.recommend`, item by item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import Catalogue
from online_models.interactions import Histories, Moment
from online_models.model import Model
from online_models.parameter_ranges import check_range
from online_models.rerank import fill_relevance, rerank
from online_models.running_session import session_items
from online_models.similarity import fill_likeness
from online_models.top_k import best_of

NO_ROWS = np.zeros(0, np.int32)
SESSION_LENGTH = 20  # items of a session that are looked at, the last ones


class Filters(NamedTuple):
    """What an item must be. genres: bits, of which it must have one; 0: any. years: within both, 0: no limit.

    An item of which genres or year are not known is left out by a filter of them.
    """

    genres: int = 0
    year_from: int = 0
    year_to: int = 0


EVERYTHING = Filters()


@dataclass(frozen=True)
class Order:
    """How candidates are put in order; the default is the model's own.

    diversity: 0 (relevance alone) to 1 (similarity alone), of maximal marginal relevance. genre_coverage: each pick
    after the first half of the list adds a genre. session: 0 to 1, how much a list is pulled to the running session,
    which is what the user had without a pause of session_pause_s (event time), up to now.
    """

    diversity: float = 0.0
    genre_coverage: bool = False
    session: float = 0.0
    session_pause_s: float = 1_800.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "diversity", "session", least=0, most=1)
        check_range(self, "session_pause_s", above=0)


@dataclass(frozen=True)
class Query:
    """What is asked for: k items out of the best `candidates` (at least k) that pass the filters, in an order."""

    k: int = 10
    candidates: int = 100
    filters: Filters = EVERYTHING
    order: Order = Order()
    include_seen: bool = False

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "k", "candidates", least=1, most=10_000)


class Candidates(NamedTuple):
    """The best items by the model's scores: items int32[n] rows, scores float64[n], best first."""

    items: NDArray[np.int32]
    scores: NDArray[np.float64]


class Ordered(NamedTuple):
    """A list, best first. items: int32[k] rows; scores: float64[k], the model's own.

    ranks: int32[k], place of each among the candidates, 1 for the model's best. nearest: float64[k], the greatest
    similarity to an item before it in the list, 0 for the first.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int32]
    nearest: NDArray[np.float64]


def filters_of(
    known_genres: Sequence[str],
    genres: Sequence[str] = (),
    year_from: int | None = None,
    year_to: int | None = None,
) -> Filters:
    """Make filters from names. known_genres: of the lane's catalogue, in the order of their bits.

    Raises `ValueError` naming a genre that is not known, or years that leave nothing.
    """
    mask = 0
    for genre in genres:
        if genre not in known_genres:
            expected = ", ".join(sorted(known_genres)) or "none, for no genres are known"
            raise ValueError(f"genre is {genre!r}, expected one of {expected}")
        mask |= 1 << known_genres.index(genre)
    for name, year in (("year_from", year_from), ("year_to", year_to)):
        if year is not None and not 0 < year < 1 << 15:
            raise ValueError(f"{name} is {year}, expected a year from 1 to {(1 << 15) - 1}")
    if year_from is not None and year_to is not None and year_from > year_to:
        raise ValueError(f"year_from is {year_from}, expected at most year_to, {year_to}")
    return Filters(mask, year_from or 0, year_to or 0)


@numba.njit(cache=True)
def bar_filtered(
    catalogue: Catalogue, genres: np.uint64, year_from: int, year_to: int, barred: NDArray[np.bool_]
) -> None:
    """Set barred[row] (bool[items]) of items that do not pass the filters; see `Filters`."""
    for row in range(len(barred)):
        entry = catalogue.entry[row]
        year = catalogue.year[entry]
        barred[row] |= (
            (genres != 0 and catalogue.genres[entry] & genres == 0)
            or (year_from > 0 and (year == 0 or year < year_from))
            or (year_to > 0 and (year == 0 or year > year_to))
        )


def had_items(user: int, histories: Histories) -> NDArray[np.int32]:
    """Rows of what the user has had, oldest first; a view. user: -1 for an unknown one."""
    if user < 0:
        return NO_ROWS
    start = int(histories.start[user])
    return histories.items[start : start + int(histories.length[user])]


def find_candidates(
    scores: NDArray[np.float64],
    had: NDArray[np.int32],
    catalogue: Catalogue,
    query: Query,
    passed_over: NDArray[np.int32] = NO_ROWS,
) -> Candidates:
    """Return the best of `scores` (float64[items]) without the rows `had` and `passed_over` that pass the filters.

    had: int32 rows, which stay in where the query includes what was seen.
    """
    barred = np.zeros(len(scores), np.bool_)
    if not query.include_seen:
        barred[had] = True
    barred[passed_over] = True
    filters = query.filters
    if filters != EVERYTHING:
        bar_filtered(catalogue, np.uint64(filters.genres), filters.year_from, filters.year_to, barred)
    return Candidates(*best_of(scores, barred, max(query.candidates, query.k)))


def disliked(user: int, last: int, histories: Histories, scale: tuple[float, float]) -> NDArray[np.bool_]:
    """Which of the user's last items have a rating below the middle of the scale; bool[last]. One without a rating has not."""
    end = int(histories.start[user]) + int(histories.length[user])
    return histories.ratings[end - last : end] < (scale[0] + scale[1]) / 2


def put_in_order(
    candidates: Candidates,
    catalogue: Catalogue,
    k: int,
    order: Order,
    session: NDArray[np.int32] = NO_ROWS,
) -> Ordered:
    """Return the k best of the candidates, fewer where there are no more. session: rows, of the running session."""
    items, scores = candidates
    relevance, nearest = np.empty(len(items)), np.empty(len(items))
    fill_relevance(scores, relevance)
    if order.session > 0 and len(session):
        likeness = np.empty(len(items))
        fill_likeness(items, session, catalogue, likeness)
        relevance = (1.0 - order.session) * relevance + order.session * likeness
    picks = np.empty(k, np.int32)
    covering = order.genre_coverage
    count = rerank(items, relevance, catalogue, float(order.diversity), covering, nearest, picks)
    picks = picks[:count]
    return Ordered(items[picks], scores[picks], picks + np.int32(1), nearest[picks])


def recommend(
    model: Model,
    user: int,
    histories: Histories,
    moment: Moment,
    query: Query,
    passed_over: NDArray[np.int32] = NO_ROWS,
) -> Ordered:
    """Return what `user` (-1: unknown) is shown at `moment`; pure, as `Model.recommend` is.

    passed_over: int32 rows of items that were shown in the session and not taken: they are left out.
    """
    scores = model.scores(user, histories, moment)
    candidates = find_candidates(scores, had_items(user, histories), histories.catalogue, query, passed_over)
    pause_ms = round(query.order.session_pause_s * 1000)
    session = session_items(user, histories, moment.time_ms, pause_ms, SESSION_LENGTH)
    if query.order.session > 0 and len(session):
        session = session[~disliked(user, len(session), histories, model.situation.scale)]
    return put_in_order(candidates, histories.catalogue, query.k, query.order, session)
