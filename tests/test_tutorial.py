"""The tutorial and the how-to guides, followed to the letter: each command, and each line that it promises to print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parent.parent / "docs"


class Step(NamedTuple):
    """Commands, and the lines that are promised of them."""

    commands: str
    lines: tuple[str, ...]


def steps(text: str) -> Iterator[Step]:
    """Each block of `sh`, with the block of `text` that comes before the next; `sh-once` is not for a test."""
    blocks = re.findall(r"^```(\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for at, (language, content) in enumerate(blocks):
        if language == "sh":
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


def follow(page: str, data_dir: Path, folder: Path) -> int:
    """Run each step of a page of docs/ in `folder`; return how many there were."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ENGRAM_DATA_DIR": str(data_dir),
        "COLUMNS": "160",
        "NO_COLOR": "1",
    }
    followed = 0
    for step in steps((DOCS / page).read_text("utf-8")):
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
