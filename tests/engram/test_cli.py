"""The command line as a user meets it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engram.cli import main

COMMANDS = (
    (),
    ("demo",),
    ("replay",),
    ("compare",),
    ("produce",),
    ("learn",),
    ("evaluate",),
    ("evaluate", "leave-one-out"),
    ("evaluate", "diversity"),
    ("recommend",),
    ("ingest",),
    ("data",),
    ("data", "list"),
    ("data", "get"),
    ("data", "verify"),
    ("data", "describe"),
    ("kafka",),
    ("kafka", "up"),
    ("kafka", "down"),
    ("kafka", "status"),
    ("checkpoint",),
    ("checkpoint", "list"),
    ("checkpoint", "show"),
    ("checkpoint", "verify"),
    ("checkpoint", "restore"),
    ("offsets",),
    ("report",),
    ("dlq",),
    ("dlq", "list"),
    ("dlq", "show"),
    ("dlq", "redrive"),
    ("train",),
    ("models",),
    ("models", "list"),
    ("models", "promote"),
    ("models", "rollback"),
)


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
    return kept | {"COLUMNS": "100"} | variables


def _engram(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engram", *arguments],
        cwd=cwd,
        env=_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


class _Said(NamedTuple):
    """What a command in this process said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., _Said]:
    """Run `engram ARGUMENTS` in this process (a tenth of the time), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENGRAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> _Said:
        monkeypatch.setattr(sys, "argv", ["engram", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return _Said(end.value.code, *capsys.readouterr())

    return run


def _replay(out: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    run = _engram("replay", "synthetic", "--out", str(out), *arguments, cwd=out.parent, **variables)
    assert run.returncode == 0, run.stderr + run.stdout
    result: dict[str, Any] = json.loads((out / "result.json").read_text("utf-8"))
    assert result["digest"] in run.stdout
    return result


@pytest.mark.parametrize("name", COMMANDS, ids=lambda name: " ".join(name) or "engram")
def test_every_command_has_help(name: tuple[str, ...], command: Callable[..., _Said]) -> None:
    run = command(*name, "--help")
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout
    assert "None." not in run.stdout


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    run = _engram("--version", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "engram 0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("replay", "ml-100k", "--batch-size", "0"),
            "batch_size is '0' (flag --batch-size), expected int >= 1",
        ),
        (("replay", "ml-100k", "--log", "kafak"), "expected one of embedded, kafka"),
        (("replay", "ml-100k", "--model", "hebian"), "hebbian"),
        (("replay", "ml-100k", "--from", "2001-01-01", "--to", "2000-01-01"), "to_time is '2000-01-01'"),
        (("replay", "ml-100k", "--rate", "1", "--speed", "1"), "expected one of them"),
        (("replay",), "dataset"),
        (("replay", "ml-0"), "ml-0"),
        (("evaluate",), "expected one of --run DIR and --watch"),
        (("evaluate", "--run", "nowhere"), "run is 'nowhere'"),
        (("checkpoint", "list", "nowhere"), "folder is 'nowhere'"),
        (("replay", "ml-100k", "--config", "nowhere.toml"), "nowhere.toml"),
        (("report", "nowhere"), "it has no result.json"),
        (("offsets", "--run", "nowhere"), "run is 'nowhere'"),
        (("offsets",), "log_path is 'engram.sqlite'"),
        (("dlq", "list", "--log-path", "nowhere"), "log_path is 'nowhere'"),
        (("checkpoint", "restore", "nowhere", "1"), "folder is 'nowhere'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(
    arguments: tuple[str, ...], said: str, command: Callable[..., _Said], tmp_path: Path
) -> None:
    run = command(*arguments)
    assert run.returncode == 2, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_variable_is_an_error_of_its_own(tmp_path: Path) -> None:
    run = _engram("learn", cwd=tmp_path, ENGRAM_BATCHSIZE="7")
    assert run.returncode == 2
    assert run.stderr == (
        "engram: unknown setting batchsize (environment variable ENGRAM_BATCHSIZE); did you mean batch_size?\n"
    )


def test_an_error_keeps_its_traceback_when_it_is_asked_for(tmp_path: Path) -> None:
    run = _engram("evaluate", "--run", "nowhere", cwd=tmp_path, ENGRAM_DEBUG="1")
    assert run.returncode != 0
    assert "Traceback" in run.stderr


def test_kafka_without_a_broker_names_the_command_that_starts_one(tmp_path: Path) -> None:
    run = _engram(
        "replay", "synthetic", "--log", "kafka", cwd=tmp_path, XDG_STATE_HOME=str(tmp_path / "state")
    )
    assert run.returncode == 2
    assert "engram kafka up" in run.stderr


def test_a_broker_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    run = _engram("replay", "synthetic", "--log", "kafka", "--bootstrap", "127.0.0.1:1", cwd=tmp_path)
    assert run.returncode == 1
    assert "127.0.0.1:1" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_replay_reports_evaluates_again_and_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = _replay(out, "--limit", "3000", "--quiet")
    assert result["events"] == result["total_events"] == 3000
    assert set(result["models"]) == {"popularity", "decayed_popularity", "blend", "hebbian"}
    assert result["accounting"]["accepted"] == result["accounting"]["learned"] == 3000
    assert result["seconds"] > 0
    assert "SYNTHETIC" in result["data_source"]
    for name in (
        "result.json",
        "table.md",
        "curves.png",
        "curves.json",
        "report.html",
        "table.csv",
        "curves.csv",
        "logs/learner.log",
        "logs/producer.log",
    ):
        assert (out / name).stat().st_size > 0, name

    again = _engram("evaluate", "--run", str(out), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert result["digest"] in again.stdout

    listed = _engram("checkpoint", "list", str(out), cwd=tmp_path)
    assert "3,000" in listed.stdout
    shown = _engram("checkpoint", "show", str(out), cwd=tmp_path)
    assert "model/hebbian/" in shown.stdout
    assert _engram("checkpoint", "verify", str(out), cwd=tmp_path).returncode == 0

    # One bit of one array, and one figure of the report: both are found.
    victim = max((out / "checkpoints" / "lane-0" / "objects").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    broken = _engram("checkpoint", "verify", str(out), cwd=tmp_path)
    assert broken.returncode == 1
    assert "lane-0" in broken.stderr
    result["models"]["hebbian"]["all"]["recall@10"] += 1e-9
    (out / "result.json").write_text(json.dumps(result), "utf-8")
    differs = _engram("evaluate", "--run", str(out), cwd=tmp_path)
    assert differs.returncode == 1
    assert "models.hebbian.all.recall@10" in differs.stderr


def test_a_finished_run_is_replaced_and_a_different_unfinished_one_is_not(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = _replay(out, "--limit", "500", "--quiet", "--model", "popularity")
    run = _engram(
        "replay",
        "synthetic",
        "--out",
        str(out),
        "--limit",
        "400",
        "--quiet",
        "--model",
        "popularity",
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "a finished run: it is replaced" in run.stdout
    second = json.loads((out / "result.json").read_text("utf-8"))
    assert (first["events"], second["events"]) == (500, 400)
    state = json.loads((out / "run.json").read_text("utf-8"))
    (out / "run.json").write_text(json.dumps(state | {"finished": False}), "utf-8")
    other = _engram(
        "replay", "synthetic", "--out", str(out), "--limit", "500", "--model", "popularity", cwd=tmp_path
    )
    assert other.returncode == 2
    assert "--limit 400 (not 500)" in other.stderr
    assert "--fresh" in other.stderr


def _start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engram", "replay", "synthetic", "--out", str(out), *arguments],
        cwd=out.parent,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_predictions(out: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the learner is in the middle of its work."""
    from eventlog.errors import LogError
    from eventlog.sqlite_log import SqliteLog

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "log.sqlite").exists() and (out / "run.json").exists():
            prefix = json.loads((out / "run.json").read_text("utf-8"))["topic_prefix"]
            try:
                with SqliteLog(out / "log.sqlite") as log:
                    if log.bounds(f"{prefix}.predictions")[0].end > 0:
                        return
            except LogError:
                pass
        time.sleep(0.02)
    pytest.fail(f"nothing was predicted; the replay said: {process.communicate(timeout=30)}")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)])
