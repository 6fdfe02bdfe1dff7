"""A lane: events to ranks and state, the clock, duplicates, and a restore that equals no interruption."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.predictions import NEW_ITEM, NEW_USER, REPEAT, PredictionBlock
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import CheckpointMismatchError, SettingsError
from eventlog.events import EventBatch
from online_models.decayed_popularity import DecayedPopularityConfig
from online_models.hebbian import HebbianConfig
from online_models.registry import MODELS
from tests.online_models.event_streams import random_stream
from tests.oracles.popularity_oracle import PopularityOracle
from tests.oracles.rank_oracle import walk
from tests.record_batches import columns

CONFIG = LaneConfig(
    models=tuple(MODELS), configs={"hebbian": HebbianConfig(direct_neurons=20, row_synapses=5)}
)
STREAM = random_stream(31, 300, users=20, items=40, late=0.1)
ROWS = [(f"user {e.user}", f"item {e.item}", e.time_ms, seq) for seq, e in enumerate(STREAM)]
EVENTS = columns(ROWS)
FIRST_LATE = next(at for at in range(1, 300) if STREAM[at].time_ms < STREAM[at - 1].time_ms)


def lane(config: LaneConfig = CONFIG) -> Lane:
    return Lane(0, (0,), 1, config)


def learn(into: Lane, events: EventBatch, size: int) -> list[PredictionBlock]:
    blocks = [into.test_then_learn(events.take(slice(at, at + size))) for at in range(0, len(events), size)]
    return [block for block in blocks if block is not None]


def _said(blocks: Sequence[PredictionBlock], model: str) -> NDArray[Any]:
    """Ranks or predicted ratings of a model, one block after the other."""
    return np.concatenate(
        [block.ranks[model] if model in block.ranks else block.predicted[model] for block in blocks]
    )


def digests(of: Lane) -> dict[str, str]:
    return {name: model.digest for name, model in of.summary(0, 0, 0.0, {}).models.items()}


def test_a_block_says_what_was_predicted_of_which_event() -> None:
    [block] = learn(lane(), EVENTS, 1000)
    assert (block.lane, block.first_seq, block.total_events) == (0, 0, None)
    assert block.sources == ("replay",)
    assert block.source_seq.tolist() == list(range(300))
    assert block.event_time_ms.tolist() == [event.time_ms for event in STREAM]
    expected = [one.rank for one in walk(PopularityOracle(), STREAM, "event_count")]
    assert block.ranks["popularity"].tolist() == expected
    flags = block.flags
    assert ((flags & REPEAT) != 0).tolist() == [rank == 0 for rank in expected]
    assert ((flags & NEW_ITEM) != 0).tolist() == [rank == -1 for rank in expected]
    assert int((flags & NEW_USER != 0).sum()) == len({event.user for event in STREAM})
    for ranks in block.ranks.values():
        assert ((ranks == 0) == (flags & REPEAT != 0)).all()
        assert ((ranks == -1) == (flags & NEW_ITEM != 0)).all()


def test_a_block_says_what_users_and_items_had_had() -> None:
    [block] = learn(lane(), EVENTS, 1000)
    had: dict[str, set[str]] = {}
    audience: dict[str, set[str]] = {}
    expected = []
    for event in STREAM:
        own = had.setdefault(event.user, set())
        expected.append((len(own), len(audience.setdefault(event.item, set()))))
        own.add(event.item)
        audience[event.item].add(event.user)
    assert list(zip(block.user_seen.tolist(), block.item_seen.tolist(), strict=True)) == expected
    assert (block.user_seen.dtype, block.item_seen.dtype) == (np.int32, np.int32)
    assert block.user_hash.dtype == np.uint32
    hashes = dict(zip([event.user for event in STREAM], block.user_hash.tolist(), strict=True))
    assert len(set(hashes.values())) == len(hashes)
    # The same in any cut, and after a restart.
    for at in (1, 100, 299):
        first, second = lane(), lane()
        before = learn(first, EVENTS.take(slice(0, at)), 7)
        second.restore(first.arrays(), json.loads(json.dumps(first.meta())))
        after = learn(second, EVENTS.take(slice(at, None)), 50)
        for field in ("user_seen", "item_seen", "user_hash"):
            found = np.concatenate([getattr(one, field) for one in (*before, *after)])
            assert found.tobytes() == getattr(block, field).tobytes(), field


def test_a_block_holds_ratings_given_and_predicted() -> None:
    """The running mean by hand: the middle of the scale, 5, then a repeat, a view, and (5 + 2) / 2."""
    events = columns(
        [("u", "i", 1, 0), ("u", "j", 2, 1), ("u", "i", 3, 2), ("v", "i", 4, 3), ("v", "j", 5, 4)],
        ratings=np.array([5.0, 2.0, 1.0, np.nan, 4.0]),
    )
    of = lane(LaneConfig(models=("rating_mean", "popularity"), configs={}, scale=(0.0, 5.0)))
    [block] = learn(of, events, 10)
    assert list(block.ranks) == ["popularity"]
    assert list(block.predicted) == ["rating_mean"]
    assert block.scale == (0.0, 5.0)
    assert np.array_equal(block.rating, events.ratings, equal_nan=True)
    expected = [2.5, 5.0, np.nan, np.nan, 3.5]
    assert np.array_equal(block.predicted["rating_mean"], expected, equal_nan=True)
    summary = of.summary(0, 0, 0.0, {})
    assert {name: (model.ranks, model.rates) for name, model in summary.models.items()} == {
        "rating_mean": (False, True),
        "popularity": (True, False),
    }


def test_ratings_given_anew_change_nothing_for_models_that_read_none() -> None:
    """Where one model reads them, blocks are cut there; without one they are not, and all else is the same."""
    events = columns(ROWS, ratings=np.random.default_rng(5).integers(1, 6, 300).astype(np.float64))
    cut = lane(LaneConfig(models=("hebbian", "popularity", "rating_mean"), configs={}))
    expected = np.concatenate([block.ranks["hebbian"] for block in learn(cut, events, 1000)])
    assert (expected == 0).sum() > 50
    for size in (1, 7, 1000):
        whole = lane(LaneConfig(models=("hebbian", "popularity"), configs={}))
        said = learn(whole, events, size)
        assert np.concatenate([block.ranks["hebbian"] for block in said]).tolist() == expected.tolist()
        assert {name: digests(whole)[name] for name in ("hebbian", "popularity")} == {
            name: digests(cut)[name] for name in ("hebbian", "popularity")
        }


def test_a_lane_of_models_that_only_rate_flags_repeats_and_new_items() -> None:
    of = lane(LaneConfig(models=("rating_means",), configs={}))
    ranked = lane(LaneConfig(models=("popularity",), configs={}))
    [block], [other] = learn(of, EVENTS, 1000), learn(ranked, EVENTS, 1000)
    assert block.ranks == {}
    assert block.flags.tolist() == other.flags.tolist()
    assert np.isnan(block.predicted["rating_means"]).tolist() == ((block.flags & REPEAT) != 0).tolist()


def test_the_size_of_batches_changes_nothing() -> None:
    whole = lane()
    expected = learn(whole, EVENTS, 1000)[0]
    for size in (1, 7, 299):
        other = lane()
        blocks = learn(other, EVENTS, size)
        assert [block.first_seq for block in blocks] == list(range(0, 300, size))
        for name in CONFIG.models:
            assert _said(blocks, name).tobytes() == _said([expected], name).tobytes()
        assert digests(other) == digests(whole)


def test_duplicates_are_counted_and_not_learned_again() -> None:
    once, twice = lane(), lane()
    learn(once, EVENTS, 50)
    learn(twice, EVENTS.take(slice(0, 100)), 50)
    learn(twice, EVENTS.take(slice(40, None)), 50)
    assert twice.test_then_learn(EVENTS.take(slice(0, 60))) is None
    assert digests(twice) == digests(once)
    assert (twice.learned, twice.duplicates) == (300, 60 + 60)
    assert twice.accounting(accepted=420, waiting=0) == {
        "accepted": 420,
        "learned": 300,
        "repeats": once.repeats,
        "corrections": 0,
        "dead_lettered": 0,
        "duplicate": 120,
        "waiting": 0,
    }
    assert once.repeats > 0


def test_dead_letters_are_counted_by_reason_in_events() -> None:
    of = lane()
    letter = DeadLetter(
        topic="t",
        partition=0,
        offset=0,
        index=-1,
        reason=Reason.UNDECODABLE,
        detail="",
        payload=b"",
        events=3,
    )
    of.count_dead_letters([letter, letter])
    assert of.dead_lettered == {"undecodable": 6}
    assert of.accounting(accepted=6, waiting=0)["dead_lettered"] == 6


def test_the_clock_of_counts_and_the_clock_of_times() -> None:
    for clock in ("event_count", "event_time"):
        of = lane(LaneConfig(models=("popularity",), configs={}, clock=clock))  # type: ignore[arg-type]
        of.test_then_learn(columns([("u", "i", 5_000, 0), ("u", "j", 9_000, 1), ("u", "k", 7_000, 2)]))
        assert of.clock == {"name": clock, "events": 3, "event_time_ms": 9_000}
        of.test_then_learn(columns([("u", "l", 1_000, 3)]))  # late: the clock stays
        assert of.clock == {"name": clock, "events": 4, "event_time_ms": 9_000}


def test_on_the_clock_of_times_an_event_fades_with_time() -> None:
    """Half-life of one second: at 10 s, i of 9 s is worth 1/2; l, late by two seconds, 1/4 when it comes."""
    config = LaneConfig(
        models=("decayed_popularity",),
        configs={"decayed_popularity": DecayedPopularityConfig(half_life_s=1.0)},
        clock="event_time",
    )
    of = lane(config)
    of.test_then_learn(columns([("u", "i", 9_000, 0), ("u", "j", 10_000, 1), ("u", "l", 8_000, 2)]))
    model = of.models["decayed_popularity"]
    weight, base = model.arrays()["weight"], int(model.arrays()["base"][0])
    assert (weight * 2.0 ** ((base - 10_000) / 1_000)).tolist() == [0.5, 1.0, 0.25]


@pytest.mark.parametrize("clock", ["event_count", "event_time"])
@pytest.mark.parametrize("at", [0, 1, FIRST_LATE])
def test_restored_equals_uninterrupted(at: int, clock: Any) -> None:
    config = LaneConfig(models=CONFIG.models, configs=CONFIG.configs, clock=clock)
    whole, halted, restored = lane(config), lane(config), lane(config)
    expected = learn(whole, EVENTS, 64)
    learn(halted, EVENTS.take(slice(0, at)), 10)
    halted.count_dead_letters(
        [
            DeadLetter(
                topic="t", partition=0, offset=0, index=-1, reason=Reason.ID_EMPTY, detail="", payload=b""
            )
        ]
    )
    arrays = {name: array.copy() for name, array in halted.arrays().items()}
    restored.restore(arrays, json.loads(json.dumps(halted.meta())))
    assert restored.clock == halted.clock
    blocks = learn(restored, EVENTS.take(slice(at, None)), 33)
    for name in config.models:
        tail = _said(expected, name)[at:]
        assert _said(blocks, name).tobytes() == tail.tobytes()
    assert digests(restored) == digests(whole)
    assert restored.dead_lettered == {"id_empty": 1}
    # What was had before the restore is still known as a duplicate.
    assert at == 0 or restored.test_then_learn(EVENTS.take(slice(0, at))) is None
    summary = restored.summary(1, 2, 3.5, {"engram": "1"})
    assert (summary.events, summary.timed_events) == (300, 300 - at)
    assert summary.clock == whole.clock
    assert summary.last_seq == {"replay": 299}
    assert (summary.users, summary.items) == (len(whole.rows.users), len(whole.rows.items))
    assert whole.summary(0, 0, 0.0, {}).timed_events == 300


def test_the_digest_is_of_ids_and_histories_too() -> None:
    """The same rows under other names are another state."""
    first, second = lane(), lane()
    learn(first, EVENTS, 300)
    learn(second, columns([(user.upper(), item, time_ms, seq) for user, item, time_ms, seq in ROWS]), 300)
    assert first.models["hebbian"].digest() == second.models["hebbian"].digest()
    assert all(digests(first)[name] != digests(second)[name] for name in MODELS)


OTHERS: Sequence[tuple[str, Lane]] = (
    ("partitions", Lane(0, (0, 1), 2, CONFIG)),
    ("configuration", lane(LaneConfig(models=("popularity",), configs={}))),
    ("configuration", lane(LaneConfig(models=CONFIG.models, configs={}))),
    ("configuration", lane(LaneConfig(models=CONFIG.models, configs=CONFIG.configs, clock="event_time"))),
    ("configuration", lane(LaneConfig(models=CONFIG.models, configs=CONFIG.configs, seed=1))),
    ("configuration", lane(LaneConfig(models=CONFIG.models, configs=CONFIG.configs, ties_against=False))),
    ("configuration", lane(LaneConfig(models=CONFIG.models, configs=CONFIG.configs, scale=(1.0, 5.0)))),
)


@pytest.mark.parametrize(("field", "other"), OTHERS)
def test_a_checkpoint_of_something_else_is_refused(field: str, other: Lane) -> None:
    of = lane()
    learn(of, EVENTS, 300)
    with pytest.raises(CheckpointMismatchError, match=f"lane 0 has {field} .*, this learner has"):
        other.restore(of.arrays(), of.meta())


@pytest.mark.parametrize(("models", "match"), [((), "absent"), (("popularity", "magic"), "magic.*hebbian")])
def test_unknown_models_are_refused(models: tuple[str, ...], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        lane(LaneConfig(models=models, configs={}))


def test_without_river_the_other_models_work_and_its_own_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "river", None)  # as if it were not installed
    with pytest.raises(SettingsError, match=r"river_biased_mf needs River.*engram-stream\[river\]"):
        lane(LaneConfig(models=("river_biased_mf",), configs={}))
    lane(LaneConfig(models=tuple(name for name in MODELS if not name.startswith("river_")), configs={}))
    program = "import sys, online_models.registry; sys.exit('river' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
