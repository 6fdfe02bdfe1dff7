"""`engram train` by protocols on a user's own file: a split by time, and leave-one-out with drawn negatives."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.cli import main


def write_ratings(folder: Path) -> Path:
    """Even users like the even items and odd ones the odd: 40 users, 240 items, 1,200 ratings, all of them 5 or 2."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(40):
        own = random.choice(np.arange(user % 2, 240, 2), 24, replace=False)
        other = random.choice(np.arange(1 - user % 2, 240, 2), 6, replace=False)
        rows += [(user, item, 5.0 if item in own else 2.0) for item in (*own, *other)]
    order = random.permutation(len(rows))
    lines = [f"{rows[at][0]},{rows[at][1]},{rows[at][2]},{1_000_000 + 60 * n}" for n, at in enumerate(order)]
    path = folder / "ratings.csv"
    path.write_text("user,item,rating,timestamp\n" + "\n".join(lines) + "\n")
    return path


COLUMNS = ("--columns", "user=user,item=item,rating=rating,time=timestamp")


def train(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.delenv("ENGRAM_DATA_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["engram", "train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_split_by_time_asks_among_all_items(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    path, out = write_ratings(tmp_path), tmp_path / "out"
    arguments = (
        "ials",
        "popularity",
        "--protocol",
        "time-split",
        "--data",
        str(path),
        "--threads",
        "1",
        "--out",
        str(out),
    )
    params = ("--param", "ials.model.factors=4", "--param", "ials.model.epochs=3")
    assert not train(monkeypatch, *arguments, *params, *COLUMNS)
    result = json.loads((out / "result.json").read_text())
    assert (result["train_events"], result["relevant_rating"]) == (960, 4.0)
    found = {name: runs[0] for name, runs in result["models"].items()}
    for one in found.values():
        assert one["pairs"] == result["relevant_pairs"]
        assert sum(band["users"] for band in one["by_user_band"].values()) == one["users"] == result["users"]
        assert sum(band["pairs"] for band in one["by_item_band"].values()) == one["pairs"]
        for cutoff in (5, 10, 20):
            assert one["figures"][f"hr@{cutoff}"] >= one["figures"][f"recall@{cutoff}"] >= 0
    assert found["ials"]["figures"]["ndcg@20"] > found["popularity"]["figures"]["ndcg@20"]
    table = (out / "table.md").read_text().splitlines()
    assert table[0].startswith("| model | HR@10 | precision@10 | recall@10 | NDCG@10 |")
    assert len(table) == 4
    assert "NDCG@10 by how many events a user has in training" in capsys.readouterr().out


def test_any_data_set_can_be_left_one_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path, out = write_ratings(tmp_path), tmp_path / "out"
    arguments = ("popularity", "--protocol", "leave-one-out", "--data", str(path), "--out", str(out))
    assert not train(monkeypatch, *arguments, *COLUMNS)
    result = json.loads((out / "result.json").read_text())
    assert (result["users"], result["train_events"], result["negatives"]) == (40, 1160, 40 * 99)
    assert result["negatives_equal_to_target"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mf", "--protocol", "time-split"), "data is not set, expected a data set to split by time"),
        (("mf", "--protocol", "time-split", "--watch"), "no --watch with --protocol time-split"),
        (("item_factors", "--data", "ml-100k"), "data is set, expected none with --protocol log"),
    ],
)
def test_what_does_not_go_together_is_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert train(monkeypatch, *arguments) == 2
    assert said in capsys.readouterr().err
