"""Where processes say how they are scraped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.scrape_targets import announced


def test_a_process_is_there_as_long_as_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    with announced(folder, "learner", "127.0.0.1:9101") as path:
        assert path == folder / f"engram-learner-{os.getpid()}.json"
        assert json.loads(path.read_text("utf-8")) == [
            {"targets": ["127.0.0.1:9101"], "labels": {"job": "engram-learner"}}
        ]
    assert list(folder.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), announced(tmp_path, "learner", "127.0.0.1:9101"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_is_missed_until_its_service_starts_again(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"engram-learner-{dead.pid}.json"
    left.write_text("[]", "utf-8")
    lives = tmp_path / f"engram-learner-{os.getppid()}.json"
    lives.write_text("[]", "utf-8")
    with announced(tmp_path, "evaluator", "127.0.0.1:9102"):
        assert left.exists()
    with announced(tmp_path, "learner", "127.0.0.1:9101") as path:
        assert sorted(tmp_path.iterdir()) == sorted([lives, path])
