"""Readers on the real files: counts that their publishers give, titles, and the order of ties."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from producers.columns import RatingColumns
from producers.datasets import DATASETS
from producers.event_order import TieOrder, crc32_of_pairs, replay_order


def _read(name: str, folder: Path) -> RatingColumns:
    return RatingColumns.concat(list(DATASETS[name].reader.ratings(folder)))


# ratings, users, items of all ratings; then of those of 5 stars. The publisher's README gives the first three for
# ml-100k and ml-latest-small; of ml-1m the folder holds the ratings of 4 and 5 only.
REAL = {
    "ml-100k": ((100_000, 943, 1_682), (21_201, None, None)),
    "ml-1m": ((575_281, 6_038, 3_533), (226_310, 6_014, 3_232)),
    "ml-latest-small": ((100_836, 610, 9_724), (13_211, None, None)),
    "the-movies-dataset": ((100_004, 671, 9_066), (15_095, None, None)),
}


def _real_folder(data_dir: Path, name: str) -> Path:
    folder = data_dir / name
    if not folder.is_dir():
        missing = f"no {name} in ENGRAM_DATA_DIR, {data_dir} (engram data get {name} downloads it)"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(missing)
    return folder


@pytest.mark.data
@pytest.mark.parametrize("name", list(REAL))
def test_real_ratings(data_dir: Path, name: str) -> None:
    columns = _read(name, _real_folder(data_dir, name))
    if name == "ml-1m" and columns.size == DATASETS[name].ratings:
        # The publisher's whole file: the part of it that the figures are of.
        columns = columns.take(columns.ratings >= 4)
    everything, best = REAL[name]
    five = columns.take(columns.ratings == 5)
    for found, (ratings, users, items) in ((columns, everything), (five, best)):
        assert found.size == ratings
        assert users is None or len(np.unique(found.users)) == users
        assert items is None or len(np.unique(found.items)) == items


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in REAL if name != "the-movies-dataset"])
def test_real_metadata_covers_every_rating(data_dir: Path, name: str) -> None:
    folder = _real_folder(data_dir, name)
    columns = _read(name, folder)
    items = {item.item: item for item in DATASETS[name].reader.items(folder)}
    assert set(np.unique(columns.items).astype(str)) <= set(items)
    assert all(item.title for item in items.values())
    toy_story = items["1"]
    assert (toy_story.title, toy_story.year) == ("Toy Story (1995)", 1995)
    assert {"Animation", "Comedy"} <= set(toy_story.genres)
    if name == "ml-latest-small":
        # By csv and collections.Counter: 3,683 tags of 1,572 films, of which none is blank; five films have more than 32.
        tags = [item.tags for item in items.values() if item.tags]
        assert (len(tags), max(map(len, tags))) == (1_572, 32)
        assert [tag.text for tag in toy_story.tags] == ["pixar", "pixar", "fun"]
    users = {user.user for user in DATASETS[name].reader.users(folder)}
    if name != "ml-latest-small":
        assert set(np.unique(columns.users).astype(str)) <= users


@pytest.mark.data
def test_the_real_movies_dataset_is_joined(data_dir: Path) -> None:
    folder = _real_folder(data_dir, "the-movies-dataset")
    items = {item.item: item for item in DATASETS["the-movies-dataset"].reader.items(folder)}
    toy_story, heat = items["1"], items["6"]
    assert (toy_story.title, toy_story.year, toy_story.tmdb_id) == ("Toy Story", 1995, "862")
    assert (heat.title, heat.imdb_id) == ("Heat", "tt0113277")
    columns = _read("the-movies-dataset", folder)
    known = np.isin(columns.items, np.array([item.encode() for item in items]))
    # By links_small.csv and the films' ids with pandas: 71 ratings without a tmdbId among 194 without a film.
    assert (int((~known).sum()), len(np.unique(columns.items[~known]))) == (194, 41)


@pytest.mark.data
def test_real_ties_are_ordered_by_crc32(data_dir: Path) -> None:
    columns = _read("ml-100k", _real_folder(data_dir, "ml-100k"))
    pairs = list(zip(columns.users.tolist(), columns.items.tolist(), strict=True))
    crc = [zlib.crc32(user + b"|" + item) for user, item in pairs]
    assert crc32_of_pairs(columns.users, columns.items).tolist() == crc
    times = columns.event_time_ms.tolist()
    by_hash = sorted(range(columns.size), key=lambda row: (times[row], crc[row]))
    by_file = sorted(range(columns.size), key=lambda row: times[row])
    order = columns.users, columns.items, columns.event_time_ms
    assert replay_order(*order).tolist() == by_hash
    assert replay_order(*order, TieOrder.FILE).tolist() == by_file
    assert by_hash != by_file
