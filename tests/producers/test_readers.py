"""Readers: what they read of well-formed files, and what they say of malformed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import FILES, write_dataset

from eventlog.errors import DataFormatError
from eventlog.metadata import ItemMetadata, ItemTag, UserMetadata
from producers.columns import RatingColumns
from producers.datasets import DATASETS
from producers.readers.item_lines import year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines

pytestmark = pytest.mark.oracle

TABS = LineFormat("\t", None, half_stars=False, rating_min=1, rating_max=5)


def _rows(columns: RatingColumns) -> list[tuple[bytes, bytes, float, int]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _read(name: str, folder: Path) -> RatingColumns:
    return RatingColumns.concat(list(DATASETS[name].reader.ratings(folder)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ml-100k",
            [
                (b"1", b"2", 5.0, 881250949000),
                (b"2", b"1", 3.0, 881250949000),
                (b"1", b"1", 4.0, 881250950000),
            ],
        ),
        ("ml-1m", [(b"1", b"10", 5.0, 978300760000), (b"2", b"20", 4.0, 978302109000)]),
        (
            "ml-10m",
            [
                (b"1", b"122", 5.0, 838985046000),
                (b"1", b"185", 0.5, 838983525000),
                (b"59269", b"122", 4.5, 838983525000),
            ],
        ),
        *(
            (name, [(b"1", b"1", 4.0, 964982703000), (b"1", b"3", 0.5, 964981247000)])
            for name in ("ml-latest-small", "ml-20m", "ml-25m", "ml-32m")
        ),
        (
            "the-movies-dataset",
            [(b"1", b"1", 2.5, 1260759144000), (b"1", b"862", 3.0, 1260759179000), (b"2", b"7", 4.0, 5000)],
        ),
        (
            "movietweetings",
            [
                (b"1", b"0114508", 8.0, 1381006850000),
                (b"2", b"0499549", 10.0, 1381006850000),
                (b"2", b"0114508", 0.0, 1381006851000),
            ],
        ),
    ],
)
def test_ratings(tmp_path: Path, name: str, expected: list[tuple[bytes, bytes, float, int]]) -> None:
    columns = _read(name, write_dataset(tmp_path, name))
    assert _rows(columns) == expected
    assert columns.users.dtype.kind == columns.items.dtype.kind == "S"
    assert (columns.ratings.dtype, columns.event_time_ms.dtype) == (np.float64, np.int64)


def test_metadata_of_ml_100k(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "ml-100k")
    reader = DATASETS["ml-100k"].reader
    assert list(reader.items(folder)) == [
        ItemMetadata(
            item="1", title="Étoile (1995)", year=1995, genres=("Comedy",), release_date="1995-01-01"
        ),
        ItemMetadata(
            item="2",
            title="[Rec] Part II, The (1992) (2007)",
            year=2007,
            genres=("Action", "Comedy"),
            release_date="2007-02-09",
        ),
    ]
    assert list(reader.users(folder)) == [
        UserMetadata(user="1", age_min=24, age_max=24, gender="M", occupation="technician", zip_code="85711"),
        UserMetadata(user="2", age_min=53, age_max=53, gender="F", occupation="other", zip_code="T8H1N"),
    ]


def test_metadata_of_ml_1m(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "ml-1m")
    reader = DATASETS["ml-1m"].reader
    assert list(reader.items(folder)) == [
        ItemMetadata(
            item="10", title="Étoile: The Film (1995)", year=1995, genres=("Animation", "Children's")
        ),
        ItemMetadata(item="20", title="Plain", year=None, genres=("Drama",)),
    ]
    # Codes of the publisher's README: age 1 is under 18, 56 is 56 and more; occupations 10 and 16.
    assert list(reader.users(folder)) == [
        UserMetadata(
            user="1", age_min=0, age_max=17, gender="F", occupation="K-12 student", zip_code="48067"
        ),
        UserMetadata(
            user="2",
            age_min=56,
            age_max=None,
            gender="M",
            occupation="self-employed",
            zip_code="70072-1234",
        ),
    ]


def test_metadata_of_ml_latest_small(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "ml-latest-small")
    reader = DATASETS["ml-latest-small"].reader
    president, segou = reader.items(folder)
    assert president == ItemMetadata(
        item="1",
        title="American President, The (1995)",
        year=1995,
        genres=("Comedy", "Drama"),
        imdb_id="tt0112346",
        tmdb_id="9087",
        # In order of time; the blank one is left out, and nothing says who gave them.
        tags=(ItemTag(1137206825000, "politics"), ItemTag(1445714994000, 'Funny, and "wise"')),
    )
    assert segou == ItemMetadata(
        item="3", title='11\'09"01 - "September", Ségou (2002)', year=2002, genres=(), imdb_id="tt0328802"
    )
    assert list(reader.users(folder)) == []
    (folder / "links.csv").unlink()
    (folder / "tags.csv").unlink()
    assert [(item.imdb_id, item.tags) for item in reader.items(folder)] == [(None, ()), (None, ())]


def test_metadata_of_ml_10m_in_either_encoding(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "ml-10m")
    reader = DATASETS["ml-10m"].reader
    expected = [
        ItemMetadata(
            item="122",
            title="Étoile (1992)",
            year=1992,
            genres=("Comedy", "Romance"),
            # Colons may be a part of a tag.
            tags=(ItemTag(1188263867000, "a::b:"), ItemTag(1215184630000, "été")),
        ),
        ItemMetadata(item="185", title="Plain: The Film (1995)", year=1995),
    ]
    assert list(reader.items(folder)) == expected
    for file in (folder / "movies.dat", folder / "tags.dat"):
        file.write_bytes(file.read_bytes().decode().encode("latin-1"))
    assert list(reader.items(folder)) == expected
    assert list(reader.users(folder)) == []


def test_the_movies_dataset_is_joined_by_tmdb_id_alone(tmp_path: Path) -> None:
    """Item 1 is TMDB's 862, and 862 is TMDB's 15602; TMDB's 1 is of nobody, and 7 has no link."""
    folder = write_dataset(tmp_path, "the-movies-dataset")
    assert list(DATASETS["the-movies-dataset"].reader.items(folder)) == [
        ItemMetadata(
            item="1",
            title="Étoile",
            year=1995,
            genres=("Animation", "Comedy"),
            language="fr",
            imdb_id="tt0114709",
            tmdb_id="862",
        ),
        ItemMetadata(item="862", title="Old, Plain", imdb_id="tt0114000", tmdb_id="15602"),
    ]


