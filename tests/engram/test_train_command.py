"""`engram train`, `engram models` and a replay that retrains, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engram.cli import main
from engram.inline import run_inline
from engram.settings import Settings

EVENTS, EVERY = 4_000, 1_000


class Said(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Run `engram ARGUMENTS` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENGRAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engram", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


def engram(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
    return subprocess.run(
        [sys.executable, "-m", "engram", *arguments],
        cwd=cwd,
        env=kept | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def settings(**changes: Any) -> Settings:
    return Settings(
        **{
            "dataset": "synthetic",
            "limit": EVENTS,
            "models": ("popularity", "batch", "batch_champion", "blend_batch"),
            "retrain_every": EVERY,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a replay that retrains, in one process."""
    return run_inline(settings(), tmp_path_factory.mktemp("inline"))


def test_a_replay_that_retrains_gives_the_same_digest_again(inline: dict[str, Any], tmp_path: Path) -> None:
    adopted = [one for one in inline["hand_over"] if one["step"] == "adopted"]
    assert [(one["at"], one["version"]) for one in adopted] == [(EVERY, 1), (2 * EVERY, 2), (3 * EVERY, 3)]
    for changes in ({}, {"batch_size": 64, "pack": 7, "partitions": 3}):
        again = run_inline(settings(**changes), tmp_path)
        assert again["digest"] == inline["digest"]
    assert run_inline(settings(retrain_every=1_500), tmp_path)["digest"] != inline["digest"]


def test_processes_come_to_what_one_process_does_and_the_report_has_the_steps(
    inline: dict[str, Any], tmp_path: Path
) -> None:
    models = [flag for model in settings().models for flag in ("--model", model)]
    chosen = ("synthetic", "--limit", str(EVENTS), "--retrain-every", str(EVERY), *models)
    finished = engram(tmp_path, "replay", *chosen, "--out", "run", "--quiet")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert result["digest"] == inline["digest"]
    assert result["hand_over"] == inline["hand_over"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "batch: item_factors 2 adopted before event 2,000" in page
    assert "<h2>Batch models</h2>" in page
    listed = engram(tmp_path, "models", "list", "--registry", "run/registry").stdout
    cells = [[cell.strip() for cell in line.split("│")] for line in listed.splitlines()]
    assert [[row[1], row[2], row[4]] for row in cells if "item_factors" in row] == [
        ["item_factors", str(version), f"{version * EVERY:,}"] for version in (1, 2, 3)
    ]


def test_train_on_the_log_so_far_then_promote_and_roll_back(
    command: Callable[..., Said], tmp_path: Path
) -> None:
    assert command("produce", "synthetic", "--limit", "1500").code == 0
    for until, version in (("500", 1), ("1500", 2)):
        trained = command("train", "item_factors", "--until", until)
        assert trained.code == 0, trained.err
        assert trained.out == f"item_factors {version} in registry\n"
    too_far = command("train", "item_factors", "--until", "1501")
    assert too_far.code == 2
    assert "until is 1501, expected a position in the log, which has 1,500 events so far" in too_far.err
    manifest = json.loads((tmp_path / "registry/item_factors/1/manifest.json").read_text("utf-8"))
    assert (manifest["events"], manifest["scale"], manifest["kind"]) == (500, [0.0, 10.0], "factors")
    for version in (1, 2):
        promoted = command("models", "promote", "item_factors", str(version))
        assert promoted.out.splitlines()[0] == f"item_factors: champion is version {version}"
        assert "announced on engram.models" in promoted.out
    back = command("models", "rollback", "item_factors")
    assert back.out.splitlines()[0] == "item_factors: champion is version 1"
    again = command("models", "rollback", "item_factors")
    assert again.code == 1
    assert "no champion before" in again.err
    (tmp_path / "registry/item_factors/2/model.safetensors").write_bytes(b"torn")
    torn = command("models", "promote", "item_factors", "2")
    assert torn.code == 1
    assert "4 bytes" in torn.err
    assert "corrupt" in command("models", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "nothing"), "batch model is 'nothing', expected one of ['hybrid', 'ials', 'item_factors'"),
        (("train", "item_factors", "--watch"), "expected --watch with at least one of --every"),
        (("train", "item_factors", "--every", "5"), "expected --watch with at least one of --every"),
        (("train", "item_factors", "--until", "soon"), "until is 'soon', expected a number of events, or"),
        (("train", "item_factors"), "expected that of a log with events before now"),
        (
            ("replay", "synthetic", "--model", "blend_batch"),
            "blend_batch has the versions that batch has, expected --model batch too",
        ),
        (
            ("replay", "synthetic", "--retrain-every", "10", "--model", "popularity"),
            "retrain_every is 10, but batch is not among the models, popularity",
        ),
        (
            ("replay", "synthetic", "--retrain-every", "10", "--model", "batch", "--batch-model", "x"),
            "batch model is 'x'",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    command: Callable[..., Said], arguments: tuple[str, ...], said: str
) -> None:
    finished = command(*arguments)
    assert finished.code == 2
    assert said in finished.err.replace("\n", " ")
