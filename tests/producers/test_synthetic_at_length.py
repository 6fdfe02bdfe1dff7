"""The synthetic stream as a stand-in for real data: of any length in little memory, cut anywhere, and learnable."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from online_models.interactions import NOT_RANKED
from online_models.registry import MODELS
from producers.columns import RatingColumns
from producers.synthetic import BLOCK, SyntheticConfig, SyntheticStream, checkerboard
from tests.online_models.event_streams import Driver, in_rows

SEEDS = [0, 5, 2**63 - 1]


def rows(columns: RatingColumns) -> list[tuple[object, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def numbered(columns: RatingColumns) -> list[tuple[int, int, int]]:
    """(user, item, event_time_ms) with the numbers in the ids."""
    found = zip(columns.users.tolist(), columns.items.tolist(), columns.event_time_ms.tolist(), strict=True)
    return [(int(user[1:]), int(item[1:]), time_ms) for user, item, time_ms in found]


CUT = SyntheticConfig(events=3 * BLOCK + 5, users=90, items=70, communities=3, flip_every=5_000)
WHOLE = rows(SyntheticStream(CUT).block(0, CUT.events))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, CUT.events + 10), st.integers(0, 2 * BLOCK))
@example(0, 0)
@example(BLOCK, BLOCK)
@example(CUT.events - 1, 1)
@example(CUT.events, 1)
def test_any_part_is_that_part_of_the_whole(first, size):
    assert rows(SyntheticStream(CUT).block(first, size)) == WHOLE[first : first + size]


@pytest.mark.parametrize("communities", [1, 7, 8])
def test_users_come_in_sessions(communities):
    """A user stays for eight events, every `communities`-th in turn."""
    config = SyntheticConfig(events=20_000, users=5_000, items=70, communities=communities)
    users = SyntheticStream(config).block(0, config.events).users
    turns = users[: len(users) // (8 * communities) * 8 * communities].reshape(-1, 8, communities)
    assert (turns == turns[:, :1]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_seed_will_do(seed):
    streams = [SyntheticStream(SyntheticConfig(events=2_000, seed=one)) for one in (seed, seed ^ 1)]
    first, second = (rows(one.block(0, 2_000)) for one in streams)
    assert first != second
    assert streams[0].source_id != streams[1].source_id


def test_two_million_events_take_the_memory_of_a_block():
    stream = SyntheticStream(SyntheticConfig(events=2_000_000, users=100_000, items=20_000))
    seen = 0
    tracemalloc.start()
    for first in range(0, stream.total_events, BLOCK):
        seen += stream.block(first, BLOCK).size
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 2_000_000
    assert peak < 8 << 20  # 8,192 events in some 30 columns of 8 bytes; the stream itself would be 60 MB


def recall(events: list[tuple[int, int, int]], model: str, part: slice) -> float:
    """Recall@10 of a model that tests and learns all the events, over a part of them."""
    ranks = Driver(MODELS[model](), "event_count").feed(in_rows(events))[part]
    ranked = ranks[ranks != NOT_RANKED]
    return float(((ranked > 0) & (ranked <= 10)).mean())


@pytest.mark.parametrize(
    "config",
    [
        SyntheticConfig(events=30_000),
        SyntheticConfig(events=30_000, users=1_000, items=1_000, seed=1),
        SyntheticConfig(events=30_000, users=1_000, items=1_000, flip_every=10_000, seed=2),
    ],
    ids=["default", "small", "flips"],
)
def test_popularity_can_be_learned_and_synapses_are_clearly_better(config):
    events = numbered(SyntheticStream(config).block(0, config.events))
    last_70 = slice(9_000, 30_000)
    popularity, hebbian = (recall(events, model, last_70) for model in ("popularity", "hebbian"))
    assert popularity > 5 * 10 / config.items  # items drawn blindly: 10 of all
    assert hebbian > 2 * popularity


@pytest.mark.parametrize("seed", range(2))
def test_the_checkerboard_is_learned_and_after_its_flip_learned_again(seed):
    """Who knows the colour draws 10 of the 50 items of it that are new to the user, or fewer; who does not, of 100."""
    events = numbered(checkerboard(24_000, 800, 100, 12_000, np.random.default_rng(seed)))
    before, flipped, after = slice(9_000, 12_000), slice(12_000, 13_000), slice(21_000, 24_000)
    assert recall(events, "hebbian", flipped) < 0.1
    for part in (before, after):
        assert recall(events, "hebbian", part) > 0.2
        assert recall(events, "popularity", part) < 0.15
