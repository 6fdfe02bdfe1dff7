"""A lane that takes things back: retractions, forgotten users, ratings given anew, and evictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from consumers.lane import EVICTION_EVERY, Lane
from consumers.lane_config import LaneConfig
from consumers.predictions import NEW_ITEM, NEW_USER, REPEAT, PredictionBlock
from eventlog.events import EventBatch, Kind
from online_models.hebbian import HebbianConfig
from online_models.registry import MODELS
from tests.record_batches import columns

CONFIG = LaneConfig(
    models=tuple(name for name in MODELS if not name.startswith("river")),
    configs={"hebbian": HebbianConfig(direct_neurons=40, row_synapses=6)},
    scale=(1.0, 5.0),
    max_users=64,
    max_items=48,
    top_every=100,
)


class One(NamedTuple):
    """One event of a test."""

    user: str
    item: str
    rating: float = 4.0
    kind: Kind = Kind.RATING


def batch_of(events: Sequence[One]) -> EventBatch:
    plain = columns([(one.user, one.item, 1_000 * at, at) for at, one in enumerate(events)])
    return replace(
        plain,
        ratings=np.array([one.rating for one in events]),
        kinds=np.array([one.kind for one in events], np.uint8),
    )


def lane(config: LaneConfig = CONFIG) -> Lane:
    return Lane(0, (0,), 1, config)


def learn(into: Lane, events: EventBatch, size: int) -> list[PredictionBlock]:
    blocks = [into.test_then_learn(events.take(slice(at, at + size))) for at in range(0, len(events), size)]
    return [block for block in blocks if block is not None]


def digests(of: Lane) -> dict[str, str]:
    return {name: model.digest for name, model in of.summary(0, 0, 0.0, {}).models.items()}


def busy(seed: int, count: int) -> EventBatch:
    """A stream of everything: new users all the time, ratings given anew, retractions, users who want to be forgotten."""
    rng = np.random.default_rng(seed)
    events = []
    for at in range(count):
        user, item = f"u{at // 40 + rng.integers(0, 60)}", f"i{at // 90 + rng.integers(0, 30)}"
        draw = rng.random()
        if draw < 0.01:
            events.append(One(user, "", np.nan, Kind.FORGET_USER))
        elif draw < 0.05:
            events.append(One(user, item, np.nan, Kind.RETRACT))
        else:
            events.append(One(user, item, float(rng.integers(1, 6))))
    return batch_of(events)


BUSY = busy(5, 2 * EVICTION_EVERY + 900)


def joined(blocks: Sequence[PredictionBlock]) -> dict[str, Any]:
    ranks = {f"rank {name}": [block.ranks[name] for block in blocks] for name in blocks[0].ranks}
    rated = {f"rating {name}": [block.predicted[name] for block in blocks] for name in blocks[0].predicted}
    said = {"flags": [block.flags for block in blocks], **ranks, **rated}
    lists = {
        f"top {name}": [block.top.models[name].items for block in blocks if block.top is not None]
        for name in blocks[0].ranks
    }
    return {name: np.concatenate(parts).tobytes() for name, parts in (said | lists).items()}


@pytest.fixture(scope="module")
def whole() -> tuple[Lane, list[PredictionBlock]]:
    of = lane()
    return of, learn(of, BUSY, len(BUSY))


@pytest.mark.parametrize("size", [1_000, 97])
def test_the_size_of_batches_changes_nothing(whole: tuple[Lane, list[PredictionBlock]], size: int) -> None:
    other = lane()
    blocks = learn(other, BUSY, size)
    assert joined(blocks) == joined(whole[1])
    assert digests(other) == digests(whole[0])
    assert other.accounting(len(BUSY), 0) == whole[0].accounting(len(BUSY), 0)


@pytest.mark.parametrize("at", [700, EVICTION_EVERY + 300])
def test_restored_equals_uninterrupted(whole: tuple[Lane, list[PredictionBlock]], at: int) -> None:
    halted, restored = lane(), lane()
    before = learn(halted, BUSY.take(slice(0, at)), 500)
    arrays = {name: array.copy() for name, array in halted.arrays().items()}
    restored.restore(arrays, json.loads(json.dumps(halted.meta())))
    after = learn(restored, BUSY.take(slice(at, None)), 500)
    assert joined([*before, *after]) == joined(whole[1])
    assert digests(restored) == digests(whole[0])


def test_what_there_is_stays_bounded(whole: tuple[Lane, list[PredictionBlock]]) -> None:
    of, _ = whole
    rows = of.rows
    assert rows.evicted_users > 0
    assert rows.evicted_items > 0
    assert rows.forgotten_users > 0
    # As many as may be, and those that came since the last look.
    assert len(rows.users) < CONFIG.max_users + EVICTION_EVERY
    assert rows.history.users == len(rows.users)
    assert rows.history.items == len(rows.items)
    counts = of.accounting(len(BUSY), 0)
    assert counts["learned"] == len(BUSY)
    assert counts["corrections"] == int((BUSY.kinds >= Kind.RETRACT).sum())
    assert counts["accepted"] == counts["learned"]


def test_the_least_recently_active_are_evicted() -> None:
    """200 users once each, the first 20 of them again: at the next look 60 stay, those 20 among them."""
    config = replace_config(models=("popularity",), max_users=64)
    of = lane(config)
    first = [One(f"u{at}", "i0") for at in range(200)]
    again = [One(f"u{at}", "i1") for at in range(20)]
    fill = [One("u0", f"j{at % 40}") for at in range(EVICTION_EVERY - 220)]
    learn(of, batch_of([*first, *again, *fill, One("u199", "i1")]), 300)
    known = {of.rows.users.id_of(row) for row in range(len(of.rows.users))}
    assert known == {f"u{at}" for at in range(20)} | {f"u{at}" for at in range(160, 200)}


def replace_config(**changes: Any) -> LaneConfig:
    return replace(CONFIG, **changes)


def test_a_forgotten_user_is_nowhere_any_more() -> None:
    """Not in the id table, not in a history, not in what a checkpoint would hold, not in answers."""
    config = replace_config(configs={}, max_users=1_000, max_items=1_000)
    of = lane(config)
    events = [One(f"user-{at % 7}", f"i{at % 31}") for at in range(100)]
    learn(of, batch_of(events), 50)
    row = of.rows.users.find("user-3")
    known = of.rows.known_users
    sequel = batch_of([*events, One("user-3", "", np.nan, Kind.FORGET_USER)])
    learn(of, sequel.take(slice(100, None)), 1)
    assert of.rows.users.find("user-3") == -1
    assert of.rows.known_users == known - 1
    assert int(of.rows.histories.length[row]) == 0
    arrays = of.arrays()
    assert b"user-3" not in arrays["users/heap"].tobytes()
    for name, model in of.models.items():
        for array, axes in model.axes.items():
            for axis, side in enumerate(axes):
                if side == "user":
                    left = np.moveaxis(arrays[f"model/{name}/{array}"], axis, 0)[row]
                    assert not left.any(), (name, array)
    # Who comes back is new.
    back = batch_of([*events, One("x", "y"), One("user-3", "i3")]).take(slice(101, None))
    [block] = learn(of, back, 1)
    assert block.flags.tolist() == [NEW_USER]
    assert of.rows.users.find("user-3") != row


def test_a_retraction_makes_the_pair_new_again() -> None:
    events = [
        One("a", "i"),
        One("b", "i"),
        One("a", "i"),
        One("a", "i", np.nan, Kind.RETRACT),
        One("a", "i"),
        One("nobody", "i", np.nan, Kind.RETRACT),
        One("b", "nothing", np.nan, Kind.RETRACT),
    ]
    of = lane()
    [block] = learn(of, batch_of(events), 100)
    assert block.flags.tolist() == [NEW_ITEM | NEW_USER, NEW_USER, REPEAT, 0]
    assert block.item_seen.tolist() == [0, 1, 2, 1]
    assert block.source_seq.tolist() == [0, 1, 2, 4]
    assert of.corrections == 3
    assert len(of.rows.users) == 2  # who is unknown does not become known by a retraction


def test_only_corrections_are_no_block() -> None:
    of = lane()
    assert of.test_then_learn(batch_of([One("a", "", np.nan, Kind.FORGET_USER)])) is None
    assert of.accounting(1, 0)["learned"] == 1


def test_a_rating_given_anew_stands_from_the_next_event_on() -> None:
    of = lane()
    events = batch_of([One("a", "i", 2.0), One("a", "i", 5.0), One("a", "i", np.nan), One("a", "i", 3.0)])
    seen: list[float] = []
    learned = of.models["popularity"].test_then_learn
    of.models["popularity"].test_then_learn = lambda block, histories, out: (  # type: ignore[method-assign]
        seen.extend(block.previous.tolist()),
        learned(block, histories, out),
    )[-1]
    learn(of, events, 100)
    assert np.isnan(seen[0])
    assert seen[1:] == [2.0, 5.0, 5.0]
    assert of.rows.histories.ratings[of.rows.histories.start[0]] == 3.0


def test_noted_lists_are_the_recommendations_of_that_moment() -> None:
    config = replace_config(max_users=1_000, max_items=1_000, configs={}, top_every=100)
    of, events = lane(config), busy(8, 350)
    ratings = events.take(events.kinds < Kind.RETRACT)
    [block] = learn(of, ratings, 1_000)
    assert block.top is not None
    assert block.top.at.tolist() == [0, 100, 200, 300]
    block.top.check(0, len(ratings))
    until = lane(config)
    learn(until, ratings.take(slice(0, 200)), 50)
    [asked] = learn(until, ratings.take(slice(200, 201)), 1)
    assert asked.top is not None
    for name in asked.ranks:
        assert asked.top.models[name].items[0].tolist() == block.top.models[name].items[2].tolist()
    # Popularity: in order of how many have had them, none that the user has had.
    before = lane(config)
    learn(before, ratings.take(slice(0, 200)), 50)
    user = before.rows.users.find(bytes(ratings.users[200]).decode())
    counts = before.rows.history.had_by(np.arange(len(before.rows.items), dtype=np.int32))
    start, length = before.rows.histories.start[user], before.rows.histories.length[user]
    counts[before.rows.histories.items[start : start + length]] = -1
    expected = np.sort(counts[counts >= 0])[::-1][:20]
    listed = block.top.models["popularity"].item_seen[2]
    assert listed[: len(expected)].tolist() == expected.tolist()


def test_no_lists_where_none_are_wanted() -> None:
    of = lane(replace_config(top_every=0))
    [block] = learn(of, busy(8, 50), 100)
    assert block.top is None
