"""The id table against a dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from online_models.ids import ABSENT, IdTable, grown
from tests.oracles.ids_oracle import IdsOracle

pytestmark = pytest.mark.oracle

# Ids as the log admits them: UTF-8 without NUL, 1 to 256 bytes; short alphabets make prefixes and repeats.
IDS = st.one_of(
    st.text("ab", min_size=1, max_size=4),
    st.text("é漢\U0001f3ac '\"/", min_size=1, max_size=3),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(250, 256).map(lambda n: "x" * n),
)


def column(ids: list[str]) -> NDArray[np.bytes_]:
    return np.array([one.encode() for one in ids], np.bytes_)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(IDS, max_size=30), max_size=6))
def test_rows_are_those_of_a_dict(batches: list[list[str]]) -> None:
    table, oracle = IdTable(), IdsOracle()
    for batch in batches:
        assert table.rows(column(batch)).tolist() == oracle.rows([one.encode() for one in batch])
    assert len(table) == len(oracle.row_of)
    for one, row in oracle.row_of.items():
        assert table.find(one.decode()) == row
        assert table.id_of(row) == one.decode()


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(IDS, max_size=60), at=st.integers(0, 60))
def test_restored_equals_uninterrupted(ids: list[str], at: int) -> None:
    whole, first, second = IdTable(), IdTable(), IdTable()
    expected = whole.rows(column(ids)).tolist()
    head = first.rows(column(ids[:at])).tolist()
    second.rows(column(["left over", "from before"]))
    second.restore({name: array.copy() for name, array in first.arrays().items()})
    assert head + second.rows(column(ids[at:])).tolist() == expected
    for name, array in whole.arrays().items():
        assert array.tobytes() == second.arrays()[name].tobytes()
    assert whole.state_bytes == second.state_bytes


def test_asking_for_an_unknown_id_adds_nothing() -> None:
    table = IdTable()
    table.rows(column(["a", "ab"]))
    for unknown in ("b", "abc", "", "A", "a" * 256):
        assert table.find(unknown) == ABSENT
    assert len(table) == 2
    for row in (-1, 2):
        with pytest.raises(IndexError, match=f"row is {row}, expected 0 to 1"):
            table.id_of(row)


def test_padding_is_no_part_of_an_id() -> None:
    table = IdTable()
    wide = np.array([b"7", b"77"], "S40")
    assert table.rows(wide).tolist() == table.rows(column(["7", "77"])).tolist() == [0, 1]


@pytest.mark.compiled
def test_growth_far_beyond_the_first_capacities() -> None:
    table = IdTable()
    ids = [f"user-{at * 7919}" for at in range(20_000)]
    rows = [table.rows(column(ids[first : first + 3_000])) for first in range(0, len(ids), 3_000)]
    assert np.concatenate(rows).tolist() == list(range(20_000))
    assert table.rows(column(ids)).tolist() == list(range(20_000))
    assert [table.id_of(row) for row in (0, 9_999, 19_999)] == [ids[0], ids[9_999], ids[19_999]]


def test_ids_whose_hashes_share_their_low_bits_are_told_apart() -> None:
    """1,000 ids in at most 2,048 slots: many of them start at the same one."""
    table = IdTable()
    ids = [f"{at:b}" for at in range(1_000)]
    assert table.rows(column(ids)).tolist() == list(range(1_000))
    assert [table.find(one) for one in ids] == list(range(1_000))


def test_grown_keeps_what_was_and_adds_zeros() -> None:
    array = np.arange(6, dtype=np.int32).reshape(3, 2)
    assert grown(array, 3) is array
    assert grown(array, 4).tolist() == [[0, 1], [2, 3], [4, 5], [0, 0], [0, 0], [0, 0]]
    assert grown(array, 10).shape == (10, 2)
