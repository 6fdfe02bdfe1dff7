"""Keys, rates, positions, titles."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.errors import SettingsError
from eventlog.metadata import ItemMetadata
from serving.access import Keys, RateLimit, hash_of, read_keys
from serving.positions import Position, PositionError, parse_position
from serving.shelf import Shelf


def test_keys_are_known_by_their_hashes_alone() -> None:
    keys = Keys([hash_of("one"), hash_of("two")])
    assert keys.allow("one") and keys.allow("two")
    assert not keys.allow("three") and not keys.allow(None) and not keys.allow("")
    assert not keys.allow(hash_of("one"))
    assert Keys().allow(None)


@pytest.mark.parametrize("text", ["secret\n", "a" * 63, "", "# nothing\n"])
def test_a_file_that_is_none_of_hashes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"64 hexadecimal digits|at least one hash") as found:
        read_keys(tmp_path / "keys")
    assert "secret" not in str(found.value)


def test_a_bucket_is_filled_again() -> None:
    now_s = 0.0
    limit = RateLimit(rate=2.0, burst=3, clock=lambda: now_s)
    assert [limit.wait_s("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limit.wait_s("b") == 0.0  # another caller's bucket is its own
    now_s = 0.25
    assert limit.wait_s("a") == 0.25
    now_s = 0.5
    assert limit.wait_s("a") == 0.0
    assert RateLimit(0.0, 1).wait_s("a") == 0.0


def test_positions_are_read_as_they_are_written() -> None:
    position = Position({1: 7, 0: 12})
    assert str(position) == "0-12.1-7"
    assert parse_position("0-12.1-7") == position


@pytest.mark.parametrize(
    "text", ["", "soon", "0", "0-", "-1", "0--1", "0-1.", "0-1x", "٣-1", "0-" + "9" * 30]
)
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionError, match="expected one that an accepted event was given"):
        parse_position(text)


def test_titles_are_found_by_the_beginnings_of_their_words() -> None:
    shelf = Shelf()
    for item, title in (
        ("1", "Star Wars (1977)"),
        ("2", "Wars of the Stars"),
        ("3", "Amélie"),
        ("4", "A Star Is Born"),
    ):
        shelf.put(ItemMetadata(item=item, title=title))
    assert [one.item for one in shelf.search("star", 10)] == ["1", "4", "2"]
    assert [one.item for one in shelf.search("WARS st", 10)] == ["1", "2"]
    assert [one.item for one in shelf.search("star", 1)] == ["1"]
    assert [one.item for one in shelf.search("amélie", 10)] == ["3"]
    assert shelf.search("tar", 10) == [] and shelf.search("  ", 10) == [] and shelf.search("(", 10) == []
    shelf.put(ItemMetadata(item="1", title="A New Hope"))
    assert [one.item for one in shelf.search("hope", 10)] == ["1"]
    assert shelf.title("1") == "A New Hope" and shelf.title("9") == "9"
