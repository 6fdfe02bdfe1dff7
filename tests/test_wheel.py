"""The wheel that a checkout gives: what is in it, and that it runs on its own with the core's pinned dependencies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]


def _run(*command: str | Path, cwd: Path, timeout_s: float = 120) -> str:
    # Nothing of this checkout may be found by way of the environment.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENGRAM_", "PYTHON"))}
    run = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without isolation: hatchling is in the core's lock."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_its_packages_their_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "evaluation/result_schema.json" in names
    assert "engram/report_page.html" in names
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert shipped <= set(names)
    folders = {name.split("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(PACKAGES)
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]
    [licence] = [name for name in names if name.endswith("licenses/LICENSE")]
    assert licence
    [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
    assert "engram = engram.cli:main" in zipfile.ZipFile(wheel).read(entry_points).decode()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_wheel_runs_on_its_own(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    _run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    pip = (venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "core.txt", cwd=tmp_path, timeout_s=600)
    _run(*pip, "--no-deps", wheel, cwd=tmp_path)
    engram = venv / "bin" / "engram"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert _run(engram, "--version", cwd=tmp_path) == f"engram {version}\n"
    where = _run(
        venv / "bin" / "python", "-c", "import online_models; print(online_models.__file__)", cwd=tmp_path
    )
    assert Path(where.strip()).is_relative_to(venv)
    _run(
        engram,
        "replay",
        "synthetic",
        "--limit",
        "500",
        "--quiet",
        "--out",
        "run",
        cwd=tmp_path,
        timeout_s=300,
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert result["events"] == result["accounting"]["learned"] == 500
    assert (tmp_path / "run" / "report.html").stat().st_size > 0
