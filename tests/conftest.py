"""Fixtures that several folders of tests use."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from kafka_ladder import NoBrokerError, kafka_broker


def _unavailable(what: str) -> NoReturn:
    """Skip by name on a user's machine; fail where continuous integration must have it."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a real broker, one a session; tests name their topics uniquely."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(kafka_broker(shared))
        except NoBrokerError as error:
            _unavailable(f'{error} (to have one: pip install "engram-stream[broker]")')
        yield address


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """A Chromium: of the system, or None for the one that `playwright install chromium` left."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    if any((Path.home() / ".cache" / "ms-playwright").glob("chromium*")):
        return None
    _unavailable("no Chromium (to have one: apt-get install chromium, or playwright install chromium)")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real MovieLens files (ml-100k and others)."""
    value = os.environ.get("ENGRAM_DATA_DIR")
    if not value:
        _unavailable(
            "no real data: ENGRAM_DATA_DIR is not set (engram data get ml-100k, then set it to that folder)"
        )
    folder = Path(value)
    if not folder.is_dir():
        _unavailable(f"no real data: ENGRAM_DATA_DIR is {folder}, which is no folder")
    return folder