def test_metadata_of_movietweetings(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "movietweetings")
    assert list(DATASETS["movietweetings"].reader.items(folder)) == [
        ItemMetadata(
            item="0114508", title="Étoile (1995)", year=1995, genres=("Horror", "Sci-Fi"), imdb_id="tt0114508"
        ),
        ItemMetadata(item="0499549", title="Plain (2009)", year=2009, imdb_id="tt0499549"),
    ]


def test_a_broken_gzip_file_is_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "the-movies-dataset")
    films = folder / "movies_features_45k.csv.gz"
    whole = films.read_bytes()
    for broken in (whole[:-20], b"no gzip at all"):
        films.write_bytes(broken)
        with pytest.raises(DataFormatError, match="expected a whole gzip file"):
            list(DATASETS["the-movies-dataset"].reader.items(folder))


@pytest.mark.parametrize("name", list(DATASETS))
def test_line_ends_make_no_difference(tmp_path: Path, name: str) -> None:
    reader = DATASETS[name].reader
    folder = write_dataset(tmp_path, name)
    expected = _rows(_read(name, folder)), list(reader.items(folder)), list(reader.users(folder))
    for file in folder.iterdir():
        if file.suffix == ".gz":
            continue
        text = file.read_bytes().replace(b"\r\n", b"\n")
        for ends in (text, text.replace(b"\n", b"\r\n"), text.rstrip(b"\n")):
            file.write_bytes(ends)
            found = _rows(_read(name, folder)), list(reader.items(folder)), list(reader.users(folder))
            assert found == expected, (file.name, ends)


