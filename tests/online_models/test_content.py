"""The content scorer against its formulas, and what it says of items that nobody has had."""

from __future__ import annotations

from dataclasses import asdict

import numba
import numpy as np
import pytest

from online_models.catalogue import ItemFacts
from online_models.content import Content, ContentConfig
from tests.online_models.event_streams import FACTS, Driver, random_stream
from tests.oracles.content_oracle import ContentOracle
from tests.oracles.history_oracle import Event
from tests.oracles.rank_oracle import walk

pytestmark = pytest.mark.oracle

CONFIG = ContentConfig(trace_length=5, step_decay=0.5, prior=2.0, year_weight=0.5, language_weight=2.0)
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
    of_formula = oracle.scores(3, trace, 0, 0)
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
            scores = {item: oracle.score(trace, facts) for item, facts in FACTS.items()}
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


def test_an_item_without_metadata_is_neither_better_nor_worse() -> None:
    driver = Driver(Content(CONFIG), "event_count")
    driver.feed(STREAM)
    scores = driver.model.scores(2, driver.histories, driver.moment())
    unknown = [item for item in range(driver.history.items) if item not in FACTS]
    assert unknown
    assert np.array_equal(scores[unknown], np.zeros(len(unknown)))


@pytest.mark.parametrize(
    ("name", "value"), [("trace_length", 0), ("step_decay", 0.0), ("step_decay", 1.5), ("prior", 0.0)]
)
def test_a_parameter_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        ContentConfig(**{name: value})  # type: ignore[arg-type]
