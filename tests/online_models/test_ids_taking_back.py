"""Ids that are forgotten and rows that are dropped, against a dict."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.ids import ABSENT, IdTable

NAMES = st.integers(0, 60).map(lambda number: f"{'user-' * (number % 3)}{number}")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), NAMES),
        st.tuples(st.just("forget"), NAMES),
        st.tuples(st.just("keep"), st.sets(st.integers(0, 200), max_size=40)),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_ids_are_those_of_a_list(steps: list[tuple[str, object]]) -> None:
    table, names = IdTable(), []  # names[row], "" for a forgotten one
    for what, value in steps:
        if what == "add":
            [row] = table.rows(np.array([str(value).encode()])).tolist()
            if value not in names:
                names.append(str(value))
            assert names[row] == value
        elif what == "forget" and value in names:
            table.forget(names.index(str(value)))
            table.forget(names.index(str(value)))  # a second time is nothing
            names[names.index(str(value))] = ""
        elif what == "keep" and isinstance(value, set):
            kept = sorted(row for row in value if row < len(names))
            table.keep(np.array(kept, np.int32))
            names = [names[row] for row in kept]
        assert len(table) == len(names)
        assert [table.id_of(row) for row in range(len(table))] == names
    for number in range(61):
        name = f"{'user-' * (number % 3)}{number}"
        assert table.find(name) == (names.index(name) if name in names else ABSENT)
    again = IdTable()
    again.restore({name: array.copy() for name, array in table.arrays().items()})
    assert [again.id_of(row) for row in range(len(again))] == names
    assert (
        again.find_all(np.array([b"0", b"user-1"])).tolist()
        == table.find_all(np.array([b"0", b"user-1"])).tolist()
    )


def test_a_forgotten_id_is_not_in_memory_any_more() -> None:
    table = IdTable()
    table.rows(np.array([b"alice", b"bob", b"carol"]))
    table.forget(1)
    assert table.arrays()["heap"].tobytes() == b"alicecarol"
    assert b"bob" not in table._heap.tobytes()


def test_hashes_are_of_the_id_and_not_of_the_row() -> None:
    first, second = IdTable(), IdTable()
    rows = first.rows(np.array([b"alice", b"bob"]))
    other = second.rows(np.array([b"bob", b"alice"]))
    assert first.hashes(rows).tolist() == second.hashes(other)[::-1].tolist()
    assert len(set(first.hashes(rows).tolist())) == 2
