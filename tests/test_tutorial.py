"""The tutorial and the how-to guides, followed to the letter: each command, and each line that it promises to print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PROGRAMS = Path(sys.executable).parent


class Step(NamedTuple):
    """Commands, and the lines that are promised of them."""

    commands: str
    lines: tuple[str, ...]


def steps(text: str, languages: Collection[str] = ("sh",)) -> Iterator[Step]:
    """Each block of the languages, with the block of `text` that comes before the next.

    `sh-install` is for a fresh clone, `sh-once` not for a test.
    """
    blocks = re.findall(r"^```(\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for at, (language, content) in enumerate(blocks):
        if language in languages:
            follows = at + 1 < len(blocks) and blocks[at + 1][0] == "text"
            yield Step(content, tuple(blocks[at + 1][1].splitlines()) if follows else ())


def promised(line: str) -> re.Pattern[str]:
    """Match the line's words in a row, however they are spaced; `...` is anything."""
    words = [re.escape(word).replace(r"\.\.\.", ".*") for word in line.split()]
    return re.compile(r"\s+".join(words))


def test_a_line_is_its_words() -> None:
    assert promised("1 Titanic (1997)").search("  1   Titanic  (1997)   1997")
    assert not promised("1 Titanic (1997)").search("1 Titanic (1998)")
    assert promised("digest ...").search("digest 0a1d")


def follow(
    page: str,
    data_dir: Path,
    folder: Path,
    programs: Path = PROGRAMS,
    languages: Collection[str] = ("sh",),
) -> int:
    """Run each step of a page of docs/ in `folder`; return how many there were. programs: first in the PATH."""
    environment = {
        **{name: value for name, value in os.environ.items() if programs == PROGRAMS or name != "PYTHONPATH"},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ENGRAM_DATA_DIR": str(data_dir),
        "COLUMNS": "160",
        "NO_COLOR": "1",
    }
    followed = 0
    for step in steps((DOCS / page).read_text("utf-8"), languages):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step.commands],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1_200,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{step.commands}\nsaid\n{said}"
        missing = [line for line in step.lines if not promised(line).search(said)]
        assert not missing, f"{step.commands}\nsaid\n{said}"
        followed += 1
    return followed


def test_whoever_follows_the_tutorial_gets_what_it_shows(data_dir: Path, tmp_path: Path) -> None:
    assert follow("tutorial.md", data_dir, tmp_path) == 6


@pytest.mark.full
@pytest.mark.data
@pytest.mark.timeout(1_800)
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone of the repository")
def test_a_fresh_clone_and_its_own_installation_are_all_that_the_tutorial_needs(
    data_dir: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    programs = clone / ".venv" / "bin"
    assert follow("tutorial.md", data_dir, clone, programs, ("sh", "sh-install")) == 7
    assert programs.is_dir()


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("page", ["own-data", "live-events", "retraining", "recovery"])
def test_whoever_follows_a_guide_gets_what_it_shows(page: str, data_dir: Path, tmp_path: Path) -> None:
    assert follow(f"how-to/{page}.md", data_dir, tmp_path) >= 4


@pytest.mark.full
@pytest.mark.kafka
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("page", ["own-kafka", "scaling"])
def test_whoever_follows_a_guide_to_kafka_gets_what_it_shows(
    page: str, data_dir: Path, tmp_path: Path
) -> None:
    assert follow(f"how-to/{page}.md", data_dir, tmp_path) >= 2
