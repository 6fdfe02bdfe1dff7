"""Users who come once or twice and never again: a lane and its measures take no more memory for more of them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.one_off_users import Fed as FedLane
from benchmarks.one_off_users import OneOffUsers
from consumers.lane import EVICTION_EVERY, LaneConfig
from online_models.registry import DEFAULT_MODELS

ITEMS = 300

# Bytes a user and an item, by hand, at the default parameters. Shared: an id of 32 or 8 bytes with 16 of its table, 24
# and 12 of the history, its smallest segment of four places of 16 bytes, 4 of the catalogue. user_hebbian: 128 synapses
# of 8 bytes with 8 a row, 16 of its own; an audience of 128 of 4 bytes, and 16. isgd: ten factors of 8 bytes at most.
# hebbian: a row of synapses with 8, an activity, a potential of 64 users. blend: three rows of synapses with 8 each,
# three sums, four potentials of 64 users, levels of four half-lives, biases of nine ages and eight gaps, counts of nine
# ages, and the last event.
A_USER = {"shared": 32 + 16 + 24 + 64, "user_hebbian": 128 * 8 + 8 + 16, "isgd": 80}
AN_ITEM = {
    "shared": 8 + 16 + 12 + 4,
    "popularity": 8,
    "decayed_popularity": 8,
    "blend": 3 * (4 * ITEMS + 8) + 4 * (3 + 4 * 64 + 4 + 9 + 8 + 9) + 8,
    "hebbian": 4 * ITEMS + 8 + 8 + 4 * 64,
    "user_hebbian": 128 * 4 + 16,
    "isgd": 80 + 4,
}
BESIDE = 4_096  # what does not grow at all
MEASURES = (
    8 << 20
)  # 2^16 open sessions of 36 bytes, 400 points of six models' curves (2 MiB), a month's panes


def check_bounds(events: int, max_users: int, looks: int) -> None:
    models = (*DEFAULT_MODELS, "user_hebbian", "isgd")
    config = LaneConfig(models=models, configs={}, scale=(1.0, 5.0), max_users=max_users)
    fed = FedLane(OneOffUsers(ITEMS), config)
    most_users = max_users + EVICTION_EVERY
    for _ in range(looks):
        fed.feed(events // looks)
        found = fed.state_bytes
        assert found.pop("measures") < MEASURES
        assert found.pop("sequences") == 8
        assert found.keys() == {"shared", *models}
        for name, size in found.items():
            bound = most_users * A_USER.get(name, 0) + ITEMS * AN_ITEM[name] + BESIDE
            assert size <= bound, name
    lane = fed.lane
    assert lane.learned == events
    assert lane.rows.known_users <= most_users
    # Nobody is evicted twice under one row: those who came are there, or were evicted.
    assert lane.rows.evicted_users + lane.rows.known_users >= 0.75 * events


def test_memory_of_a_few_users_is_bounded() -> None:
    check_bounds(events=20_000, max_users=500, looks=10)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_memory_of_a_million_events_is_bounded() -> None:
    check_bounds(events=1_000_000, max_users=20_000, looks=50)


def test_the_stream_is_as_it_says() -> None:
    """Nobody comes more than twice, three of four events are of new users, and any cut is that of the whole."""
    stream = OneOffUsers(ITEMS)
    whole = stream.block(0, 420_000)
    _, times = np.unique(whole.users, return_counts=True)
    assert times.max() == 2
    # From event 8,000 on each second quadruple brings one back, and from event 400,000 on each of them.
    returns = (420_000 - 8_000) // 8 + (420_000 - 400_000) // 8
    assert (times == 2).sum() == returns
    part = stream.block(411_111, 500)
    assert part.users.tolist() == whole.users[411_111:411_611].tolist()
    assert part.items.tolist() == whole.items[411_111:411_611].tolist()
    assert len(np.unique(whole.items)) == ITEMS
    assert {len(user) for user in whole.users.tolist()} == {32}
