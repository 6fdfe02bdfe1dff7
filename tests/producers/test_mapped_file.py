"""Files of ratings with a column mapping: what is read, what is refused, and a replay of one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from engram.inline import run_inline
from engram.settings import Settings, load
from engram.source import find_source, open_stream
from eventlog.errors import DataFormatError, DataMissingError, SettingsError
from producers.columns import RatingColumns
from producers.readers.mapped_file import CHUNK_ROWS, ColumnMap, MappedFileReader, parse_columns

COLUMNS = "user=who,item=what,rating=stars,time=when"
MAP = ColumnMap("who", "what", "stars", "when")
TEXT = 'note,who,what,when,stars\n"a, b",Ann É,x:1,5,4.5\n,Bob,x:2,4.25,3\n'


def read(path: Path, columns: ColumnMap = MAP) -> RatingColumns:
    return RatingColumns.concat(list(MappedFileReader(path.name, columns).ratings(path.parent)))


def rows(columns: RatingColumns) -> list[tuple[bytes, bytes, float, int]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


ROWS = [("Ann É".encode(), b"x:1", 4.5, 5_000), (b"Bob", b"x:2", 3.0, 4_250)]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_by_its_columns(tmp_path, start, end):
    path = tmp_path / "r.csv"
    path.write_bytes((start + TEXT.replace("\n", end)).encode())
    assert rows(read(path)) == ROWS


def test_other_delimiters_and_units(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("who;what;stars;when\nA;x;1;5\n")
    assert rows(read(path, MAP._replace(delimiter=";", time_unit="ms"))) == [(b"A", b"x", 1.0, 5)]
    # 951,868,800 s is 2000-03-01T00:00:00Z, by `date -u -d @951868800`.
    path.write_text(
        "who,what,stars,when\nA,x,1,2000-03-01\nA,x,1,2000-03-01T01:00:00.5+01:00\nA,x,1,2000-03-01 00:00:01Z\n"
    )
    times = read(path, MAP._replace(time_unit="iso")).event_time_ms
    assert times.tolist() == [951_868_800_000, 951_868_800_500, 951_868_801_000]


def test_more_rows_than_a_chunk(tmp_path):
    path = tmp_path / "r.csv"
    count = CHUNK_ROWS + 2
    lines = [f"u{row},i{row % 7},{row % 5},{row}" for row in range(count)]
    path.write_text("\n".join(["who,what,stars,when", *lines]) + "\n")
    columns = read(path)
    assert columns.users.tolist() == [b"u%d" % row for row in range(count)]
    assert np.array_equal(columns.event_time_ms, np.arange(count) * 1000)
    path.write_text("\n".join(["who,what,stars,when", *lines, "u,i,many,1"]) + "\n")
    with pytest.raises(DataFormatError, match=f"line {count + 2}: rating is 'many'"):
        read(path)


@pytest.mark.parametrize(
    ("line", "field", "value", "expected"),
    [
        ("A,x,1", "line", "A,x,1", "4 fields, as in the header"),
        ("A,x,1,2,3", "line", "A,x,1,2,3", "4 fields, as in the header"),
        ("", "line", "", "4 fields, as in the header"),
        (",x,1,2", "user", "", "an id of 1 to 256 bytes"),
        ("A," + "x" * 257 + ",1,2", "item", "x" * 200, "an id of 1 to 256 bytes"),
        ("A,x\ty,1,2", "item", "x\ty", "without control characters"),
        ("A,x,,2", "rating", "", "a number from 0 to 10 (rating_min and rating_max)"),
        ("A,x,nan,2", "rating", "nan", "a number from 0 to 10"),
        ("A,x,10.5,2", "rating", "10.5", "a number from 0 to 10"),
        ("A,x,-1,2", "rating", "-1", "a number from 0 to 10"),
        ("A,x,1,", "time", "", "seconds since 1970"),
        ("A,x,1,soon", "time", "soon", "seconds since 1970"),
        ("A,x,1,-1", "time", "-1", "seconds since 1970"),
        ("A,x,1,2000-01-01", "time", "2000-01-01", "seconds since 1970"),
        ("A,x,1,1e30", "time", "1e30", "seconds since 1970"),
    ],
)
def test_a_malformed_row_names_file_line_field_value(tmp_path, line, field, value, expected):
    path = tmp_path / "r.csv"
    path.write_text(f"who,what,stars,when\nA,x,1,2\n{line}\nA,x,1,2\n")
    with pytest.raises(DataFormatError) as caught:
        read(path)
    error = caught.value
    assert (error.path, error.line, error.field, error.value) == (path, 3, field, value)
    assert expected in error.expected


def test_what_is_no_such_file_is_refused(tmp_path):
    path = tmp_path / "r.csv"
    for text, said in (
        (b"", "header is '', expected one column 'who'"),
        (b"who,what,stars\n", "expected one column 'when' (time)"),
        (b"who,who,what,stars,when\n", "expected one column 'who' (user)"),
        (b"who,what,stars,when\n", "expected a rating, the file has none"),
        (b"who,what,stars,when\n\xff,x,1,2\n", "expected UTF-8"),
        (b'who,what,stars,when\n"A"x,x,1,2\n', "expected valid CSV"),
    ):
        path.write_bytes(text)
        with pytest.raises(DataFormatError) as caught:
            read(path)
        assert said in str(caught.value)
    path.write_text("who,what,stars,when\nA,x,1,2000-13-01\n")
    with pytest.raises(DataFormatError, match="time is '2000-13-01', expected a time such as"):
        read(path, MAP._replace(time_unit="iso"))


def test_parquet(tmp_path):
    path = tmp_path / "r.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(DataMissingError, match=r"Parquet needs the package pyarrow: pip install pyarrow"):
            read(path)
        return
    import pandas as pd

    frame = pd.DataFrame(
        {"who": ["Ann É", "Bob"], "what": ["x:1", "x:2"], "stars": [4.5, 3], "when": [5.0, 4.25]}
    )
    frame.to_parquet(path)
    assert rows(read(path)) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "who",
        "user=a,item=b,rating=c",
        "user=a,item=b,rating=c,time=",
        "user=a,user=b,item=c,rating=d,time=e",
    ],
)
def test_a_mapping_names_four_columns(text):
    with pytest.raises(SettingsError, match="expected user=NAME,item=NAME,rating=NAME,time=NAME"):
        parse_columns(text)


def settings(path: Path, **changed: object) -> Settings:
    return load({"dataset": str(path), "columns": COLUMNS, "models": ["popularity"], **changed}, None, {})


def test_a_file_is_replayed(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(TEXT)
    assert find_source(settings(path)).description == f"RATINGS OF THE FILE {path}: 2"
    stream = open_stream(settings(path), tmp_path)
    assert rows(stream.block(0, 9)) == ROWS[::-1]
    result = run_inline(settings(path), tmp_path)
    assert result["dataset"] == "mine.csv"
    assert (result["counts"]["users"], result["counts"]["items"]) == (2, 2)


@pytest.mark.data
def test_a_real_csv_by_its_columns_is_the_data_set(data_dir):
    """The same events, in the same order, as from the data set's own reader."""
    folder = data_dir / "ml-latest-small"
    columns = "user=userId,item=movieId,rating=rating,time=timestamp"
    one = open_stream(settings(folder / "ratings.csv", columns=columns), folder)
    other = open_stream(load({"dataset": "ml-latest-small"}, None, {}), folder)
    assert one.digest() == other.digest()


