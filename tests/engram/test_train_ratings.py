"""`engram train --protocol ratings`: batch models that predict ratings, beside River's; and runs that go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.cli import main

USERS, ITEMS = 40, 30
COLUMNS = (
    "--columns",
    "user=user,item=item,rating=rating,time=timestamp",
    "--rating-min",
    "1",
    "--rating-max",
    "5",
)


def write_ratings(path: Path) -> None:
    """Each user rates 20 of 30 items: 3, one more or less by the item's half, one more or less by the user's."""
    random = np.random.default_rng(0)
    lines = ["user,item,rating,timestamp"]
    for user in range(USERS):
        for item in random.permutation(ITEMS)[:20]:
            rating = 3 + (1 if item < ITEMS // 2 else -1) + (1 if user % 2 else -1)
            lines.append(f"u{user},i{item},{rating},{1_000_000 + int(random.integers(100_000))}")
    path.write_text("\n".join(lines) + "\n")


def train(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["engram", "train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_ratings_are_predicted_and_runs_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    data, out = tmp_path / "ratings.csv", tmp_path / "out"
    write_ratings(data)
    common = (
        "--protocol",
        "ratings",
        "--data",
        str(data),
        *COLUMNS,
        "--threads",
        "1",
        "--out",
        str(out),
        "--resume",
    )
    quick = ("--param", "mf.fit.rate=0.02", "--param", "mf.fit.epochs=40", "--param", "mf.fit.batch_size=64")
    assert not train(monkeypatch, "mf", *common, *quick)
    result = json.loads((out / "result.json").read_text())
    (one,) = result["models"]["mf"]
    assert (result["train_events"], result["test_events"]) == (640, 160)
    # The ratings are a sum of what the item and the user add: next to nothing is left to be wrong.
    assert one["figures"]["rmse"] < 0.3 < result["peers"]["mean"]["rmse"]
    assert one["figures"]["known_ratings"] == 160
    assert len(one["curves"]["refit"]["mf"]) == one["epochs"]["mf"]
    assert "mf: choose mf, epoch 1" in (said := capsys.readouterr().out)
    assert "RMSE, both known" in said

    # A second command with one more seed and one more model does what is not there yet, and keeps the rest.
    assert not train(monkeypatch, "gmf", "mf", *common, *quick, "--seeds", "2", "--param", "gmf.fit.epochs=2")
    again = json.loads((out / "result.json").read_text())["models"]
    assert again["mf"][0] == one
    assert [run["seed"] for run in again["mf"]] == [run["seed"] for run in again["gmf"]] == [0, 1]
    # Other settings are another run.
    assert not train(monkeypatch, "mf", *common, "--param", "mf.fit.epochs=1")
    other = json.loads((out / "result.json").read_text())["models"]
    assert len(other["mf"]) == 1
    assert other["mf"][0]["epochs"] == {"mf": 1}
    assert other["gmf"] == again["gmf"]
    assert not (out / "fits").exists()


def test_a_fit_that_was_interrupted_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stopped after the second epoch of the refit, and begun again: the figures of a run that was left alone."""
    pytest.importorskip("torch")
    from batch_models.trainer import Trainer

    data = tmp_path / "ratings.csv"
    write_ratings(data)
    common = ("--protocol", "ratings", "--data", str(data), *COLUMNS, "--threads", "1", "--resume", "neumf")
    params = [
        f"neumf.{stage}.{name}" for stage in ("gmf", "mlp", "fit") for name in ("epochs=3", "patience=0")
    ]
    quick = [text for param in params for text in ("--param", param)]
    assert not train(monkeypatch, *common, *quick, "--out", str(tmp_path / "whole"))
    whole = json.loads((tmp_path / "whole" / "result.json").read_text())["models"]["neumf"][0]

    saved: list[Path] = []
    save = Trainer.save

    def stopped(trainer: Trainer, path: Path) -> None:
        save(trainer, path)
        saved.append(path)
        if len(saved) == 11:  # of 9 epochs of choosing, the second after them
            raise RuntimeError("power cut")

    out = tmp_path / "parts"
    monkeypatch.setattr(Trainer, "save", stopped)
    with pytest.raises(RuntimeError, match="power cut"):
        train(monkeypatch, *common, *quick, "--out", str(out))
    monkeypatch.setattr(Trainer, "save", save)
    (fit,) = (out / "fits").iterdir()
    assert sorted(path.name for path in (fit / "choose").iterdir()) == [
        f"{stage}.safetensors" for stage in ("gmf", "mlp", "neumf")
    ]
    assert not train(monkeypatch, *common, *quick, "--out", str(out))
    parts = json.loads((out / "result.json").read_text())["models"]["neumf"][0]
    assert parts["figures"] == whole["figures"]
    assert parts["validation"] == whole["validation"]
    assert parts["epochs"] == whole["epochs"]


def test_events_without_ratings_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    common = ("--protocol", "ratings", "--out", str(tmp_path / "out"))
    assert train(monkeypatch, "mf", *common) == 2
    assert "data is not set" in capsys.readouterr().err
    data = tmp_path / "ratings.csv"
    write_ratings(data)
    assert train(monkeypatch, "hybrid", *common, "--data", str(data), *COLUMNS) == 2
    assert "model is 'hybrid', expected one of mf, gmf, mlp, neumf" in capsys.readouterr().err
