"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.serving_parts import serving_of
from serving.parts import Serving
from tests.serving.live_api import Session, converse, put_films, settings_in


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A live learner of six films that nobody has rated yet."""
    settings = settings_in(tmp_path)
    put_films(settings)
    with serving_of(settings) as running:
        yield running


@pytest.fixture
def session(serving: Serving) -> Session:
    """Run a conversation with the API."""
    return lambda conversation: converse(serving, conversation)
