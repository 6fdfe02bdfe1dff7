"""The content scorer against its formulas, and what it says of items that nobody has had."""

from __future__ import annotations

import math
from dataclasses import asdict

import numba
import numpy as np
import pytest

from online_models.catalogue import CatalogueStore, ItemFacts
from online_models.content import Content, ContentConfig
from online_models.interactions import Moment
from tests.online_models.event_streams import FACTS, Driver, random_stream
from tests.oracles.content_oracle import ContentOracle
from tests.oracles.history_oracle import Event
from tests.oracles.rank_oracle import walk

pytestmark = pytest.mark.oracle

CONFIG = ContentConfig(
    trace_length=5, step_decay=0.5, prior=2.0, year_weight=0.5, language_weight=2.0, tag_weight=1.5
)
STREAM = random_stream(51, 60 if numba.config.DISABLE_JIT else 300, users=15, items=40)


def test_ranks_and_scores_are_those_of_the_formula() -> None:
    driver = Driver(Content(CONFIG), "event_count")
    oracle = ContentOracle(asdict(CONFIG), FACTS)
    expected = list(walk(oracle, STREAM, "event_count"))
    ranks = driver.feed(STREAM)
    for rank, one in zip(ranks.tolist(), expected, strict=True):
        assert one.lowest <= rank <= one.highest
    had = {event.item: event.time_ms for event in STREAM if event.user == 3}
    trace = [(item, 0) for item in dict.fromkeys(event.item for event in STREAM if event.user == 3)]
    assert had
    scores = driver.model.scores(3, driver.histories, driver.moment())
    of_formula = oracle.scores(3, trace, 0, driver.moment().time_ms)
    for item, score in enumerate(scores.tolist()):
        assert score == pytest.approx(of_formula.get(item, 0.0), rel=1e-9, abs=1e-12)


def test_a_cold_rank_is_among_the_whole_catalogue() -> None:
    driver = Driver(Content(CONFIG), "event_count")
    oracle = ContentOracle(asdict(CONFIG), FACTS)
    said = driver.predict(STREAM)
    traces: dict[int, list[tuple[int, int]]] = {}
    known: set[int] = set()
    checked = 0
    for at, event in enumerate(STREAM):
        trace = traces.setdefault(event.user, [])
        had = {item for item, _ in trace}
        new = event.item not in known
        if new and event.item in FACTS:
            scores = {item: oracle.score(trace, facts, event.time_ms) for item, facts in FACTS.items()}
            own = scores[event.item]
            others = [score for item, score in scores.items() if item not in had and item != event.item]
            low = 1 + sum(score > own + 1e-9 for score in others)
            high = 1 + sum(score >= own - 1e-9 for score in others)
            assert low <= said.cold[at] <= high
            checked += 1
        else:
            assert said.cold[at] == 0
        if event.item not in had:
            oracle.learn(event, trace, 0, 0)
            trace.append((event.item, event.time_ms))
        known.add(event.item)
    assert checked > 10


def test_who_likes_westerns_is_offered_the_western_that_nobody_has_had() -> None:
    """By hand: a user of two westerns, a catalogue with one more and five comedies, none of them ever had."""
    driver = Driver(Content(), "event_count")
    driver.catalogue.add(
        [
            ItemFacts("0", ("Western",), 1960, "en"),
            ItemFacts("1", ("Western",), 1962, "en"),
            ItemFacts("2", ("Western",), 1961, "en"),
            *(ItemFacts(f"comedy {n}", ("Comedy",), 1999, "en") for n in range(5)),
        ],
        driver.items,
    )
    said = driver.predict([Event(0, 0, 0), Event(0, 1, 1), Event(0, 2, 2)])
    assert said.ranks.tolist() == [-1, -1, -1]
    assert said.cold[2] == 1


def tagged(*tags: tuple[int, int, str]) -> list[ItemFacts]:
    """Five items of which nothing is known but `tags`: (item, event_time_ms, text)."""
    return [
        ItemFacts(str(item), (), None, None, [(at, text) for of, at, text in tags if of == item])
        for item in range(5)
    ]


