"""The synthetic stream: the same from any number on, and with what it promises to have in it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from eventlog.errors import SettingsError
from producers.columns import RatingColumns
from producers.synthetic import BLOCK, SyntheticConfig, SyntheticStream, checkerboard

CONFIG = SyntheticConfig(events=40_000, users=600, items=400, communities=4, flip_every=10_000)


def rows_of(ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """The number in each id: 17 of i17."""
    return np.array([int(one[1:]) for one in ids.tolist()], np.int64)


def whole(config: SyntheticConfig) -> RatingColumns:
    return SyntheticStream(config).block(0, config.events)


def lines(columns: RatingColumns) -> list[tuple[object, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_any_part_is_the_same_however_it_is_asked_for():
    one = lines(whole(CONFIG))
    for first, size in ((0, 1), (BLOCK - 1, 2), (BLOCK, BLOCK), (12_345, 20_000), (39_999, 10), (40_000, 5)):
        assert lines(SyntheticStream(CONFIG).block(first, size)) == one[first : first + size]


@pytest.mark.parametrize("events", [0, 1, BLOCK, BLOCK + 1])
def test_it_has_as_many_events_as_it_says(events):
    stream = SyntheticStream(SyntheticConfig(events=events))
    assert stream.total_events == events
    assert stream.block(0, events + 1).size == events


def test_the_seed_decides():
    assert lines(whole(SyntheticConfig(events=1_000, seed=3))) == lines(
        whole(SyntheticConfig(events=1_000, seed=3))
    )
    assert lines(whole(SyntheticConfig(events=1_000, seed=3))) != lines(
        whole(SyntheticConfig(events=1_000, seed=4))
    )
    names = {SyntheticStream(SyntheticConfig(events=1_000, seed=seed)).source_id for seed in range(20)}
    assert len(names) == 20  # the source's name says which stream it is, so that none goes on as another


def test_events_are_good_events():
    columns = whole(CONFIG)
    assert (np.diff(columns.event_time_ms) > 0).all()
    assert set(columns.ratings.tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert rows_of(columns.users).max() < 600
    assert rows_of(columns.items).max() < 400
    known = {item.item.encode() for item in SyntheticStream(CONFIG).items()}
    assert set(columns.items.tolist()) <= known


def test_users_and_items_arrive():
    columns = whole(CONFIG)
    for ids, count in ((columns.users, 600), (columns.items, 400)):
        numbers = rows_of(ids)
        for quarter in range(4):
            upto = numbers[: (quarter + 1) * 10_000].max()
            assert upto < count * (0.5 + 0.125 * (quarter + 1))
        # And all the time: half of those that came do so in the second half.
        assert numbers.max() > count * 0.9


def test_popularity_follows_a_power_law():
    """In one community without flips or arrivals late, counts fall as rank^-exponent: the slope in logarithms."""
    config = SyntheticConfig(events=200_000, users=50, items=200, communities=1, exponent=1.0)
    counts = np.bincount(rows_of(whole(config).items), minlength=200)[:100]  # there from the start
    slope = np.polyfit(np.log(np.arange(1, 101)), np.log(counts), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_tastes_flip_at_known_events():
    """A user takes own_share and a share of the rest from one community, and from the next one after a flip."""
    columns = whole(CONFIG)
    users, tastes = rows_of(columns.users), rows_of(columns.items) % 4
    own = 0.85 + 0.15 / 4
    first = users[:10_000]
    favourite = np.full(600, -1)
    for user in np.unique(first):
        favourite[user] = np.bincount(tastes[:10_000][first == user], minlength=4).argmax()
    for epoch in range(4):
        part = slice(epoch * 10_000, (epoch + 1) * 10_000)
        known = favourite[users[part]] >= 0
        as_expected = tastes[part] == (favourite[users[part]] + epoch) % 4
        assert as_expected[known].mean() == pytest.approx(own, abs=0.03)
    last = slice(9_500, 10_000), slice(10_000, 10_500)
    shares = [(tastes[part] == favourite[users[part]])[favourite[users[part]] >= 0].mean() for part in last]
    assert shares[0] > 0.8
    assert shares[1] < 0.2


def test_users_leave_for_new_ones():
    """100 at a time, and one event in twenty is of somebody new: of 40,000 events, 2,000 come and 2,000 leave."""
    config = SyntheticConfig(events=40_000, users=100, user_events=20, items=400, communities=4)
    users = rows_of(whole(config).users)
    number = np.arange(len(users))
    started = number // 32 * 32  # sessions of eight, four side by side
    assert ((users >= started // 20) & (users < started // 20 + 100)).all()
    assert np.bincount(users)[100:1_900].mean() == pytest.approx(20, rel=0.02)
    # All of those who are there come equally often, however long they have been there.
    ages = users - started // 20
    assert np.bincount(ages, minlength=100).min() > 0.5 * 40_000 / 100


def test_items_are_dealt_anew():
    """In four epochs tastes turn at the first and third flip, and at the second the 200 early items are dealt anew."""
    config = SyntheticConfig(
        events=80_000, users=400, items=400, communities=4, flip_every=20_000, flips=("taste", "items")
    )
    columns = whole(config)
    items = rows_of(columns.items).reshape(4, 20_000)
    counts = np.array([np.bincount(part, minlength=400)[:200] for part in items])
    same = np.corrcoef(counts)
    assert same[0, 1] > 0.9  # what is popular stays so when tastes turn
    assert same[2, 3] > 0.9
    assert abs(same[1, 2]) < 0.3  # and another item is in its place after the deal
    assert set(columns.items.tolist()) <= {item.item.encode() for item in SyntheticStream(config).items()}
    part = SyntheticStream(config).block(39_990, 20)
    assert lines(part) == lines(columns)[39_990:40_010]


def test_an_item_taken_again_is_rated_as_before():
    columns = whole(SyntheticConfig(events=20_000, users=50, items=80, communities=4))
    ratings: dict[tuple[bytes, bytes], set[float]] = {}
    for user, item, rating, _ in lines(columns):
        ratings.setdefault((user, item), set()).add(rating)
    assert len(ratings) < 10_000
    assert all(len(given) == 1 for given in ratings.values())


def test_ratings_tell_own_taste_from_others():
    columns = whole(SyntheticConfig(events=20_000, users=100, items=400, communities=4))
    users, tastes = rows_of(columns.users), rows_of(columns.items) % 4
    favourite = np.array([np.bincount(tastes[users == user], minlength=4).argmax() for user in range(100)])
    own = tastes == favourite[users]
    assert columns.ratings[own].mean() > columns.ratings[~own].mean() + 1.5


def test_co_activation_beats_popularity():
    """An oracle that counts pairs of a user's nearby items, test then learn, against one that counts items.

    Who knows a user's taste ranks 100 items and not 400, so of own_share the first ten of a taste are hits where
    popularity has the first two or three: at most about 1.8 times as many at this exponent. Pairs must get half of it.
    """
    columns = whole(SyntheticConfig(events=40_000, users=600, items=400, communities=4))
    popular = np.zeros(400)
    pairs = np.zeros((400, 400))
    before: dict[int, list[int]] = {}
    hits = np.zeros(2, np.int64)
    tested = 0
    for number, (user, item) in enumerate(
        zip(rows_of(columns.users).tolist(), rows_of(columns.items).tolist(), strict=True)
    ):
        near = before.setdefault(user, [])
        if number >= 12_000 and near:
            together = pairs[near].sum(axis=0) + 1e-6 * popular
            hits += [(popular > popular[item]).sum() < 10, (together > together[item]).sum() < 10]
            tested += 1
        popular[item] += 1
        np.add.at(pairs, (near, item), 1)
        before[user] = [*near, item][-10:]
    assert hits[0] > 4 * 10 / 400 * tested  # popularity can be learned: items drawn at random hit 10 in 400
    assert hits[1] > 1.4 * hits[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"events": -1}, "events is -1"),
        ({"users": 0}, "users is 0"),
        ({"communities": 0}, "communities is 0"),
        ({"items": 3, "communities": 4}, "items is 3"),
        ({"flip_every": -5}, "flip_every is -5"),
        ({"user_events": -1}, "user_events is -1"),
        ({"flips": ("mood",)}, r"flips is \('mood',\)"),
        ({"flips": ()}, "flips is"),
        ({"seed": -1}, "seed is -1"),
        ({"own_share": 1.5}, "own_share is 1.5"),
        ({"events_per_s": 0.0}, "events_per_s is 0"),
        ({"exponent": float("nan")}, "exponent is nan"),
    ],
)
def test_a_shape_that_makes_no_stream_is_refused(wrong, said):
    with pytest.raises(SettingsError, match=said):
        SyntheticConfig(**wrong)


def test_the_checkerboard_flips():
    columns = checkerboard(1_000, 20, 10, 600, np.random.default_rng(1))
    same = rows_of(columns.users) % 2 == rows_of(columns.items) % 2
    assert same[:600].all()
    assert not same[600:].any()
    assert len(np.unique(columns.users)) == 20
    assert len(np.unique(columns.items)) == 10
