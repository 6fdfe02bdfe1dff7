"""Lists against plain Python, on small streams: candidates, filters, diversity, coverage of genres, sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.catalogue import Catalogue, CatalogueStore
from online_models.interactions import Histories
from online_models.popularity import Popularity
from online_models.recommend import EVERYTHING, Order, Query, filters_of, recommend
from online_models.rerank import fill_relevance, rerank
from online_models.running_session import session_items
from online_models.similarity import similarity_of
from tests.online_models.event_streams import FACTS, Driver, random_stream
from tests.oracles.recommend_oracle import Known, mmr, relevance, session, similarity

pytestmark = pytest.mark.oracle

EIGHTHS = st.integers(0, 8).map(lambda eighths: eighths / 8)
YEARS = (0, 1960, 1970, 1990)  # powers of 2 apart, as exact as products with eighths


def made_catalogue(known: list[Known]) -> Catalogue:
    """Row i is item i."""
    n = len(known)
    return CatalogueStore().view._replace(
        entry=np.arange(1, n + 1, dtype=np.int32),
        genres=np.array([0, *(sum(1 << genre for genre in of.genres) for of in known)], np.uint64),
        year=np.array([0, *(of.year for of in known)], np.int16),
    )


def known_of(catalogue: Catalogue, row: int) -> Known:
    entry = int(catalogue.entry[row])
    mask = int(catalogue.genres[entry])
    return Known(frozenset(bit for bit in range(64) if mask >> bit & 1), int(catalogue.year[entry]))


@pytest.fixture(scope="module")
def driver() -> Driver:
    """A lane with popularity, after 300 events of 25 users and 40 items, some of them without metadata."""
    driven = Driver(Popularity(), "event_count")
    driven.feed(random_stream(5, 300, users=25, items=40))
    return driven


def catalogue_of(driver: Driver) -> Catalogue:
    catalogue = driver.histories.catalogue
    entry = np.zeros(40, np.int32)
    rows = [row for row in FACTS if row < 40]
    entry[rows] = np.arange(1, len(rows) + 1)
    return catalogue._replace(entry=entry)


def histories_of(driver: Driver) -> Histories:
    return driver.histories._replace(catalogue=catalogue_of(driver))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_reranking_is_that_of_the_formula(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 9))
    k = data.draw(st.integers(0, 11))
    relevances = data.draw(st.lists(EIGHTHS, min_size=n, max_size=n))
    known = [
        Known(data.draw(st.frozensets(st.integers(0, 5), max_size=3)), data.draw(st.sampled_from(YEARS)))
        for _ in range(n)
    ]
    diversity = data.draw(EIGHTHS)
    covering = data.draw(st.booleans())
    picks, nearest = np.zeros(k, np.int32), np.zeros(n)
    count = rerank(
        np.arange(n, dtype=np.int32),
        np.array(relevances, np.float64),
        made_catalogue(known),
        diversity,
        covering,
        nearest,
        picks,
    )
    similarities = [[similarity(a, b) for b in known] for a in known]
    expected = mmr(relevances, similarities, [of.genres for of in known], k, diversity, covering)
    assert picks[:count].tolist() == expected
    for place, pick in enumerate(expected):
        before = [similarities[pick][other] for other in expected[:place]]
        assert nearest[pick] == max(before, default=0.0)


@settings(max_examples=60, deadline=None)
@given(scores=st.lists(st.integers(0, 5), max_size=20))
def test_relevance_is_of_ranks_and_equal_for_equal_scores(scores: list[int]) -> None:
    ordered = sorted(scores, reverse=True)
    out = np.zeros(len(scores))
    fill_relevance(np.array(ordered, np.float64), out)
    assert out.tolist() == pytest.approx(relevance(ordered), rel=1e-12)


def test_similarity_is_that_of_the_formula(driver: Driver) -> None:
    catalogue = catalogue_of(driver)
    known = [known_of(catalogue, row) for row in range(40)]
    assert {bool(of.genres) for of in known} == {True, False} == {bool(of.year) for of in known}
    for a in range(40):
        for b in range(40):
            assert similarity_of(a, b, catalogue) == pytest.approx(similarity(known[a], known[b]), rel=1e-12)


def test_similarity_by_hand() -> None:
    """Drama, 1960, beside drama and crime, 1970: (3 * 1/2 + 1 * 1/2) / 4; what is not known of one does not count."""
    known = [
        Known(frozenset({0}), 1960),
        Known(frozenset({0, 2}), 1970),
        Known(frozenset({1})),
        Known(),
        Known(frozenset(), 1980),
    ]
    catalogue = made_catalogue(known)
    assert similarity_of(0, 1, catalogue) == 0.5
    assert similarity_of(1, 2, catalogue) == 0.0
    assert similarity_of(0, 3, catalogue) == 0.5
    assert similarity_of(0, 4, catalogue) == 0.25


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 12), max_size=12),
    wait=st.integers(0, 12),
    most=st.integers(1, 14),
)
def test_a_session_goes_back_to_the_last_pause(steps: list[int], wait: int, most: int) -> None:
    times = np.cumsum(np.array(steps, np.int64))
    n = len(times)
    catalogue = Driver(Popularity(), "event_count").histories.catalogue
    histories = Histories(
        np.zeros(1, np.int64),
        np.array([n], np.int32),
        np.arange(n, dtype=np.int32),
        times,
        np.zeros(n, np.float32),
        catalogue,
    )
    now = (int(times[-1]) if n else 0) + wait
    found = session_items(0, histories, now, 10, most)
    count = session(times.tolist(), now, 10, most)
    assert found.tolist() == list(range(n - count, n))
    assert len(session_items(-1, histories, now, 10, most)) == 0


@pytest.mark.parametrize("user", [-1, 0, 7])
def test_the_default_order_is_the_models_own(driver: Driver, user: int) -> None:
    histories, moment = driver.histories, driver.moment()
    found = recommend(driver.model, user, histories, moment, Query(k=12))
    own = driver.model.recommend(user, 12, histories, moment)
    assert found.items.tolist() == own.items.tolist()
    assert found.scores.tolist() == own.scores.tolist()
    assert found.ranks.tolist() == list(range(1, 13))


@pytest.mark.parametrize("order", [Order(0.3), Order(0.6, genre_coverage=True), Order(0.2, session=0.5)])
@pytest.mark.parametrize("user", [-1, 3])
def test_a_list_is_that_of_the_oracle(driver: Driver, user: int, order: Order) -> None:
    histories = histories_of(driver)
    had: list[int] = []
    times_ms: list[int] = []
    stars: list[float] = []
    if user >= 0:
        start, end = histories.start[user], histories.start[user] + histories.length[user]
        stars = histories.ratings[start:end].tolist()
        had, times_ms = histories.items[start:end].tolist(), histories.times_ms[start:end].tolist()
    moment = driver.moment()._replace(time_ms=times_ms[-1] if times_ms else 0)
    order = replace(order, session_pause_s=3_600.0)
    query = Query(k=8, candidates=15, order=order)
    found = recommend(driver.model, user, histories, moment, query)

    scores = driver.model.scores(user, histories, moment)
    best = sorted((row for row in range(len(scores)) if row not in had), key=lambda row: -scores[row])[:15]
    known = {row: known_of(histories.catalogue, row) for row in range(len(scores))}
    relevances = relevance([scores[row] for row in best])
    first = len(had) - session(times_ms, moment.time_ms, 3_600_000, 20)
    # Nobody is pulled to what they disliked; the scale is 1 to 5.
    recent = [row for row, given in zip(had[first:], stars[first:], strict=True) if given >= 3.0]
    if order.session and recent:
        relevances = [
            order.session * sum(similarity(known[row], known[other]) for other in recent) / len(recent)
            + (1 - order.session) * own
            for row, own in zip(best, relevances, strict=True)
        ]
    alike = [[similarity(known[a], known[b]) for b in best] for a in best]
    genres = [known[row].genres for row in best]
    expected = mmr(relevances, alike, genres, 8, order.diversity, order.genre_coverage)
    assert found.items.tolist() == [best[i] for i in expected]
    assert found.ranks.tolist() == [i + 1 for i in expected]
    if user >= 0 and order.session:
        assert 0 < len(recent) < len(had) - first


def test_filters_leave_in_only_what_passes_and_are_applied_before_candidates_are_cut(driver: Driver) -> None:
    histories, moment = histories_of(driver), driver.moment()
    filters = filters_of(driver.catalogue.genres, ["Drama", "Horror"], 1900, 1999)
    bits = {driver.catalogue.genres.index(name) for name in ("Drama", "Horror")}
    query = Query(k=40, candidates=1, filters=filters, include_seen=True)
    found = recommend(driver.model, 2, histories, moment, query)
    known = [known_of(histories.catalogue, row) for row in range(moment.items)]
    passing = {row for row, of in enumerate(known) if of.genres & bits and 1900 <= of.year <= 1999}
    assert set(found.items.tolist()) == passing
    assert 3 < len(passing) < moment.items


def test_seen_items_only_where_asked_for_and_passed_over_ones_never(driver: Driver) -> None:
    histories, moment = driver.histories, driver.moment()
    had = set(histories.items[histories.start[4] : histories.start[4] + histories.length[4]].tolist())
    everything = recommend(driver.model, 4, histories, moment, Query(k=40, include_seen=True)).items.tolist()
    fresh = recommend(driver.model, 4, histories, moment, Query(k=40)).items.tolist()
    assert had and set(everything) == set(range(moment.items))
    assert fresh == [row for row in everything if row not in had]
    passed_over = np.array(fresh[:3], np.int32)
    assert recommend(driver.model, 4, histories, moment, Query(k=40), passed_over).items.tolist() == fresh[3:]


def test_no_items_give_no_list() -> None:
    empty = Driver(Popularity(), "event_count")
    assert len(recommend(empty.model, -1, empty.histories, empty.moment(), Query()).items) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Order(diversity=1.5), "diversity is 1.5, expected 1 at most"),
        (lambda: Order(session=float("nan")), "session is nan, expected 0 or more"),
        (lambda: Query(k=0), "k is 0, expected 1 or more"),
        (lambda: filters_of(["Drama"], ["drama"]), "genre is 'drama', expected one of Drama"),
        (lambda: filters_of([], year_from=2000, year_to=1990), "year_from is 2000, expected at most year_to"),
        (lambda: filters_of([], year_to=-1), "year_to is -1, expected a year from 1"),
    ],
)
def test_bad_requests_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_no_filters_is_the_default() -> None:
    assert filters_of(["Drama"]) == EVERYTHING
