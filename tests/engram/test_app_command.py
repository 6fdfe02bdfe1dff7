"""`engram app` before anything is started; what it does is in tests/serving/test_page.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engram.cli import app
from eventlog.errors import SettingsError

pytest.importorskip("streamlit")


def test_a_taken_port_and_contradictions_are_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str) -> str:
        error = CliRunner().invoke(app, ["app", *arguments]).exception
        assert isinstance(error, SettingsError)
        return str(error)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        expected = f"port is {port}, which is taken, expected a free one"
        assert expected in said("--no-replay", "--port", port)
    assert "--replay and --no-replay are both given" in said("--no-replay", "--replay", "ml-100k")
    assert "dataset is 'ml-1bn', expected one of" in said("--replay", "ml-1bn")
    assert not list(tmp_path.iterdir())
