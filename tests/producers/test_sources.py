"""Where a data set comes from, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import FILES, archive_of, make_zip, write_dataset
from local_publisher import LocalPublisher

from eventlog.errors import DataError, DataFormatError, DataMissingError
from producers.columns import RatingColumns
from producers.datasets import DATASETS
from producers.sources import Origin, default_cache_dir, differences, find_dataset, locate_dataset

# Of the hand-made files, counted by hand.
DIFFERS = {
    "ml-100k": "3 OF 100,000 RATINGS, 2 OF 943 USERS, 2 OF 1,682 ITEMS, NO RATINGS OF 1, 2",
    "ml-1m": "2 OF 1,000,209 RATINGS, 2 OF 6,040 USERS, 2 OF 3,706 ITEMS, NO RATINGS OF 1, 2, 3",
    "ml-10m": (
        "3 OF 10,000,054 RATINGS, 2 OF 69,878 USERS, 2 OF 10,677 ITEMS, NO RATINGS OF 1, 1.5, 2, 2.5, 3, 3.5, 4"
    ),
    **{
        name: f"2 OF {ratings} RATINGS, 1 OF {users} USERS, 2 OF {items} ITEMS, "
        "NO RATINGS OF 1, 1.5, 2, 2.5, 3, 3.5, 4.5, 5"
        for name, ratings, users, items in (
            ("ml-20m", "20,000,263", "138,493", "26,744"),
            ("ml-25m", "25,000,095", "162,541", "59,047"),
            ("ml-32m", "32,000,204", "200,948", "84,432"),
        )
    },
    "the-movies-dataset": (
        "3 OF 100,004 RATINGS, 2 OF 671 USERS, 3 OF 9,066 ITEMS, NO RATINGS OF 0.5, 1, 1.5, 2, 3.5, 4.5, 5"
    ),
    "movietweetings": None,  # it grows, and its publisher counts nothing
    "ml-latest-small": (
        "2 OF 100,836 RATINGS, 1 OF 610 USERS, 2 OF 9,724 ITEMS, NO RATINGS OF 1, 1.5, 2, 2.5, 3, 3.5, 4.5, 5"
    ),
}
TITLES = {
    "ml-100k": "MOVIELENS 100K (1998)",
    "ml-1m": "MOVIELENS 1M (2003)",
    "ml-10m": "MOVIELENS 10M (2009)",
    "ml-20m": "MOVIELENS 20M (2015)",
    "ml-25m": "MOVIELENS 25M (2019)",
    "ml-32m": "MOVIELENS 32M (2024)",
    "ml-latest-small": "MOVIELENS LATEST-SMALL (2018)",
    "the-movies-dataset": "THE MOVIES DATASET (SMALL)",
    "movietweetings": "MOVIETWEETINGS",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Data"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "Cache"


@pytest.mark.parametrize("name", list(DATASETS))
@pytest.mark.parametrize("itself", [False, True])
def test_the_folder_given_holds_the_data_set_or_is_it(
    folder: Path, cache: Path, name: str, itself: bool
) -> None:
    inside = write_dataset(folder, name)
    write_dataset(cache, name)
    found = find_dataset(name, inside if itself else folder, cache)
    assert (found.dataset, found.folder, found.origin) == (DATASETS[name], inside, Origin.FOLDER)
    differs = DIFFERS[name]
    assert found.sentence == f"REAL DATA: {TITLES[name]} FROM THE FOLDER {inside}" + (
        f"; IT DIFFERS FROM THE PUBLISHER'S: {differs}" if differs else ""
    )


def test_then_comes_the_cache(folder: Path, cache: Path) -> None:
    write_dataset(folder, "ml-100k")
    cached = write_dataset(cache, "ml-1m")
    found = find_dataset("ml-1m", None, cache)
    assert (found.folder, found.origin) == (cached, Origin.CACHE)
    assert found.sentence.startswith(f"REAL DATA: MOVIELENS 1M (2003) FROM THE CACHE {cached}; IT DIFFERS")
    found = find_dataset("ml-1m", folder, cache)
    assert (found.folder, found.origin) == (cached, Origin.CACHE)
    assert f"FROM THE CACHE {cached} (NOT FROM THE FOLDER {folder}: IT HOLDS NO ML-1M, " in found.sentence


def test_then_comes_the_publisher_and_the_next_time_the_cache(cache: Path) -> None:
    with LocalPublisher(archive_of("ml-1m")) as publisher:
        found = find_dataset("ml-1m", None, cache, base_url=publisher.url)
    assert (found.folder, found.origin) == (cache / "ml-1m", Origin.DOWNLOAD)
    where = f"REAL DATA: MOVIELENS 1M (2003) DOWNLOADED FROM ITS PUBLISHER INTO {cache / 'ml-1m'}; IT DIFFERS"
    assert found.sentence.startswith(where)
    assert find_dataset("ml-1m", None, cache, base_url=publisher.url).origin is Origin.CACHE


def test_an_incomplete_folder_is_passed_over_and_an_incomplete_cache_replaced(
    folder: Path, cache: Path
) -> None:
    (write_dataset(folder, "ml-1m") / "users.dat").unlink()
    (write_dataset(cache, "ml-1m") / "movies.dat").unlink()
    with LocalPublisher(archive_of("ml-1m")) as publisher:
        found = find_dataset("ml-1m", folder, cache, base_url=publisher.url)
    assert found.origin is Origin.DOWNLOAD
    assert f"(NOT FROM THE FOLDER {folder}: ML-1M IN IT: IT HAS NO USERS.DAT)" in found.sentence


def test_when_no_place_has_it_the_error_lists_what_was_tried(folder: Path, cache: Path) -> None:
    with LocalPublisher(b"", md5="0" * 32) as publisher, pytest.raises(DataMissingError) as caught:
        find_dataset("ml-1m", folder, cache, base_url=publisher.url)
    head, *tried = str(caught.value).split("\n")
    assert head == "no place has the data set ml-1m; tried, in this order:"
    assert tried[0] == f"  folder {folder}: there is no such folder"
    assert tried[1] == f"  cache {cache / 'ml-1m'}: there is no such folder"
    assert tried[2].startswith(f"  publisher: {publisher.url}ml-1m.zip: MD5 is ")
    assert len(tried) == 3


@pytest.mark.parametrize("name", ["the-movies-dataset", "movietweetings"])
def test_what_has_no_archive_must_be_given(cache: Path, name: str) -> None:
    with pytest.raises(
        DataMissingError, match=f"{name} has no archive to download: give its folder with --data-dir"
    ):
        find_dataset(name, None, cache)


def test_an_archives_folder_may_have_a_name_of_its_own(cache: Path) -> None:
    members = {f"ml-10M100K/{file}": text.encode() for file, text in FILES["ml-10m"].items()}
    with LocalPublisher(make_zip(members)) as publisher:
        found = find_dataset("ml-10m", None, cache, base_url=publisher.url)
    assert (found.folder, found.origin) == (cache / "ml-10m", Origin.DOWNLOAD)


def test_the_publisher_is_not_asked_where_that_is_not_wanted(cache: Path) -> None:
    with LocalPublisher(archive_of("ml-1m")) as publisher:
        with pytest.raises(DataMissingError, match=r"not asked \(engram data get ml-1m\)"):
            find_dataset("ml-1m", None, cache, download=False, base_url=publisher.url)
        assert publisher.requests == []


def test_a_malformed_folder_is_an_error_and_not_passed_over(folder: Path, cache: Path) -> None:
    write_dataset(folder, "ml-1m", ratings_dat="1::10::5::978300760\n1::10::7::978300760\n")
    write_dataset(cache, "ml-1m")
    with pytest.raises(DataFormatError, match=r"ratings\.dat, line 2: rating is '7'"):
        find_dataset("ml-1m", folder, cache)


def test_an_unknown_name_lists_those_known() -> None:
    with pytest.raises(DataError, match="data set is 'ml-2m', expected one of ml-100k, ml-1m, ml-10m, "):
        find_dataset("ml-2m", None)


def test_locating_reads_and_downloads_nothing(folder: Path, cache: Path) -> None:
    dataset = DATASETS["ml-1m"]
    assert locate_dataset(dataset, folder, cache) is None
    cached = write_dataset(cache, "ml-1m", ratings_dat="not a rating")
    assert locate_dataset(dataset, folder, cache) == (cached, Origin.CACHE)
    inside = write_dataset(folder, "ml-1m", ratings_dat="not a rating")
    assert locate_dataset(dataset, folder, cache) == (inside, Origin.FOLDER)


def test_the_cache_is_in_the_users_cache_unless_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ENGRAM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert default_cache_dir() == tmp_path / ".cache" / "engram" / "datasets"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache_dir() == tmp_path / ".cache" / "engram" / "datasets"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "engram" / "datasets"
    monkeypatch.setenv("ENGRAM_CACHE_DIR", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"


def test_data_as_the_publisher_counts_it_differs_in_nothing() -> None:
    """A stream of ml-100k's counts: 943 users, 1,682 items, 100,000 ratings of 1 to 5."""
    number = np.arange(100_000)
    columns = RatingColumns(
        (number % 943).astype("S"), (number % 1_682).astype("S"), number % 5 + 1.0, number.astype(np.int64)
    )
    assert (
        differences(DATASETS["ml-100k"], [columns.take(slice(0, 70_000)), columns.take(slice(70_000, None))])
        == []
    )
    assert differences(DATASETS["ml-100k"], [columns.take(columns.ratings != 2)]) == [
        "80,000 of 100,000 ratings",
        "no ratings of 2",
    ]


@pytest.mark.data
def test_real_data_says_what_it_is(data_dir: Path, cache: Path) -> None:
    found = find_dataset("ml-100k", data_dir, cache, download=False)
    assert found.sentence == f"REAL DATA: MOVIELENS 100K (1998) FROM THE FOLDER {data_dir / 'ml-100k'}"
    found = find_dataset("ml-1m", data_dir, cache, download=False)
    where = f"REAL DATA: MOVIELENS 1M (2003) FROM THE FOLDER {data_dir / 'ml-1m'}"
    if found.differences:  # the subset of ratings of 4 and 5; a user may have the publisher's own file
        where += (
            "; IT DIFFERS FROM THE PUBLISHER'S: 575,281 OF 1,000,209 RATINGS, 6,038 OF 6,040 USERS, "
            "3,533 OF 3,706 ITEMS, NO RATINGS OF 1, 2, 3"
        )
    assert found.sentence == where
