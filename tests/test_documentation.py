"""The site: it builds strictly, its reference is the code's, and links to elsewhere have a form that could be right."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from documentation.reference import DOCS, PAGES

ROOT = DOCS.parent
DOCUMENTS = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
]


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of the project in `folder`."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def _mkdocs() -> None:
    if importlib.util.find_spec("material") is None or importlib.util.find_spec("latex2mathml") is None:
        missing = "mkdocs-material is not installed: make docs"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


@pytest.mark.usefixtures("_mkdocs")
def test_the_site_builds_strictly_and_is_read_without_a_network(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        html = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?(https?:[^\"' >]+)", html)
        assert not loaded, f"{page.name} loads {loaded}"
    hebbian = (tmp_path / "site" / "concepts" / "hebbian.html").read_text("utf-8")
    assert "<math" in hebbian
    assert "$`" not in hebbian
    assert (tmp_path / "site" / "repository" / "dashboards" / "prometheus" / "alerts.yml").exists()


@pytest.mark.usefixtures("_mkdocs")
def test_a_link_to_nothing_stops_the_build(tmp_path: Path) -> None:
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    # The same settings, for two pages: a whole build takes seconds.
    config = re.sub(r"^(hooks|extra_css): .*\n", "", config, flags=re.MULTILINE)
    (tmp_path / "mkdocs.yml").write_text(config[: config.index("\nnav:")] + "\n", "utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[gone](other.md#gone)\n", "utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n## Here\n", "utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "'other.md#gone'" in done.stderr, done.stderr


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_that_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "write it again: make reference"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_elsewhere_have_a_host_and_https(path: Path) -> None:
    for link in re.findall(r"\]\((https?:[^)\s]*)\)", path.read_text("utf-8")):
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc), link
