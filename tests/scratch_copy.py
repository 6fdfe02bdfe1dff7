"""A copy of the project to add something to, and what was done with it, step by step, with the time that it took."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


class ScratchCopy:
    """The packages, the tests and pyproject.toml, in `folder`; compiled kernels come along."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}
        packages = [path.parent.name for path in ROOT.glob("*/__init__.py")]
        for name in {*packages, "tests", "benchmarks"}:
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy2(ROOT / "pyproject.toml", folder)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long what is within takes."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started

    def write(self, path: str, text: str) -> None:
        """Add a file, which must be new."""
        target = self.folder / path
        assert not target.exists()
        target.write_text(text, "utf-8")

    def insert(self, path: str, before: str, text: str) -> None:
        """Put `text` in front of the only place of `before`."""
        target = self.folder / path
        found = target.read_text("utf-8")
        assert found.count(before) == 1, f"{path} has {before!r} {found.count(before)} times"
        target.write_text(found.replace(before, text + before), "utf-8")

    def python(self, *arguments: str) -> str:
        """Run Python in the copy, with no settings from outside; return its output."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ENGRAM_", "PYTEST_"))
        }
        finished = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
        return finished.stdout

    def pytest(self, *arguments: str) -> str:
        """Run tests in the copy, none of which may be skipped; return their output."""
        said = self.python(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", "of_pytest", *arguments
        )
        assert "skipped" not in said, said
        return said

    def report(self) -> str:
        """Return the steps as lines."""
        total = sum(self.seconds.values())
        lines = [f"  {seconds:6.1f} s  {name}" for name, seconds in self.seconds.items()]
        return "\n".join([*lines, f"  {total:6.1f} s  in all"])
