"""`wisard` against its oracle; bleaching, permuted labels, ageing and images by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.catalogue import CatalogueStore, ItemFacts
from online_models.model import Situation
from online_models.ram_nodes import DISLIKE, LIKE, UNDECIDED, decide, image, trained, tuples, untrained
from online_models.retina import BITS
from online_models.wisard import Wisard, WisardConfig
from tests.online_models.cases import STREAM
from tests.online_models.event_streams import Driver
from tests.online_models.films import describe
from tests.online_models.test_rating_synapses import ITEMS, rating_of
from tests.oracles.history_oracle import Event
from tests.oracles.wisard_oracle import WisardOracle

pytestmark = pytest.mark.oracle
SMALL = WisardConfig(
    nodes=9, width=3, finer_nodes=5, crowd_limit=12, trace_length=7, reverse_length=3, row_synapses=16
)
CELLS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=12)


def byte(dislikes: int, likes: int) -> int:
    return 16 * likes + dislikes


@pytest.mark.parametrize("scale", [(1.0, 5.0), (0.5, 5.0)])
def test_the_oracle_says_the_same(scale: tuple[float, float]) -> None:
    model = Wisard(SMALL, Situation(scale=scale, seed=5))
    driver = Driver(model, "event_count", rating_of)
    films = describe(driver, ITEMS)
    mappings = tuples(10, 9, 3, len(BITS)).tolist(), tuples(11, 5, 2, len(BITS)).tolist()
    oracle = WisardOracle(SMALL, films, mappings)
    least, most = scale
    given_before: dict[tuple[int, int], float] = {}
    compared = anew = 0
    # What `rating_synapses` says has an oracle of its own; here it is taken from the model's.
    read = []
    inner = model._ratings.read
    model._ratings.read = lambda events, histories: read.append(inner(events, histories)) or read[-1]  # type: ignore[method-assign,func-returns-value]
    found = driver.predict_in(STREAM, [17, 100])
    numbers = np.concatenate(read)
    for at, event in enumerate(STREAM):
        rating, pair = rating_of(event), (event.user, event.item)
        units = (rating - least) * 4 / (most - least)
        if np.isnan(rating) or pair in given_before:
            assert np.isnan(found.likes[at])
            assert np.isnan(found.ratings[at])
            if not np.isnan(rating) and not np.isnan(given_before[pair]):
                before = (given_before[pair] - least) * 4 / (most - least)
                oracle.relabel(event.user, event.item, before, units, numbers[at].tolist())
                anew += int((before >= 3) != (units >= 3))
        else:
            like, expected, _ = oracle.judge(event.user, event.item, numbers[at].tolist())
            assert found.likes[at] == pytest.approx(like, rel=1e-9)
            assert (found.ratings[at] - least) * 4 / (most - least) == pytest.approx(expected, rel=1e-9)
            oracle.learn(event.user, event.item, units, numbers[at].tolist())
            compared += 1
        if pair not in given_before or not np.isnan(rating):
            given_before[pair] = rating
    assert compared > 150
    assert anew > 3
    arrays = model.arrays()
    for user, node, address in np.ndindex(*arrays["own"].shape):
        assert arrays["own"][user, node, address] == byte(*oracle.own[user, node, address])
    for node, address in np.ndindex(*arrays["crowd"].shape[:2]):
        assert arrays["crowd"][node, address].tolist() == oracle.crowd[node, address]
    assert max(sum(counts) for counts in oracle.level.values()) <= SMALL.crowd_limit


def test_likes_do_not_depend_on_cuts_and_are_those_that_are_asked_for() -> None:
    whole, cut = (Driver(Wisard(SMALL), "event_count", rating_of) for _ in range(2))
    for driver in (whole, cut):
        describe(driver, ITEMS)
    before = whole.predict(STREAM[:200]).likes
    assert before.tobytes() == cut.predict_in(STREAM[:200], [1, 2, 77, 140]).likes.tobytes()
    seen = 0
    for event in STREAM[200:]:
        model, moment = whole.model, whole.moment(event.time_ms)
        assert isinstance(model, Wisard)
        asked = model.like_probabilities(event.user, whole.histories, moment)
        if event.item >= moment.items:
            whole.predict([event])
            continue
        [like] = whole.predict([event]).likes.tolist()
        if not np.isnan(like):
            assert 0 < like < 1
            assert like == pytest.approx(asked[event.item], rel=1e-12)
            seen += 1
    assert seen > 20


@settings(deadline=None)
@given(cells=CELLS)
def test_permuting_the_labels_leaves_the_winner_unchanged(cells: list[tuple[int, int]]) -> None:
    """The classes exchange their discriminators: the same one wins, under its other name."""
    addresses = np.zeros(len(cells), np.int64)
    one = decide(np.array([[byte(a, b)] for a, b in cells], np.uint8), addresses)
    other = decide(np.array([[byte(b, a)] for a, b in cells], np.uint8), addresses)
    assert other.winner == {DISLIKE: LIKE, LIKE: DISLIKE, UNDECIDED: UNDECIDED}[one.winner]
    assert (other.bleaching, other.confidence) == (one.bleaching, one.confidence)
    assert other.answers == one.answers[::-1]


def test_bleaching_breaks_ties_by_hand() -> None:
    """Three nodes: (dislikes, likes) = (1, 9), (2, 3), (4, 0).

    Above 0: 3 and 2 answer. With a like at the last node, 3 and 3: a tie; above 1: 2 and 2; above 2: 1 and 2.
    """
    addresses = np.array([0, 1, 0])

    def cells(*counts: tuple[int, int]) -> np.ndarray:
        found = np.zeros((3, 2), np.uint8)
        found[range(3), addresses] = [byte(*pair) for pair in counts]
        return found

    verdict = decide(cells((1, 9), (2, 3), (4, 0)), addresses)
    assert verdict == (DISLIKE, 0, (3, 2), pytest.approx(1 / 3))
    verdict = decide(cells((1, 9), (2, 3), (4, 1)), addresses)
    assert verdict == (LIKE, 2, (1, 2), pytest.approx(1 / 2))
    assert decide(cells((3, 3), (0, 0), (2, 2)), addresses).winner == UNDECIDED
    nothing = decide(cells((0, 0), (0, 0), (0, 0)), addresses)
    assert nothing == (UNDECIDED, 0, (0, 0), 0.0)
    full = decide(cells((15, 15), (15, 15), (15, 15)), addresses)
    assert full.winner == UNDECIDED


def test_a_full_count_halves_its_cell_and_what_is_not_there_is_not_untrained() -> None:
    assert trained(np.uint8(byte(7, 3)), LIKE) == byte(7, 4)
    assert trained(np.uint8(byte(7, 3)), DISLIKE) == byte(8, 3)
    assert trained(np.uint8(byte(5, 15)), LIKE) == byte(2, 8)
    assert trained(np.uint8(byte(15, 15)), DISLIKE) == byte(8, 7)
    assert untrained(np.uint8(byte(7, 3)), LIKE) == byte(7, 2)
    assert untrained(np.uint8(byte(7, 3)), DISLIKE) == byte(6, 3)
    assert untrained(np.uint8(byte(7, 0)), LIKE) == byte(7, 0)
    assert untrained(np.uint8(byte(0, 3)), DISLIKE) == byte(0, 3)


def test_an_image_by_hand() -> None:
    """Node 0 looks at bits 2 and 0, node 1 at bits 0 and 1; likes met: 2 and 0 on; 0 on; 0 and 1 on.

    Node 0's addresses are then 11, 01, 01, node 1's 10, 10, 11. Bit 0 was on in 6 of 6, bit 1 in 1 of 3, bit 2 in
    1 of 3; nobody looks at bit 3. One dislike, with nothing on, is in the other half of a cell.
    """
    cells = np.zeros((2, 4), np.uint8)
    cells[0, [0b11, 0b01, 0b00]] = [byte(0, 1), byte(0, 2), byte(1, 0)]
    cells[1, [0b10, 0b11, 0b00]] = [byte(0, 2), byte(0, 1), byte(1, 0)]
    mapping = np.array([[2, 0], [0, 1]])
    assert image(cells, mapping, 4, LIKE).tolist() == pytest.approx([1.0, 1 / 3, 1 / 3, 0.0])
    assert image(cells, mapping, 4, DISLIKE).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_the_mental_image_and_the_verdict_show_a_taste() -> None:
    """Genres alternate by item; the user likes genre 0 and dislikes genre 1."""
    driver = Driver(Wisard(), "event_count", lambda event: 5.0 if event.item % 2 == 0 else 1.0)
    model = driver.model
    assert isinstance(model, Wisard)
    facts = [ItemFacts(str(item), [f"{item % 2}"], None, None) for item in range(40)]
    driver.catalogue = CatalogueStore()
    driver.catalogue.add(facts, driver.items)
    driver.feed(
        [Event(0, item, item * 60_000) for item in range(30)] + [Event(1, item, 10**7) for item in range(40)]
    )
    digest = model.digest()
    shown = model.mental_image(0)
    assert shown.events == (15, 15)
    place = [shown.names.index(f"genre {genre}") for genre in (0, 1)]
    assert shown.like[place].tolist() == [1.0, 0.0]
    assert shown.dislike[place].tolist() == [0.0, 1.0]
    unknown = model.mental_image(-1)
    assert not unknown.like.any()
    assert unknown.events == (0, 0)
    moment, histories = driver.moment(), driver.histories
    liked, disliked = (model.verdict(0, item, histories, moment) for item in (32, 33))
    assert (liked.winner, disliked.winner) == (LIKE, DISLIKE)
    assert liked.confidence > 0.5
    chances = model.like_probabilities(0, histories, moment)
    assert chances[32] > 0.8
    assert chances[33] < 0.2
    with pytest.raises(IndexError, match="expected 0 to 39"):
        model.verdict(0, 40, histories, moment)
    assert model.digest() == digest


def test_a_rating_given_anew_replaces_the_label_and_counts_once() -> None:
    ratings = {1: 5.0, 2: 1.0, 3: 2.0}
    driver = Driver(Wisard(SMALL), "event_count", lambda event: ratings[event.time_ms])
    driver.feed([Event(0, 0, 1)])
    before = driver.model.arrays()["own"].copy()
    assert before.sum() == 16 * 9  # a like at one address of each node
    out = driver.predict([Event(0, 0, 2)])
    assert np.isnan(out.likes).all()
    own = driver.model.arrays()["own"][0]
    assert (own & 15).sum() == 9
    driver.feed([Event(0, 0, 3)])  # a dislike as before
    assert (driver.model.arrays()["own"][0] == own).all()


def test_each_bit_is_looked_at_equally_often() -> None:
    mapping = tuples(1, 32, 6, len(BITS))
    assert mapping.shape == (32, 6)
    assert np.bincount(mapping.reshape(-1)).tolist() == [32 * 6 // len(BITS)] * len(BITS)
    assert (mapping != tuples(2, 32, 6, len(BITS))).any()
    assert (mapping == tuples(1, 32, 6, len(BITS))).all()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("own_shrinkage", 0.0, "more than 0"),
        ("crowd_shrinkage", float("nan"), "more than 0"),
        ("nodes", 0, "1 or more"),
        ("crowd_limit", 0, "1 or more"),
        ("width", 13, "12 at most"),
        ("finer_width", 0, "1 or more"),
    ],
)
def test_settings_are_in_their_ranges(field: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}, expected {expected}"):
        WisardConfig(**{field: value})  # type: ignore[arg-type]
