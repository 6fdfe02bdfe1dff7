"""Kernels as plain Python, NUMBA_DISABLE_JIT=1: the same answers, and no index beyond an array, which Python notices.

Modules of tests that compare kernels with oracles are marked `oracle`; here they all run once more, in one process.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from online_models.registry import MODELS
from tests.replay_ranks import EVENTS, replay_ranks

ROOT = Path(__file__).parent.parent
FOLDERS = ("eventlog", "producers", "online_models", "evaluation", "batch_models", "consumers", "engram")


def modules_of_kernels() -> set[str]:
    """Dotted names of the modules that compile anything."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^@(numba\.)?njit", path.read_text("utf-8"), re.MULTILINE)
    }


def modules_of_oracle_tests() -> list[Path]:
    return [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if re.search(r"^pytestmark = pytest\.mark\.oracle$", path.read_text("utf-8"), re.MULTILINE)
    ]


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def without_the_compiler(*arguments: str, cwd: Path = ROOT) -> str:
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    return finished.stdout


def test_every_kernel_has_a_test_with_an_oracle() -> None:
    """Directly, or by way of what calls it; the registry, which imports all models, does not count."""
    reached: set[str] = set()
    waiting = [name for path in modules_of_oracle_tests() for name in imported(path)]
    while waiting:
        name = waiting.pop()
        path = ROOT / (name.replace(".", "/") + ".py")
        if name.split(".")[0] in FOLDERS and name != "online_models.registry" and path.is_file():
            waiting += imported(path) - reached
            reached.add(name)
    missing = modules_of_kernels() - reached
    assert missing == set(), f"{missing}: mark their tests with pytestmark = pytest.mark.oracle"


@pytest.mark.timeout(600)
def test_kernels_equal_their_oracles_without_the_compiler() -> None:
    wraps = "ignore:overflow encountered:RuntimeWarning"  # as 64-bit hashes do
    said = without_the_compiler(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", wraps),
        *("-m", "oracle and not compiled and not data", *map(str, modules_of_oracle_tests())),
    )
    summary = said.strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ passed(, \d+ deselected)? in .*", summary), summary  # nothing is skipped


def test_a_replay_ranks_the_same_without_the_compiler(tmp_path: Path) -> None:
    """All models, the log, two partitions and the evaluator; ratings to the last bits of a library's functions."""
    for name in ("compiled", "plain"):
        (tmp_path / name).mkdir()
    compiled = replay_ranks(tmp_path / "compiled")
    plain = json.loads(
        without_the_compiler(
            "-W",
            "ignore:overflow encountered:RuntimeWarning",
            "-m",
            "tests.replay_ranks",
            str(tmp_path / "plain"),
        )
    )
    assert plain["ranks"] == compiled["ranks"]
    assert set(plain["ranks"]) | set(plain["ratings"]) == set(MODELS)
    assert {len(column) for column in plain["ranks"].values()} == {EVENTS}
    for name, ratings in compiled["ratings"].items():
        assert plain["ratings"][name] == pytest.approx(ratings, rel=1e-9, nan_ok=True)