def test_stopped_in_the_middle_and_resumed_equals_uninterrupted(
    number: signal.Signals, tmp_path: Path
) -> None:
    models = ("--model", "popularity", "--model", "hebbian")
    arguments = ("--limit", "4000", "--seed", "3", "--pack", "16", *models)
    whole = _replay(tmp_path / "whole", *arguments, "--quiet")
    out = tmp_path / "parts"
    # Slow enough to be in the middle when the signal comes.
    process = _start(out, *arguments, "--rate", "1000")
    _wait_for_predictions(out, process)
    process.send_signal(number)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors + said
    assert f"--out {out}" in said
    assert not (out / "result.json").exists()
    listed = _engram("checkpoint", "verify", str(out), cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    resumed = _engram("replay", "synthetic", "--out", str(out), *arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr + resumed.stdout
    assert "it goes on" in resumed.stdout
    result = json.loads((out / "result.json").read_text("utf-8"))
    assert result["digest"] == whole["digest"]
    assert result["models"]["hebbian"]["all"] == whole["models"]["hebbian"]["all"]
    assert _engram("evaluate", "--run", str(out), cwd=tmp_path).returncode == 0


def test_a_child_that_dies_fails_the_command_with_the_end_of_its_log(tmp_path: Path) -> None:
    run = _engram(
        "replay",
        "synthetic",
        "--limit",
        "2000",
        "--model",
        "popularity",
        "--out",
        "run",
        cwd=tmp_path,
        ENGRAM_FAILPOINT="batch_learned:1",
    )
    assert run.returncode == 1
    assert "the learner was ended by SIGKILL" in run.stderr
    assert "learner.log" in run.stderr
    resumed = _engram(
        "replay", "synthetic", "--limit", "2000", "--model", "popularity", "--out", "run", cwd=tmp_path
    )
    assert resumed.returncode == 0, resumed.stderr
