"""`engram train` as a user meets it, on made data with two tastes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engram.cli import main
from tests.batch_models.tastes import write_two_tastes

QUICK = (
    "neumf.model.factors=4", "neumf.model.layers=8,4", "neumf.gmf.epochs=8", "neumf.mlp.epochs=4", "neumf.fit.epochs=2",
    "ials.model.factors=4", "ials.model.epochs=4", "mf.model.factors=4", "mf.fit.epochs=8",
)  # fmt: skip


def train(monkeypatch: pytest.MonkeyPatch, data_dir: Path, *arguments: str) -> Any:
    """Run the command in this process; return its exit code."""
    monkeypatch.delenv("ENGRAM_DATA_DIR", raising=False)
    monkeypatch.setattr(
        sys,
        "argv",
        ["engram", "train", "--protocol", "leave-one-out", "--data-dir", str(data_dir), *arguments],
    )
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_models_are_chosen_refitted_and_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    write_two_tastes(tmp_path)
    names = ("neumf", "ials", "mf", "popularity")
    params = [flag for param in QUICK for flag in ("--param", param)]
    out = tmp_path / "out"
    assert not train(
        monkeypatch, tmp_path, *names, *params, "--seeds", "2", "--threads", "1", "--out", str(out)
    )
    result = json.loads((out / "result.json").read_text())
    assert list(result["models"]) == list(names)
    assert (result["train_events"], result["users"], result["seeds"]) == (1140, 60, [0, 1])
    for name, runs in result["models"].items():
        assert [one["seed"] for one in runs] == [0, 1]
        for one in runs:
            assert 1 >= one["sampled"]["hr@10"] >= one["sampled"]["ndcg@10"] >= 0
            assert one["all_items"]["hr@10"] <= one["sampled"]["hr@10"]
            assert set(one["epochs"]) == {"neumf": {"gmf", "mlp", "neumf"}, "popularity": set()}.get(
                name, {name}
            )
            # As many epochs in the refit as were chosen, and no validation.
            for stage, epochs in one["epochs"].items():
                assert len(one["curves"]["refit"][stage]) == epochs
                assert {epoch["ndcg@10"] for epoch in one["curves"]["refit"][stage]} <= {None}
    best = {name: runs[0]["sampled"]["hr@10"] for name, runs in result["models"].items()}
    # 20 of 100 candidates are of the user's own half: who knows no more is right half of the time.
    assert best["ials"] > 0.3 > best["popularity"]
    table = (out / "table.md").read_text().splitlines()
    assert len(table) == 2 + len(names)
    assert " ± " in table[2]
    with (out / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["seed"]) for row in rows] == [(name, seed) for name in names for seed in "01"]
    first = result["models"]["neumf"][0]
    assert float(rows[0]["sampled hr@10"]) == pytest.approx(first["sampled"]["hr@10"], rel=1e-5)
    with (out / "curves.csv").open() as file:
        epochs = [row for row in csv.DictReader(file) if row["model"] == "neumf" and row["seed"] == "0"]
    assert len(epochs) == sum(len(of) for phase in first["curves"].values() for of in phase.values())
    said = capsys.readouterr().out
    assert "neumf: choose gmf, epoch 1" in said
    assert "refit" in said
    assert "95 % interval" in said


def test_the_same_seed_gives_the_same_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_two_tastes(tmp_path)
    found = []
    for number in range(2):
        out = tmp_path / str(number)
        params = [flag for param in QUICK[-2:] for flag in ("--param", param)]
        assert not train(monkeypatch, tmp_path, "mf", *params, "--threads", "1", "--out", str(out))
        result = json.loads((out / "result.json").read_text())["models"]["mf"][0]
        found.append({key: result[key] for key in ("sampled", "all_items", "validation", "epochs")})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hebbian",), "model is 'hebbian', expected one of hybrid, neumf, "),
        (("mf", "mf"), "expected each once"),
        (("mf", "--param", "mf.factors=3"), "'factors' is not one of model, fit, recency"),
        (("mf", "--param", "mf.model.factors=few"), "param is 'mf.model.factors=few'"),
        (("mf", "--param", "ials.model.factors=3"), "expected a parameter of mf"),
        (("mf", "--param", "mf.fit"), "expected MODEL.NAME=VALUE"),
        (("mf", "--param", "mf.fit=3"), "expected fit.NAME with one of epochs"),
        (("content",), "nothing is known of the items"),
        (("hybrid", "--content", "word2vec"), "content is 'word2vec', expected one of genres, hashing, "),
        (("mf", "--device", "abacus"), "device is 'abacus'"),
        (("mlp", "--param", "mlp.fit.over=all_items"), "over is 'all_items', expected pairs for MLP"),
    ],
)
def test_what_cannot_be_done_is_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    pytest.importorskip("torch")
    write_two_tastes(tmp_path)
    assert train(monkeypatch, tmp_path, *arguments, "--out", str(tmp_path / "out")) == 2
    assert said in capsys.readouterr().err


def test_the_core_never_imports_torch() -> None:
    modules = "engram.cli, engram.train_leave_one_out, consumers.learner, online_models.registry, batch_models.names"
    code = f"import sys, {modules}; print([name for name in sys.modules if name.split('.')[0] == 'torch'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
