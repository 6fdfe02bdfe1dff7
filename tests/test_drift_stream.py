"""A synthetic stream whose tastes flip: every flip is noticed in time, nothing else is, and recall comes back.

The small version of `benchmarks/drift_stream.py`, which says it of ten million events.
"""

from __future__ import annotations

import pytest

from benchmarks.drift_stream import IN_TIME, Course, drifting, lane_config, learn
from consumers.lane import Lane
from producers.synthetic import ITEMS, TASTE, SyntheticStream

EVENTS, EVERY = 180_000, 60_000
MODELS = ("decayed_popularity", "hebbian")


@pytest.fixture(scope="module")
def course() -> Course:
    return learn(SyntheticStream(drifting(EVENTS, EVERY, seed=5)), Lane(0, (0,), 1, lane_config(MODELS)))[0]


def test_flips_are_noticed_in_time_and_nothing_else_is(course: Course) -> None:
    flips = course.flips()
    assert [(flip.at, flip.kind) for flip in flips] == [(EVERY, ITEMS), (2 * EVERY, TASTE)]
    for flip in flips:
        assert flip.delay is not None
        assert flip.delay <= IN_TIME
    # Synapses hold no more when items are dealt anew; what popularity alone does better after a turn of tastes.
    assert "hebbian" in flips[0].noticed
    assert "decayed_popularity" in flips[1].noticed
    assert course.false_alarms() == []


def test_recall_is_back_within_twenty_thousand_events(course: Course) -> None:
    for flip in course.flips():
        for model, back in flip.back.items():
            assert back is not None, (flip, model)
            assert back <= 20_000
    assert course.flips()[0].dropped["hebbian"] < 0.5


def test_after_items_are_dealt_anew_fading_faster_pays(course: Course) -> None:
    lane = Lane(0, (0,), 1, lane_config(MODELS, adapt=False))
    plain, _ = learn(SyntheticStream(drifting(EVENTS, EVERY, seed=5)), lane, until=EVERY + 20_480)
    first_20_000 = EVERY, EVERY + 20_000
    assert course.recall("hebbian", 0, EVERY) == plain.recall("hebbian", 0, EVERY)
    assert course.recall("hebbian", *first_20_000) > 1.05 * plain.recall("hebbian", *first_20_000)
