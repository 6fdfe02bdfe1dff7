"""`engram data` as a user meets it: what it says, and its exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from dataset_files import archive_of, write_dataset
from local_publisher import LocalPublisher

from engram.cli import main


class _Said(NamedTuple):
    """What the command said, and its exit code."""

    code: int | str | None
    out: str
    err: str


Command = Callable[..., _Said]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run `engram data ARGUMENTS` in an empty folder, with an empty cache."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENGRAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENGRAM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> _Said:
        monkeypatch.setattr(sys, "argv", ["engram", "data", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return _Said(end.value.code, said.out, said.err)

    return run


def _cells(said: str, first: str) -> list[str]:
    """The cells of the table row that begins with `first`."""
    for line in said.splitlines():
        cells = [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]
        if cells and cells[0] == first:
            return cells
    raise AssertionError(f"no row begins with {first!r}:\n{said}")


def test_list_says_what_there_is_and_where(data: Command, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "mine", "ml-100k")
    cached = write_dataset(tmp_path / "cache", "ml-1m")
    said = data("list", "--data-dir", str(tmp_path / "mine"))
    assert said.code == 0
    counts = ["MovieLens 100K (1998)", "100,000", "943", "1,682", "1 to 5"]
    assert _cells(said.out, "ml-100k") == ["ml-100k", *counts, f"folder {folder}"]
    assert _cells(said.out, "ml-1m")[-1] == f"cache {cached}"
    assert _cells(said.out, "ml-latest-small")[-2:] == [
        "0.5 to 5",
        "not here: engram data get ml-latest-small",
    ]


def test_the_folder_can_be_in_the_environment(
    data: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path / "mine", "ml-1m")
    monkeypatch.setenv("ENGRAM_DATA_DIR", str(tmp_path / "mine"))
    assert _cells(data("list").out, "ml-1m")[-1] == f"folder {folder}"
    assert f"FROM THE FOLDER {folder}" in data("verify", "ml-1m").out


def test_get_downloads_into_the_cache_once(data: Command, tmp_path: Path) -> None:
    with LocalPublisher(archive_of("ml-1m"), cuts=[200]) as publisher:
        for _ in range(2):
            said = data("get", "ml-1m", "--url", publisher.url)
            assert said.code == 0
            assert said.out.startswith(f"MovieLens 1M (2003) is in {tmp_path / 'cache' / 'ml-1m'} (")
        assert len(publisher.archive_ranges) == 2
    assert f"FROM THE CACHE {tmp_path / 'cache' / 'ml-1m'}" in data("verify", "ml-1m").out


def test_get_says_why_it_could_not(data: Command, tmp_path: Path) -> None:
    with LocalPublisher(archive_of("ml-1m"), md5="0" * 32) as publisher:
        said = data("get", "ml-1m", "--url", publisher.url)
    assert said.code == 1
    assert f"engram: {publisher.url}ml-1m.zip: MD5 is " in said.err
    assert not (tmp_path / "cache" / "ml-1m").exists()


@pytest.mark.parametrize("command", ["get", "verify", "describe"])
def test_an_unknown_name_lists_those_known(data: Command, command: str) -> None:
    said = data(command, "ml-2m")
    assert said.code == 1
    assert "data set is 'ml-2m', expected one of ml-100k, ml-1m, ml-10m, " in said.err


@pytest.mark.parametrize("command", ["verify", "describe"])
def test_what_is_nowhere_names_the_command_that_gets_it(data: Command, command: str, tmp_path: Path) -> None:
    said = data(command, "ml-1m", "--data-dir", str(tmp_path / "none"))
    assert said.code == 1
    assert f"folder {tmp_path / 'none'}: there is no such folder" in said.err
    assert "engram data get ml-1m" in said.err


def test_verify_says_how_it_differs(data: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path, "ml-1m")
    said = data("verify", "ml-1m", "--data-dir", str(tmp_path))
    assert said.code == 0
    assert said.out.splitlines() == [
        f"REAL DATA: MOVIELENS 1M (2003) FROM THE FOLDER {tmp_path / 'ml-1m'}; IT DIFFERS FROM THE PUBLISHER'S: "
        "2 OF 1,000,209 RATINGS, 2 OF 6,040 USERS, 2 OF 3,706 ITEMS, NO RATINGS OF 1, 2, 3",
        "Every line is well formed: 2 ratings; metadata of 2 items and 2 users.",
        "0 ratings are of 0 items without metadata.",
        "differs: 2 of 1,000,209 ratings",
        "differs: 2 of 6,040 users",
        "differs: 2 of 3,706 items",
        "differs: no ratings of 1, 2, 3",
    ]


def test_tags_are_counted(data: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path, "ml-latest-small")
    said = data("verify", "ml-latest-small", "--data-dir", str(tmp_path))
    assert "2 ratings; metadata of 2 items with 2 tags.\n" in said.out
    said = data("describe", "ml-latest-small", "--data-dir", str(tmp_path))
    assert _cells(said.out, "items with tags") == ["items with tags", "1"]
    assert _cells(said.out, "tags (of an item the first 32)")[1] == "2"


def test_what_has_no_archive_says_so(data: Command, tmp_path: Path) -> None:
    said = data("list")
    row = _cells(said.out, "movietweetings")
    assert row == [
        "movietweetings",
        "MovieTweetings",
        "-",
        "-",
        "-",
        "0 to 10",
        "not here: give its folder with --data-dir",
    ]
    assert "has no archive to download" in data("get", "movietweetings").err


def test_verify_says_how_many_ratings_have_no_metadata(data: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path, "the-movies-dataset")
    said = data("verify", "the-movies-dataset", "--data-dir", str(tmp_path))
    assert "1 ratings are of 1 items without metadata." in said.out.splitlines()


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"ratings_dat": "1::10::5::978300760\n1::10::six::978300760\n"}, "ratings.dat, line 2: rating is 'six'"),
        ({"movies_dat": "10::Title::Drama\nx::Title::Drama\n"}, "movies.dat, line 2: item is 'x'"),
        ({"users_dat": "1::F::2::10::48067\n"}, "users.dat, line 1: age is '2'"),
    ],
)  # fmt: skip
def test_verify_ends_with_1_at_a_malformed_line(
    data: Command, tmp_path: Path, changed: dict[str, str], where: str
) -> None:
    write_dataset(tmp_path, "ml-1m", **changed)
    said = data("verify", "ml-1m", "--data-dir", str(tmp_path))
    assert said.code == 1
    assert where in said.err


def test_describe(data: Command, tmp_path: Path) -> None:
    """Three ratings: (1, 2, 5) and (2, 1, 3) at one second, (1, 1, 4) the second after."""
    write_dataset(tmp_path, "ml-100k")
    said = data("describe", "ml-100k", "--data-dir", str(tmp_path), "--min-count", "1")
    assert said.code == 0
    assert said.out.startswith("REAL DATA: MOVIELENS 100K (1998) FROM THE FOLDER ")
    for label, value in (
        ("ratings", "3"),
        ("users", "2"),
        ("items", "2"),
        ("density", "75.00%"),
        # 881,250,949 s after 1970, by `date -u -d @881250949`.
        ("first (UTC)", "1997-12-04 15:55:49"),
        ("last (UTC)", "1997-12-04 15:55:50"),
        ("share with a time that another rating has", "66.7%"),
        ("mean rating", "4.000"),
    ):
        assert _cells(said.out, label) == [label, value]
    for rating in ("3", "4", "5"):
        assert _cells(said.out, rating)[:3] == [rating, "1", "33.3%"]
    # User 1 has two ratings, user 2 one: the median is between.
    assert _cells(said.out, "user") == ["user", "1.0", "1.1", "1.5", "1.9", "2.0"]
    assert _cells(said.out, "5.000") == ["5.000", "1", "2", "[Rec] Part II, The (1992) (2007)"]
    assert _cells(said.out, "3.500") == ["3.500", "2", "1", "Étoile (1995)"]


def test_describe_shows_the_best_of_those_with_enough_ratings(data: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path, "ml-100k")
    said = data("describe", "ml-100k", "--data-dir", str(tmp_path), "--min-count", "2", "--top", "1")
    assert "Étoile (1995)" in said.out
    assert "[Rec]" not in said.out


PICTURES = ["ratings", "long-tail", "ratings-per-user", "activity", "genres", "best-rated"]


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header (PNG specification, 11.2.2)."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def test_describe_draws_pictures(data: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path, "ml-100k")
    out = tmp_path / "pictures"
    said = data("describe", "ml-100k", "--data-dir", str(tmp_path), "--min-count", "1", "--out", str(out))
    assert said.code == 0, said.err
    names = [out / f"{name}.png" for name in PICTURES]
    assert said.out.splitlines()[-6:] == [f"picture {path}" for path in names]
    assert sorted(out.iterdir()) == sorted(names)
    for path in names:
        width, height = _png_size(path)
        assert width >= 600
        assert height >= 200


def test_what_is_not_known_is_not_drawn(data: Command, tmp_path: Path) -> None:
    """One rating, no genres, and nothing with 50 ratings."""
    write_dataset(
        tmp_path,
        "ml-10m",
        ratings_dat="1::185::0.5::838983525\n",
        movies_dat="185::$Plain$ {The} \\Film (1995)::(no genres listed)\n",
    )
    out = tmp_path / "pictures"
    arguments = ("describe", "ml-10m", "--data-dir", str(tmp_path), "--out", str(out))
    assert data(*arguments).code == 0
    assert sorted(path.stem for path in out.iterdir()) == sorted(PICTURES[:4])
    assert data(*arguments, "--min-count", "1").code == 0
    assert (out / "best-rated.png").is_file()


@pytest.mark.data
def test_describe_real_data(data: Command, data_dir: Path) -> None:
    said = data("describe", "ml-100k", "--data-dir", str(data_dir))
    # The publisher's README: 100,000 ratings from 943 users on 1682 movies, each user has at least 20.
    assert _cells(said.out, "ratings") == ["ratings", "100,000"]
    assert _cells(said.out, "density") == ["density", "6.30%"]
    assert _cells(said.out, "user")[1] == "20.0"
    assert _cells(said.out, "5")[1] == "21,201"
