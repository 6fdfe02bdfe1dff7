"""Tags of MovieLens files: how many are read of an item, and what is malformed."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_files import write_dataset

from eventlog.errors import DataFormatError
from producers.datasets import DATASETS

ID = "a positive integer of up to 10 digits"


def test_of_an_item_with_many_tags_the_first_are_read(tmp_path: Path) -> None:
    rows = [f"7,3,tag {n},{1_000 + 37 * n % 101}\n" for n in range(101)]
    folder = write_dataset(
        tmp_path, "ml-latest-small", tags_csv="userId,movieId,tag,timestamp\n" + "".join(rows)
    )
    president, segou = DATASETS["ml-latest-small"].reader.items(folder)
    assert president.tags == ()
    # 37 n mod 101 takes each value from 0 to 100 once: the first 32 are those of 0 to 31.
    assert [tag.event_time_ms for tag in segou.tags] == [1000 * (1_000 + n) for n in range(32)]
    assert all(37 * int(tag.text.split()[1]) % 101 == at for at, tag in enumerate(segou.tags))


@pytest.mark.parametrize(
    ("name", "file", "line", "text", "field", "value", "expected"),
    [
        ("ml-latest-small", "tags.csv", 1, "userId,movieId,tag", "header", "userId,movieId,tag", "userId,movieId,tag,timestamp"),
        ("ml-latest-small", "tags.csv", 2, "1,1,funny", "line", "1,1,funny", "4 fields"),
        ("ml-latest-small", "tags.csv", 2, "x,1,funny,7", "userId", "x", ID),
        ("ml-latest-small", "tags.csv", 2, "1,tt1,funny,7", "movieId", "tt1", ID),
        ("ml-latest-small", "tags.csv", 2, "1,1,funny,7.5", "timestamp", "7.5", "a whole number from 0 to"),
        ("ml-latest-small", "tags.csv", 2, "1,1,funny,999999999999", "timestamp", "999999999999", "to 253402300799"),
        ("ml-10m", "tags.dat", 2, "15::122::funny", "line", "15::122::funny", "4 fields"),
        ("ml-10m", "tags.dat", 2, "15::122", "line", "15::122", "4 fields"),
        ("ml-10m", "tags.dat", 2, "15::122::funny::now", "timestamp", "now", "a whole number from 0 to"),
    ],
)  # fmt: skip
def test_malformed_tags_name_file_line_field_value(
    tmp_path: Path, name: str, file: str, line: int, text: str, field: str, value: str, expected: str
) -> None:
    folder = write_dataset(tmp_path, name)
    path = folder / file
    lines = path.read_text("utf-8").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(DataFormatError) as caught:
        list(DATASETS[name].reader.items(folder))
    error = caught.value
    assert (error.path, error.line, error.field, error.value) == (path, line, field, value)
    assert expected in error.expected
