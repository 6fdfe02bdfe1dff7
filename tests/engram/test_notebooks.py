"""A notebook a source system: its cells run from the first to the last, without a kernel, on little data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engram.source_systems.registry import EXPERIMENTS
from tests.engram.test_source_systems import write_movies

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run_cells(notebook: Path, folder: Path, data: Path) -> str:
    """Run the code cells as one program; return what they print. They hold plain Python, no magic."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = folder / "notebook.py"
    program.write_text("\n\n".join(code) + "\n", "utf-8")
    own = {
        "ENGRAM_DATA_DIR": str(data),
        "ENGRAM_NOTEBOOK_SMALL": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | own,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_one_for_each_source_system() -> None:
    systems = [name for name, of in EXPERIMENTS.items() if of.about.startswith("system")]
    texts = {notebook.name: notebook.read_text("utf-8") for notebook in NOTEBOOKS}
    assert len(texts) == 5
    for name in systems:
        assert sum(f'runner(\\"{name}\\")' in text for text in texts.values()) == 1
    for text in texts.values():
        assert all(not cell.get("outputs") for cell in json.loads(text)["cells"])


def test_the_weightless_one_on_made_data(tmp_path: Path) -> None:
    write_movies(tmp_path / "data" / "the-movies-dataset")
    [notebook] = [path for path in NOTEBOOKS if "weightless" in path.name]
    said = run_cells(notebook, tmp_path, tmp_path / "data")
    assert "## As it was" in said
    assert "| always four stars |" in said


@pytest.mark.full
@pytest.mark.data
@pytest.mark.parametrize(
    "notebook", [path for path in NOTEBOOKS if "weightless" not in path.name], ids=lambda path: path.stem
)
def test_the_others_on_little_real_data(notebook: Path, data_dir: Path, tmp_path: Path) -> None:
    assert "## As it was" in run_cells(notebook, tmp_path, data_dir)
