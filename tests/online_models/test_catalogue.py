"""The catalogue against what was said of each item."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from online_models.catalogue import CatalogueStore, ItemFacts
from online_models.ids import IdTable

FACTS = [
    ItemFacts("toy", ("Animation", "Comedy"), 1995, "en"),
    ItemFacts("heat", ("Crime",), 1995, "en", [(9, "heist"), (2, "tense")]),
    ItemFacts("amelie", ("Comedy", "Romance"), 2001, "fr"),
    ItemFacts("untold", (), None, None, [(5, "Heist")]),
]


def of(store: CatalogueStore, row: int) -> tuple[set[str], int, str | None]:
    view = store.view
    entry = view.entry[row]
    mask = int(view.genres[entry])
    genres = {name for bit, name in enumerate(store.genres) if mask >> bit & 1}
    language = int(view.language[entry])
    return genres, int(view.year[entry]), store.languages[language - 1] if language else None


def follow(store: CatalogueStore, items: IdTable, *names: str) -> None:
    ids = np.array([name.encode() for name in names], np.bytes_)
    store.follow(ids, items.rows(ids))


def test_rows_find_their_entries_whichever_comes_first() -> None:
    store, items = CatalogueStore(), IdTable()
    store.add(FACTS[:2], items)
    follow(store, items, "heat", "nobody-knows", "amelie", "heat")
    store.add(FACTS[2:], items)
    follow(store, items, "toy", "untold")
    said = [of(store, row) for row in range(5)]
    assert said == [
        ({"Crime"}, 1995, "en"),
        (set(), 0, None),
        ({"Comedy", "Romance"}, 2001, "fr"),
        ({"Animation", "Comedy"}, 1995, "en"),
        (set(), 0, None),
    ]
    assert len(store) == 4
    assert store.view.row[1:].tolist() == [3, 0, 2, 4]


def test_what_is_said_last_counts() -> None:
    store, items = CatalogueStore(), IdTable()
    store.add(FACTS, items)
    follow(store, items, "heat")
    store.add([ItemFacts("heat", ("Drama",), 1996, None)], items)
    assert of(store, 0) == ({"Drama"}, 1996, None)
    assert store.view.tags.entry.tolist() == [4]
    assert len(store) == 4


def test_it_is_restored_and_goes_on() -> None:
    store, items = CatalogueStore(), IdTable()
    store.add(FACTS[:3], items)
    follow(store, items, "amelie", "toy")
    again = CatalogueStore()
    again.restore({name: array.copy() for name, array in store.arrays().items()}, store.meta())
    for one in (store, again):
        one.add(FACTS[3:], items)
    ids = np.array([b"heat", b"untold"], np.bytes_)
    rows = items.rows(ids)
    for one in (store, again):
        one.follow(ids, rows)
    assert {name: array.tobytes() for name, array in store.arrays().items()} == {
        name: array.tobytes() for name, array in again.arrays().items()
    }
    assert [of(again, row) for row in range(4)] == [of(store, row) for row in range(4)]
    for one in (store, again):
        assert one.view.tags.time_ms.tolist() == [2, 5, 9]
        assert one.view.tags.entry.tolist() == [2, 4, 2]
        assert one.view.tags.token[1] == one.view.tags.token[2]


def test_dropped_rows_leave_their_entries() -> None:
    store, items = CatalogueStore(), IdTable()
    store.add(FACTS, items)
    follow(store, items, "toy", "heat", "amelie")
    kept = np.array([0, 2], np.int32)
    items.keep(kept)
    store.keep(kept)
    assert [of(store, row)[1] for row in range(2)] == [1995, 2001]
    assert store.view.row[1:].tolist() == [0, -1, 1, -1]
    follow(store, items, "heat")
    assert of(store, 2) == ({"Crime"}, 1995, "en")
    assert store.view.tags.entry.tolist() == [2, 4, 2]


def test_more_genres_than_bits_are_left_out_loudly(caplog: pytest.LogCaptureFixture) -> None:
    store, items = CatalogueStore(), IdTable()
    with caplog.at_level(logging.WARNING):
        store.add([ItemFacts("all", [f"genre {n}" for n in range(66)], 1999, None)], items)
    assert int(store.view.genres[1]) == (1 << 64) - 1
    assert [record.getMessage().split("'")[1] for record in caplog.records] == ["genre 64", "genre 65"]