WHOLE = "a whole number of stars from 1 to 5"
HALF = "a half number of stars from 0.5 to 5"
ID = "a positive integer of up to 10 digits"
SECONDS = "seconds since 1970"


@pytest.mark.parametrize(
    ("name", "file", "line", "text", "field", "value", "expected"),
    [
        *(
            ("ml-100k", "u.data", 2, line, field, value, expected)
            for line, field, value, expected in [
                ("1\t2\t5", "line", "1\t2\t5", "4 fields separated by '\\t', it has 3"),
                ("1\t2\t5\t7\t8", "line", "1\t2\t5\t7\t8", "4 fields separated by '\\t', it has 5"),
                ("1 2 5 7", "line", "1 2 5 7", "4 fields separated by '\\t', it has 1"),
                ("", "line", "", "4 fields"),
                ("\t2\t5\t7", "user", "", ID),
                ("0\t2\t5\t7", "user", "0", ID),
                ("-1\t2\t5\t7", "user", "-1", ID),
                ("01\t2\t5\t7", "user", "01", ID),
                ("12345678901\t2\t5\t7", "user", "12345678901", ID),
                ("1\tx\t5\t7", "item", "x", ID),
                ("1\t2 \t5\t7", "item", "2 ", ID),
                ("1\t2\t0\t7", "rating", "0", WHOLE),
                ("1\t2\t6\t7", "rating", "6", WHOLE),
                ("1\t2\t4.5\t7", "rating", "4.5", WHOLE),
                ("1\t2\tnan\t7", "rating", "nan", WHOLE),
                ("1\t2\t\t7", "rating", "", WHOLE),
                ("1\t2\t5\t-7", "timestamp", "-7", SECONDS),
                ("1\t2\t5\t7.5", "timestamp", "7.5", SECONDS),
                ("1\t2\t5\t", "timestamp", "", SECONDS),
                ("1\t2\t5\t999999999999", "timestamp", "999999999999", SECONDS),
                ("1\t2\t5\t9999999999999999999", "timestamp", "9999999999999999999", SECONDS),
                ("1\t2\t5\t7 ", "timestamp", "7 ", SECONDS),
            ]
        ),
        ("ml-1m", "ratings.dat", 2, "1:10::5::7", "line", "1:10::5::7", "4 fields separated by '::', it has 3"),
        ("ml-1m", "ratings.dat", 2, "1::x::5::7", "item", "x", ID),
        ("ml-1m", "ratings.dat", 2, "1::10::9::7", "rating", "9", WHOLE),
        ("ml-10m", "ratings.dat", 2, "1::2::4.25::7", "rating", "4.25", HALF),
        ("ml-10m", "ratings.dat", 2, "1::2::10::7", "rating", "10", HALF),
        ("ml-10m", "ratings.dat", 2, "1::0122::4.5::7", "item", "0122", ID),
        ("movietweetings", "ratings.dat", 2, "1::0122::11::7", "rating", "11", "a whole number of stars from 0 to 10"),
        ("movietweetings", "ratings.dat", 2, "1::0122::08::7", "rating", "08", "a whole number of stars from 0 to 10"),
        ("movietweetings", "ratings.dat", 2, "1::0122::100::7", "rating", "100", "a whole number of stars from 0 to 10"),
        ("movietweetings", "ratings.dat", 2, "01::0122::8::7", "user", "01", ID),
        ("movietweetings", "ratings.dat", 2, "1::tt0122::8::7", "item", "tt0122", "up to 10 digits"),
        ("the-movies-dataset", "ratings_small.csv", 3, "1,1,6.0,7", "rating", "6.0", HALF),
        ("ml-latest-small", "ratings.csv", 2, "1,1,4.25,7", "rating", "4.25", HALF),
        ("ml-latest-small", "ratings.csv", 2, "1,1,4.2,7", "rating", "4.2", HALF),
        ("ml-latest-small", "ratings.csv", 2, "1,1,0.0,7", "rating", "0.0", HALF),
        ("ml-latest-small", "ratings.csv", 2, "1,1,5.5,7", "rating", "5.5", HALF),
        ("ml-latest-small", "ratings.csv", 2, '"1",1,4.0,7', "user", '"1"', ID),
        ("ml-latest-small", "ratings.csv", 1, "user,item,rating,time", "header", "user,item,rating,time", "'userId,"),
    ],
)  # fmt: skip
def test_a_malformed_rating_names_file_line_field_value(
    tmp_path: Path, name: str, file: str, line: int, text: str, field: str, value: str, expected: str
) -> None:
    folder = write_dataset(tmp_path, name)
    path = folder / file
    lines = path.read_text("latin-1").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", "latin-1")
    with pytest.raises(DataFormatError) as caught:
        _read(name, folder)
    error = caught.value
    assert (error.path, error.line, error.field, error.value) == (path, line, field, value)
    assert expected in error.expected
    assert str(error).startswith(f"{path}, line {line}: {field} is {value!r}, expected ")


