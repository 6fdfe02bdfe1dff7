"""CONTRIBUTING's five steps for a new data set, done: one file and one entry in the registry are all it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scratch_copy import ScratchCopy

READER = '''"""Plays of an invented radio: plays.txt, `user;;song;;1 to 5;;seconds`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.rating_lines import LineFormat, read_rating_lines

_FORMAT = LineFormat(";;", None, half_stars=False, rating_min=1, rating_max=5)


class RadioReader:
    """Reads a folder with plays.txt."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of plays.txt."""
        return read_rating_lines(folder / "plays.txt", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield nothing: the files say nothing of songs."""
        del folder
        return iter(())

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: the files say nothing of users."""
        del folder
        return iter(())
'''

ENTRY = """        Dataset(
            name="radio",
            title="An invented radio",
            archive=None,
            files=("plays.txt",),
            ratings=6,
            users=3,
            items=3,
            rating_min=1.0,
            rating_max=5.0,
            rating_step=1.0,
            reader=RadioReader(),
        ),
"""

READER_TEST = r'''"""The invented radio: a file written by hand, and what is said of a malformed line."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog.errors import DataFormatError
from producers.columns import RatingColumns
from producers.datasets import DATASETS

READER = DATASETS["radio"].reader


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    (tmp_path / "plays.txt").write_text("7;;20;;5;;100\n8;;21;;1;;99\n")
    found = RatingColumns.concat(list(READER.ratings(tmp_path)))
    assert found.ratings.tolist() == [5.0, 1.0]
    assert found.event_time_ms.tolist() == [100_000, 99_000]
    assert not [*READER.items(tmp_path), *READER.users(tmp_path)]


@pytest.mark.parametrize("line", ["7;20;5;100", "7;;20;;6;;100", "7;;;;5;;100", "7;;20;;5;;-1"])
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "plays.txt").write_text("7;;20;;5;;100\n" + line + "\n")
    with pytest.raises(DataFormatError, match=r"plays\.txt, line 2"):
        list(READER.ratings(tmp_path))
'''

PLAYS = "1;;10;;5;;100\n1;;11;;4;;101\n2;;10;;5;;102\n2;;11;;5;;103\n3;;10;;1;;104\n3;;12;;5;;105\n"


@pytest.mark.timeout(600)
def test_a_new_reader_is_one_file_and_one_entry_in_the_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = ScratchCopy(tmp_path)
    with copy.step("1. the reader"):
        copy.write("producers/readers/radio.py", READER)
    with copy.step("2., 3. its entry in the registry; there are no items and users"):
        registry = "producers/datasets.py"
        copy.insert(
            registry,
            "from producers.readers.reader import Reader\n",
            "from producers.readers.radio import RadioReader\n",
        )
        copy.insert(registry, '        Dataset(\n            name="ml-1m",', ENTRY)
    with copy.step("4. its tests, and the rules of the house"):
        copy.write("tests/producers/test_radio.py", READER_TEST)
        copy.pytest("tests/producers/test_radio.py", "tests/test_architecture.py", "-k", "radio or imports")
        copy.python("-m", "ruff", "check", "--quiet", "producers", "tests")
    with copy.step("5. listed, verified, replayed"):
        (tmp_path / "data" / "radio").mkdir(parents=True)
        (tmp_path / "data" / "radio" / "plays.txt").write_text(PLAYS)
        place = ("--data-dir", "data")
        assert "│ radio " in copy.python("-m", "engram", "data", "list")
        copy.python("-m", "engram", "data", "verify", "radio", *place)
        copy.python(
            "-m", "engram", "replay", "radio", *place, "--quiet", "--out", "run", "--model", "popularity"
        )
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert (result["dataset"], result["events"]) == ("radio", 6)
    assert (result["counts"]["users"], result["counts"]["items"]) == (3, 3)
    assert result["settings"]["rating_scale"] == [1.0, 5.0]
    with capsys.disabled():
        print(f"\na new reader, step by step:\n{copy.report()}")
