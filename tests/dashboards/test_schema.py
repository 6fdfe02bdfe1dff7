"""The boards' JSON against Grafana's own TypeScript types (`@grafana/schema`), by the TypeScript compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dashboards.grafana_json import FOLDER

PACKAGES = ("@grafana/schema@13", "typescript@5")
# Enumerations are texts in JSON, and Prometheus keeps an annotation's query beside what all data sources have.
TYPES = """import type { Dashboard } from "@grafana/schema";
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Board = Json<Dashboard> & { annotations?: { list?: { expr?: string }[] } };
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("no npm: Node.js brings it")
    folder = tmp_path_factory.mktemp("types")
    (folder / "package.json").write_text('{"name": "boards", "private": true}', "utf-8")
    subprocess.run(["npm", "install", "--silent", "--no-audit", *PACKAGES], cwd=folder, check=True)
    return folder


def compile_boards(project: Path, boards: dict[str, str]) -> str:
    """What the compiler says of {name: JSON}; "" for nothing."""
    for name, text in boards.items():
        (project / f"{name}.ts").write_text(f"{TYPES}export const board: Board = {text};\n", "utf-8")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler"]
    command = ["npx", "tsc", *options, "--module", "esnext", "--target", "es2022"]
    files = [f"{name}.ts" for name in boards]
    return subprocess.run([*command, *files], cwd=project, capture_output=True, text=True, check=False).stdout


@pytest.mark.full
def test_the_boards_have_the_types_that_grafana_expects(project: Path) -> None:
    boards = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.json"))}
    assert compile_boards(project, boards) == ""


@pytest.mark.full
def test_a_wrong_option_is_seen(project: Path) -> None:
    text = (FOLDER / "engram-cost.json").read_text("utf-8").replace('"graphTooltip"', '"graphToolTip"')
    assert "graphToolTip" in compile_boards(project, {"wrong": text})
