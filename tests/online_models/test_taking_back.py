"""Every model of the registry when users are forgotten, ratings retracted, and rows evicted and renumbered."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.registry import MODELS
from tests.online_models.cases import CLOCKS, STREAM, Case, bits, build, cases, said
from tests.online_models.event_streams import Driver
from tests.oracles.history_oracle import Event

USERS = max(event.user for event in STREAM) + 1
ITEMS = max(event.item for event in STREAM) + 1


# From the last model on: the suite of conformance compiles from the first on, in another process at the same time.
@pytest.fixture(params=cases()[::-1], ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def without(count: int, *gone: int) -> np.ndarray:
    return np.setdiff1d(np.arange(count), gone).astype(np.int32)


def keep(driver: Driver, users: np.ndarray, items: np.ndarray) -> None:
    driver.history.keep(users, items)
    driver.items.keep(items)
    driver.catalogue.keep(items)
    driver.model.keep(users, items, driver.histories)


def forget(driver: Driver, user: int) -> None:
    driver.history.forget(user)
    driver.model.forget_user(user)


def test_every_axis_is_said(case: Case) -> None:
    """Axes named in `axes` have as many rows as there are users or items."""
    driver = case.driver()
    driver.feed(STREAM)
    arrays = driver.model.arrays()
    for name, axes in driver.model.axes.items():
        for axis, side in enumerate(axes):
            if side is not None:
                assert arrays[name].shape[axis] == (USERS if side == "user" else ITEMS), name


def test_keeping_everything_changes_nothing(case: Case) -> None:
    driver, other = case.driver(), case.driver()
    for one in (driver, other):
        one.feed(STREAM[:200])
    users, items = driver.history.users, driver.history.items
    keep(driver, without(users), without(items))
    # Sums are taken anew, in another order: equal to rounding.
    scores = driver.model.scores(0, driver.histories, driver.moment())
    np.testing.assert_allclose(scores, other.model.scores(0, other.histories, other.moment()), rtol=1e-6)
    assert driver.feed(STREAM[200:240]).tolist() == other.feed(STREAM[200:240]).tolist()


def test_dropped_rows_are_gone_and_the_rest_moves_up(case: Case) -> None:
    """Without user 3 and item 5, user 4 is row 3, item 6 is row 5, and the model goes on with them."""
    driver = case.driver()
    driver.feed(STREAM)
    before = driver.model.state_bytes
    keep(driver, without(USERS, 3), without(ITEMS, 5))
    assert driver.model.state_bytes <= before
    for name, axes in driver.model.axes.items():
        for axis, side in enumerate(axes):
            if side is not None:
                assert driver.model.arrays()[name].shape[axis] == (USERS if side == "user" else ITEMS) - 1
    for user in (-1, 0, 3, USERS - 2):
        scores = driver.model.scores(user, driver.histories, driver.moment())
        assert scores.shape == (ITEMS - 1,)
        assert np.isfinite(scores).all()
    # The last row of each side is new again.
    late = STREAM[-1].time_ms + 1_000
    out = driver.predict([Event(USERS - 1, ITEMS - 1, late), Event(0, 0, late)])
    assert not driver.model.ranks or out.ranks[0] == -1


def test_an_interruption_after_an_eviction_changes_nothing(case: Case) -> None:
    whole, halted = case.driver(), case.driver()
    rest = [Event(event.user % 20, event.item % 30, event.time_ms + 10**9) for event in STREAM[:80]]
    for one in (whole, halted):
        one.feed(STREAM[:200])
        keep(one, without(one.history.users, 0, 7), without(one.history.items, 2, 3))
        forget(one, 1)
    saved = {name: array.copy() for name, array in halted.model.arrays().items()}
    halted.model = build(case.name, case.clock)
    halted.model.restore(saved)
    assert halted.model.digest() == whole.model.digest()
    assert said(whole.predict(rest)) == said(halted.predict_in(rest, [7, 31]))
    assert bits(halted.model) == bits(whole.model)


def test_a_forgotten_user_leaves_nothing_of_its_own(case: Case) -> None:
    """The rows of the user are zero, and who is asked for is as unknown as anybody."""
    driver = case.driver()
    driver.feed(STREAM)
    forget(driver, 4)
    for name, axes in driver.model.axes.items():
        for axis, side in enumerate(axes):
            if side == "user":
                assert not np.moveaxis(driver.model.arrays()[name], axis, 0)[4].any(), name
    driver.feed([Event(0, 1, STREAM[-1].time_ms + 1)])
    for user in range(USERS):
        assert np.isfinite(driver.model.scores(user, driver.histories, driver.moment())).all()


def test_a_retracted_pair_is_as_unknown_as_before(case: Case) -> None:
    """It may be recommended again, and when it comes again it is no repeat."""
    driver = case.driver()
    driver.feed(STREAM)
    user, item = STREAM[-1].user, STREAM[-1].item
    assert driver.history.retract(user, item)
    driver.model.retract(user, item)
    assert not driver.history.retract(user, item)
    scores = driver.model.scores(user, driver.histories, driver.moment())
    assert np.isfinite(scores).all()
    best = driver.model.recommend(user, ITEMS, driver.histories, driver.moment())
    assert item in best.items
    again = driver.predict([Event(user, item, STREAM[-1].time_ms + 1_000)])
    assert not driver.model.ranks or again.ranks[0] > 0


@pytest.mark.parametrize("clock", CLOCKS)
def test_popularity_after_a_retraction_is_that_of_a_stream_without_it(clock: str) -> None:
    events = [event for event in STREAM if (event.user, event.item) != (STREAM[9].user, STREAM[9].item)]
    with_it, without_it = (Driver(MODELS["popularity"](), clock) for _ in range(2))  # type: ignore[arg-type]
    with_it.feed(STREAM)
    with_it.model.retract(STREAM[9].user, STREAM[9].item)
    without_it.feed(events)
    assert bits(with_it.model) == bits(without_it.model)


def test_forgotten_users_speak_for_nobody() -> None:
    """User 0 is asked; user 1 shares an item with it and alone has had item 2."""
    driver = Driver(MODELS["user_hebbian"](), "event_count")
    driver.feed([Event(1, 0, 0), Event(1, 1, 1), Event(0, 0, 2), Event(2, 2, 3)])
    before = driver.model.scores(0, driver.histories, driver.moment())
    assert before[1] > before[2]  # item 1 is the neighbour's, item 2 a stranger's
    forget(driver, 1)
    after = driver.model.scores(0, driver.histories, driver.moment())
    assert after[1] == pytest.approx(after[2], rel=1e-3)  # both have popularity alone


def test_synapses_to_a_dropped_item_are_gone() -> None:
    """0, 1 and 2 fire together; without 1, what is left is what 0 and 2 have."""
    driver = Driver(MODELS["hebbian"](), "event_count")
    driver.feed([Event(0, 0, 0), Event(0, 1, 1_000), Event(0, 2, 2_000), Event(1, 0, 3_000)])
    weight = driver.model.arrays()["weight"].copy()
    keep(driver, without(2), rows(0, 2))
    assert driver.model.arrays()["weight"].tolist() == weight[np.ix_([0, 2], [0, 2])].tolist()
    assert [driver.histories.items[driver.histories.start[0]], int(driver.histories.length[0])] == [0, 2]
