"""`engram evaluate leave-one-out` as a user meets it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from engram.cli import main
from tests.producers.leave_one_out_files import write_leave_one_out


def leave_one_out(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, out: Path, *arguments: str
) -> dict[str, Any]:
    """Run the command in this process and return what it wrote."""
    monkeypatch.delenv("ENGRAM_DATA_DIR", raising=False)
    command = ["engram", "evaluate", "leave-one-out", "--data-dir", str(data_dir), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*command, *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    result: dict[str, Any] = json.loads((out / "leave_one_out.json").read_text())
    return result


def test_popularity_by_hand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_leave_one_out(tmp_path)
    result = leave_one_out(monkeypatch, tmp_path, tmp_path / "out", "--model", "popularity")
    # Counts after training: item 0 three, 1 two, 2, 3 and 100 one, others none. Of the negatives:
    # user 0, target 3 (one): only 100 is level, the target itself is collapsed: r = 1.
    # User 1, target 2 (one): only 100 is level: r = 1. User 2, target 1 (two): none: r = 0.
    figures = result["models"]["popularity"]
    assert figures["sampled"]["hr@10"] == 1.0
    assert figures["sampled"]["ndcg@10"] == pytest.approx((1 + 2 * math.log(2) / math.log(3)) / 3)
    # Of all: user 0 (had 0, 1, 2) and user 1 (had 0, 1, 3) as before; user 2 (had 0, 100): none.
    assert figures["all_items"] == figures["sampled"]
    assert (result["train_events"], result["users"], result["items"]) == (8, 3, 103)
    assert result["negatives_equal_to_target"] == 1
    said = capsys.readouterr().out
    assert "popularity" in said
    assert "1 of 297 are the item itself" in said
    assert "last training event" in said


def test_an_item_that_nobody_had_is_below_all_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = "\t".join(map(str, [0, 1, *range(4, 101)]))
    write_leave_one_out(tmp_path, test="0\t105\t4\t400\n", negative=f"(0,105)\t{drawn}\n")
    result = leave_one_out(monkeypatch, tmp_path, tmp_path / "out", "--model", "popularity")
    assert result["models"]["popularity"]["sampled"] == {"hr@10": 0.0, "ndcg@10": 0.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("leave-one-out", "--model", "rating_mean"), "expected one that ranks"),
        (("leave-one-out", "--model", "hebian"), "hebian"),
        (("leave-one-out", "--param", "isgd.rate=1"), "isgd is not among the models"),
        (("--watch", "leave-one-out"), "expected one of --run DIR, --watch and leave-one-out"),
    ],
)
def test_bad_usage_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["engram", "evaluate", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.data
def test_popularity_equals_the_literature(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path
) -> None:
    """TopPop of Ferrari Dacrema et al. (2019), "Are we really making much progress?", RecSys."""
    result = leave_one_out(monkeypatch, data_dir, tmp_path, "--model", "popularity")
    assert (result["train_events"], result["users"]) == (994_169, 6_040)
    found = result["models"]["popularity"]["sampled"]
    assert found["hr@10"] == pytest.approx(0.4531, abs=0.002)
    assert found["ndcg@10"] == pytest.approx(0.2542, abs=0.002)