def test_a_tag_that_two_items_share_speaks_for_the_other_one_from_its_time_on() -> None:
    """By hand, at time 100: of four known tags two are noir, and the user's one item has noir alone.

    t(noir) = 1 and b(noir) = 2/4, so p = (1 + 10 / 2) / (1 + 10) = 6/11. Item 1 has noir as one of two tags: its score
    is half of log(6/11 / (1/2)). Item 2 is called noir at 100, which is not before it.
    """
    driver = Driver(Content(), "event_count")
    driver.catalogue = CatalogueStore()
    driver.catalogue.add(
        tagged((0, 10, "noir"), (1, 20, "Noir"), (1, 30, "slow"), (3, 40, "slow"), (2, 100, "noir")),
        driver.items,
    )
    driver.feed([Event(1, 0, 0), Event(1, 1, 0), Event(1, 2, 0), Event(1, 3, 0), Event(0, 0, 50)])
    scores = driver.model.scores(0, driver.histories, Moment(5, 100, 4))
    assert scores == pytest.approx([math.log(12 / 11), math.log(12 / 11) / 2, 0.0, 0.0], rel=1e-12)
    # A moment later five are known, three of them noir: p = (1 + 6) / 11, and log(7/11 / (3/5)).
    scores = driver.model.scores(0, driver.histories, Moment(5, 101, 4))
    assert scores == pytest.approx([math.log(35 / 33) * x for x in (1, 1 / 2, 1, 0)], rel=1e-12)
    # And before any of them was given, nothing.
    assert not driver.model.scores(0, driver.histories, Moment(5, 10, 4)).any()


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_a_tag_changes_nothing_before_its_time_comes(late: float) -> None:
    """Other tags from the middle on leave the answers to all events up to it as they were, late events too."""
    stream = random_stream(52, 60 if numba.config.DISABLE_JIT else 300, users=15, items=40, late=late)
    middle = sorted(event.time_ms for event in stream)[len(stream) // 2]
    drivers = [Driver(Content(CONFIG), "event_count") for _ in range(2)]
    others = [
        fact._replace(
            tags=[tag for tag in fact.tags if tag[0] < middle] + [(middle, "dark"), (middle, "new")]
        )
        for fact in FACTS.values()
    ]
    drivers[1].catalogue.add(others, drivers[1].items)
    one, other = (driver.predict(stream) for driver in drivers)
    before = np.array([event.time_ms <= middle for event in stream])
    for mine, its in ((one.ranks, other.ranks), (one.cold, other.cold)):
        assert mine[before].tolist() == its[before].tolist()
    assert one.ranks[~before].tolist() != other.ranks[~before].tolist()


def test_what_is_said_of_tags_midway_is_as_if_the_model_came_new_to_it() -> None:
    half = len(STREAM) // 2
    first, second = (Driver(Content(CONFIG), "event_count") for _ in range(2))
    more = [fact._replace(tags=[*fact.tags, (5, "dark"), (10**12, "slow")]) for fact in FACTS.values()]
    for driver in (first, second):
        driver.feed(STREAM[:half])
        driver.catalogue.add(more, driver.items)
    saved = {name: array.copy() for name, array in second.model.arrays().items()}
    second.model = Content(CONFIG)
    second.model.restore(saved)
    one, other = first.predict(STREAM[half:]), second.predict(STREAM[half:])
    assert one.ranks.tolist() == other.ranks.tolist()
    assert one.cold.tolist() == other.cold.tolist()


def test_an_item_without_metadata_is_neither_better_nor_worse() -> None:
    driver = Driver(Content(CONFIG), "event_count")
    driver.feed(STREAM)
    scores = driver.model.scores(2, driver.histories, driver.moment())
    unknown = [item for item in range(driver.history.items) if item not in FACTS]
    assert unknown
    assert np.array_equal(scores[unknown], np.zeros(len(unknown)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("trace_length", 0), ("step_decay", 0.0), ("step_decay", 1.5), ("prior", 0.0), ("tag_weight", -1.0)],
)
def test_a_parameter_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        ContentConfig(**{name: value})  # type: ignore[arg-type]