def test_the_source_is_named_by_the_file_and_by_what_its_columns_are(tmp_path):
    path = tmp_path / ("m" * 250 + ".csv")
    path.write_text("who,what,stars,when\n1,2,3,4\n")
    turned = COLUMNS.replace("who", "x").replace("what", "who").replace("x", "what")
    changes = ({}, {"columns": turned}, {"time_unit": "ms"}, {"rating_max": 5})
    ids = {open_stream(settings(path, **change), tmp_path).source_id for change in changes}
    assert len(ids) == len(changes)
    assert max(map(len, ids)) <= 256


def test_ratings_below_zero_are_kept_where_the_scale_has_them(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("who\twhat\tstars\twhen\nA\tx\t-9.5\t2\nB\tx\t9\t1\n")
    one = settings(path, rating_min=-10)
    assert open_stream(one, tmp_path).block(0, 9).ratings.tolist() == [9.0, -9.5]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"columns": None}, "columns is absent, expected those of "),
        ({"dataset": "none.csv"}, "dataset is 'none.csv', expected a file; there is none"),
        ({"dataset": "ml-100k"}, "columns is 'user=who"),
        (
            {"dataset": "ml-100k", "columns": None, "time_unit": "ms"},
            "time_unit is 'ms', expected none unless",
        ),
        ({"delimiter": "::"}, "delimiter is '::'.*expected one character, or tab"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path, changed, said):
    path = tmp_path / "mine.csv"
    path.write_text(TEXT)
    with pytest.raises(SettingsError, match=said):
        find_source(settings(path, **changed))
