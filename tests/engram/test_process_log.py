"""What processes say: one JSON object a line where no person looks, text where one does."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

from engram.process_log import JsonLines


def test_a_record_is_one_json_line() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "f.py", 1, "%d lines\nof two", (2,), None)
    record.created = 1_700_000_000.25
    line = JsonLines("learner").format(record)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "warning",
        "logger": "a.b",
        "service": "learner",
        "message": "2 lines\nof two",
    }


def test_an_error_comes_with_its_trace() -> None:
    try:
        raise ValueError("rating is 9")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f.py", 1, "failed", None, sys.exc_info())
    said = json.loads(JsonLines("learner").format(record))
    assert "ValueError: rating is 9" in said["error"]


def lines_of(folder: Path, *arguments: str) -> list[str]:
    """What a producer of a few events says on standard error."""
    command = [sys.executable, "-m", "engram", "produce", "synthetic", "--limit", "10", "--log-path"]
    done = subprocess.run(
        [*command, str(folder / "log.sqlite"), *arguments], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_a_service_without_a_terminal_speaks_json(tmp_path: Path) -> None:
    said = [json.loads(line) for line in lines_of(tmp_path)]
    assert said[0]["message"].startswith("settings:")
    assert {one["service"] for one in said} == {"producer"}
    assert lines_of(tmp_path, "--log-format", "text")[0].endswith("INFO engram.services: settings:")


def test_no_service_waits_for_what_only_pictures_need() -> None:
    loaded = "import sys, engram.cli; print(*{'matplotlib', 'torch', 'streamlit'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
