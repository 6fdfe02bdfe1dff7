"""The order of a replay, against zlib."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.event_order import TieOrder, crc32_of_pairs, replay_order

pytestmark = pytest.mark.oracle

# Ids as the log takes them: any text without control characters, of 1 to 256 bytes.
IDS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=64)
EVENTS = st.lists(st.tuples(IDS, IDS, st.integers(0, 3)), max_size=60)
Events = list[tuple[str, str, int]]


def columns(events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    users = np.array([user.encode() for user, _, _ in events], np.bytes_)
    items = np.array([item.encode() for _, item, _ in events], np.bytes_)
    return users, items, np.array([time_ms for _, _, time_ms in events], np.int64)


def crc32(user: str, item: str) -> int:
    return zlib.crc32(f"{user}|{item}".encode())


@settings(deadline=None)  # the first example compiles
@given(EVENTS)
@example([])
@example([("a|b", "c", 0), ("a", "b|c", 0)])
@example([("é", "電影", 0), ("x" * 256, "y", 0), ("y", "x" * 256, 0)])
def test_checksums_are_those_of_zlib(events: Events) -> None:
    users, items, _ = columns(events)
    assert crc32_of_pairs(users, items).tolist() == [crc32(user, item) for user, item, _ in events]


@settings(deadline=None)
@given(EVENTS)
@example([])
# Equal in time and text: they keep the file's order.
@example([("a|b", "c", 0), ("a", "b|c", 0), ("a|b", "c", 0)])
def test_ties_are_ordered_by_checksum_and_equal_checksums_as_in_the_file(events: Events) -> None:
    wanted = sorted(range(len(events)), key=lambda i: (events[i][2], crc32(*events[i][:2])))
    assert replay_order(*columns(events)).tolist() == wanted


@given(EVENTS)
@example([])
def test_ties_are_in_the_files_order_where_that_is_asked_for(events: Events) -> None:
    wanted = sorted(range(len(events)), key=lambda i: events[i][2])
    assert replay_order(*columns(events), TieOrder.FILE).tolist() == wanted


@pytest.mark.parametrize("seed", range(3))
def test_the_files_own_order_does_not_matter(seed: int) -> None:
    """But for events that are equal in time and text."""
    events: Events = [(f"u{n % 97}", f"i{n}", n // 50) for n in range(5_000)]
    shuffled = events.copy()
    random.Random(seed).shuffle(shuffled)
    orders = [[given[i] for i in replay_order(*columns(given)).tolist()] for given in (events, shuffled)]
    assert orders[0] == orders[1]


def test_columns_of_a_larger_array_are_read_as_they_are() -> None:
    """A column need not be contiguous."""
    wide = np.array([[b"u1", b"i1"], [b"u22", b"i2"]], "S8")
    wanted = [crc32("u1", "i1"), crc32("u22", "i2")]
    assert crc32_of_pairs(wide[:, 0], wide[:, 1]).tolist() == wanted