@pytest.mark.parametrize(
    ("name", "file", "line", "text", "field", "value", "expected"),
    [
        ("ml-100k", "u.item", 2, "2|Title|||", "line", "2|Title|||", "8 fields"),
        ("ml-100k", "u.item", 2, "x|Title||||0|0|1", "item", "x", ID),
        ("ml-100k", "u.item", 2, "2|Title||||0|2|1", "genre Action", "2", "one of 0, 1"),
        ("ml-100k", "u.item", 2, "2|Title|1995-01-01|||0|0|1", "release_date", "1995-01-01", "01-Jan-1995"),
        ("ml-100k", "u.genre", 2, "Action|5", "number", "5", "one of 1"),
        ("ml-100k", "u.user", 1, "1|old|M|x|1", "age", "old", "a whole number from 0 to 150"),
        ("ml-100k", "u.user", 1, "1|²|M|x|1", "age", "²", "a whole number from 0 to 150"),
        ("ml-100k", "u.user", 1, "1|20|X|x|1", "gender", "X", "one of F, M"),
        ("ml-100k", "u.user", 1, "0|20|F|x|1", "user", "0", ID),
        ("ml-100k", "u.user", 2, "1|20|F|x", "line", "1|20|F|x", "5 fields"),
        ("ml-1m", "movies.dat", 1, "10::Title", "line", "10::Title", "3 fields"),
        ("ml-1m", "movies.dat", 1, "::Title::Drama", "item", "", ID),
        ("ml-1m", "users.dat", 2, "2::M::17::16::1", "age", "17", "one of 1, 18, 25"),
        ("ml-1m", "users.dat", 2, "2::M::18::21::1", "occupation", "21", "a whole number from 0 to 20"),
        ("ml-1m", "users.dat", 2, "2::m::18::20::1", "gender", "m", "one of F, M"),
        ("ml-1m", "users.dat", 2, "2.0::M::18::20::1", "user", "2.0", ID),
        ("ml-latest-small", "movies.csv", 1, "movieId,title", "header", "movieId,title", "movieId,title,genres"),
        ("ml-latest-small", "movies.csv", 2, "1,Title, The (1995),Drama", "line", "1,Title, The (1995),Drama", "3 fields"),
        ("ml-latest-small", "movies.csv", 2, "x,Title,Drama", "movieId", "x", ID),
        ("ml-latest-small", "movies.csv", 2, '1,"Title" x,Drama', "line", "',' expected after '\"'", "valid CSV"),
        ("ml-latest-small", "links.csv", 1, "movieId,imdb,tmdb", "header", "movieId,imdb,tmdb", "movieId,imdbId,tmdbId"),
        ("ml-latest-small", "links.csv", 3, "3,1", "line", "3,1", "3 fields"),
        ("ml-10m", "movies.dat", 2, "185::Plain", "line", "185::Plain", "3 fields"),
        ("movietweetings", "movies.dat", 1, "tt1::Title::Drama", "item", "tt1", "an IMDb number"),
        ("the-movies-dataset", "links_small.csv", 2, "1,2,862.0", "tmdbId", "862.0", ID),
        ("the-movies-dataset", "links_small.csv", 1, "movieId,tmdbId", "header", "movieId,tmdbId", "movieId,imdbId,tmdbId"),
    ],
)  # fmt: skip
def test_malformed_metadata_names_file_line_field_value(
    tmp_path: Path, name: str, file: str, line: int, text: str, field: str, value: str, expected: str
) -> None:
    folder = write_dataset(tmp_path, name)
    path = folder / file
    lines = path.read_bytes().splitlines()
    lines[line - 1] = text.encode("latin-1")
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataFormatError) as caught:
        list(DATASETS[name].reader.items(folder))
        list(DATASETS[name].reader.users(folder))
    error = caught.value
    assert (error.path, error.line, error.field, error.value) == (path, line, field, value)
    assert expected in error.expected


