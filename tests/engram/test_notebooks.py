"""A notebook a source system: executed by a Jupyter kernel from the first cell to the last, on little data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engram.source_systems.registry import EXPERIMENTS
from tests.engram.test_source_systems import write_movies

nbclient = pytest.importorskip("nbclient", reason="make test installs nbclient and ipykernel")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def executed(notebook: Path, folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute the cells in a kernel of this Python, whose working directory is `folder`; return the notebook with outputs."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    # A kernel has a way of its own to show what is drawn.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("ENGRAM_DATA_DIR", str(data))
    monkeypatch.setenv("ENGRAM_NOTEBOOK_SMALL", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=500, resources={"metadata": {"path": str(folder)}}).execute()
    return book


def outputs(book: Any) -> list[Any]:
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(book: Any) -> str:
    return "".join(output.text for output in outputs(book) if output.output_type == "stream")


def test_there_is_one_for_each_source_system() -> None:
    systems = [name for name, of in EXPERIMENTS.items() if of.about.startswith("system")]
    texts = {notebook.name: notebook.read_text("utf-8") for notebook in NOTEBOOKS}
    assert len(texts) == 5
    for name in systems:
        assert sum(f'runner(\\"{name}\\")' in text for text in texts.values()) == 1
    for notebook in NOTEBOOKS:
        book = nbformat.read(notebook, as_version=4)
        nbformat.validate(book)
        assert not outputs(book)
        # Wherever it is opened, Colab say, it installs what it needs first.
        first = next(cell.source for cell in book.cells if cell.cell_type == "code")
        assert '"pip", "install"' in first
        assert '"engram-stream"' in first


def test_the_weightless_one_on_made_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_movies(tmp_path / "data" / "the-movies-dataset")
    [notebook] = [path for path in NOTEBOOKS if "weightless" in path.name]
    book = executed(notebook, tmp_path, tmp_path / "data", monkeypatch)
    assert "| always four stars |" in printed(book)
    assert [output for output in outputs(book) if "image/png" in output.get("data", {})]


@pytest.mark.data
@pytest.mark.parametrize(
    "notebook", [path for path in NOTEBOOKS if "weightless" not in path.name], ids=lambda path: path.stem
)
def test_the_others_on_little_real_data(
    notebook: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = executed(notebook, tmp_path, data_dir, monkeypatch)
    assert "REAL DATA: MOVIELENS" in printed(book)
    assert "| model |" in printed(book)
    assert [output for output in outputs(book) if "image/png" in output.get("data", {})]