def test_a_csv_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "ml-latest-small")
    (folder / "movies.csv").write_bytes("movieId,title,genres\n1,Étoile,Drama\n".encode("latin-1"))
    with pytest.raises(DataFormatError, match="expected UTF-8"):
        list(DATASETS["ml-latest-small"].reader.items(folder))


def test_a_file_without_ratings_is_refused(tmp_path: Path) -> None:
    for name, text in (("ml-100k", ""), ("ml-latest-small", "userId,movieId,rating,timestamp\n")):
        file = DATASETS[name].files[0]
        folder = write_dataset(tmp_path, name)
        (folder / file).write_text(text)
        with pytest.raises(DataFormatError, match="a rating, the file has none"):
            _read(name, folder)


def test_chunks_cut_lines_anywhere_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    lines = [f"{10 ** (i % 10)}\t{i + 1}\t{i % 5 + 1}\t{i * 7919}" for i in range(60)]
    longest = max(map(len, lines)) + 2
    expected = [
        (str(10 ** (i % 10)).encode(), str(i + 1).encode(), i % 5 + 1.0, i * 7_919_000) for i in range(60)
    ]
    for end in ("\n", "\r\n"):
        path.write_bytes(end.join(lines).encode())
        for chunk_bytes in range(longest, 3 * longest):
            chunks = list(read_rating_lines(path, TABS, chunk_bytes))
            assert len(chunks) > 1
            assert _rows(RatingColumns.concat(chunks)) == expected


def test_the_line_number_of_an_error_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    lines = ["1\t2\t3\t4"] * 100
    for wrong in (1, 50, 100):
        path.write_text("\n".join([*lines[: wrong - 1], "1\t2\t9\t4", *lines[wrong:]]) + "\n")
        for chunk_bytes in (8, 9, 100, 10_000):
            with pytest.raises(DataFormatError) as caught:
                list(read_rating_lines(path, TABS, chunk_bytes))
            assert (caught.value.line, caught.value.field, caught.value.value) == (wrong, "rating", "9")


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("Seven Samurai (Shichinin no samurai) (1954)", 1954),
        ("Death Note (2006\u20132007)", 2006),
        ("Sequel (1992) (2007) ", 2007),
        ("2001: A Space Odyssey", None),
        ("Babylon 5", None),
        ("", None),
    ],
)
def test_the_year_of_a_title(title: str, year: int | None) -> None:
    assert year_of_title(title) == year


def test_what_is_hand_made_covers_every_file() -> None:
    assert list(FILES) == list(DATASETS)
    for name, files in FILES.items():
        assert set(DATASETS[name].files) <= set(files)
