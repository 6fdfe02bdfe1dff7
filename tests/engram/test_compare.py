"""`engram compare` as a user meets it: on made data, in processes, stopped, resumed and refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.cli import main
from engram.compare_cells import Cell, StreamChoice, cell_of, choose_models, parse_streams
from engram.compare_ranks import Ranks, mark_rows
from engram.compare_rows import FIGURES, absent_kept, rows_of
from engram.compare_seeds import draws, merged, with_repetitions
from engram.compare_table import write_tables
from engram.inline import run_inline
from engram.settings import Settings
from eventlog.errors import SettingsError
from online_models.registry import MODELS
from peers.catalogue import DRAWS, PEERS
from tests.producers.dataset_files import write_dataset


def engram_compare(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "engram", "compare", *arguments],
        cwd=cwd,
        env=kept | {"COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "compare.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def made_ratings(users: int, items: int) -> str:
    """Lines of u.data: everybody has all items, in an order of their own, and likes the even ones."""
    lines = [
        f"{user}\t{1 + (user * 7 + step) % items}\t{5 - 3 * ((user * 7 + step) % 2)}\t{881250949 + 60 * step + user}"
        for user in range(1, users + 1)
        for step in range(items)
    ]
    return "\n".join(lines) + "\n"


def test_every_model_on_every_stream_and_nothing_measured_twice(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "ml-100k", u_data=made_ratings(users=8, items=12))
    arguments = ("--datasets", "ml-100k:5,ml-100k:0", "--data-dir", "data", "--out", "out", "--seed", "3")
    models = ("--model", "rating_means", "--top-every", "8")
    first = engram_compare(tmp_path, *arguments, *models)
    said, errors = first.communicate(timeout=240)
    assert first.returncode == 0, errors + said
    assert "Not on ml-100k, rating ≥ 5, for they predict ratings and need all of them: rating_means" in said
    assert "5 of 5" in said
    found = rows(tmp_path / "out")
    assert {(row["min_rating"], row["model"], row["protocol"]) for row in found} == {
        *(("5.0", model, "P") for model in ("popularity", "decayed_popularity")),
        *(("0.0", model, "P") for model in ("popularity", "decayed_popularity")),
        ("0.0", "rating_means", "R"),
    }
    # The same figures as one replay with all of them gives.
    for least, events in ((5.0, "48"), (0.0, "96")):
        settings = Settings(
            dataset="ml-100k",
            data_dir=str(tmp_path / "data"),
            min_rating=least or None,
            models=("popularity", "decayed_popularity", "rating_means"),
            seed=3,
            top_every=8,
        )
        result = run_inline(settings, tmp_path)
        for row in [row for row in found if float(row["min_rating"]) == least]:
            model = result["models"][row["model"]]
            assert (row["events"], row["seed"], row["jobs"]) == (events, "3", "1")
            assert row["data_digest"] == result["data_digest"]
            if MODELS[row["model"]].ranks:
                for measure in ("recall@10", "ndcg@10", "mrr@10"):
                    assert float(row[measure]) == model["last_70"][measure]
                assert float(row["coverage@20"]) == model["beyond"]["last_70"]["coverage@20"]
                assert row["rmse"] == ""
            else:
                assert row["recall@10"] == ""
                assert [float(row[measure]) for measure in ("rmse", "mae", "auc", "accuracy")] == [
                    model["rating"][measure] for measure in ("rmse", "mae", "auc", "accuracy")
                ]
            assert int(row["state_bytes"]) == model["state_bytes"]
            assert min(float(row["events_per_second"]), float(row["seconds"])) > 0
            assert int(row["peak_memory_bytes"]) > 1 << 20
    markdown = (tmp_path / "out" / "compare.md").read_text("utf-8")
    assert "| ml-100k, rating ≥ 5: 48 events | " in markdown
    assert "one at a time" in markdown
    assert not list((tmp_path / "out" / "cells").glob("*.running"))
    # Nothing is left to do but the cells of one more parameter and one model more.
    table = (tmp_path / "out" / "compare.csv").read_bytes()
    again = engram_compare(tmp_path, *arguments, *models)
    said, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors + said
    assert "5 of 5 cells are finished already" in said
    assert (tmp_path / "out" / "compare.csv").read_bytes() == table
    other = engram_compare(
        tmp_path, *arguments, *models, "--jobs", "2", "--param", "rating_means.user_shrinkage=3"
    )
    said, errors = other.communicate(timeout=240)
    assert other.returncode == 0, errors + said
    assert "4 of 5 cells are finished already" in said
    assert "up to 2 at a time" in said


def test_stopped_and_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--datasets", "synthetic", "--model", "popularity", "--limit", "400", "--out", str(out))
    process = engram_compare(tmp_path, *arguments)
    deadline = time.monotonic() + 200
    while not list(out.glob("cells/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors + said
    assert f"To go on: engram compare --datasets synthetic --model popularity --limit 400 --out {out}" in said
    assert not list(out.glob("cells/*.running"))
    finished = {path.name: path.read_bytes() for path in out.glob("cells/*.json")}
    assert finished
    process = engram_compare(tmp_path, *arguments)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors + said
    assert "cells are finished already" in said
    assert "one at a time" in said
    assert all((out / "cells" / name).read_bytes() == content for name, content in finished.items())
    assert {row["model"] for row in rows(out)} == {"popularity", "decayed_popularity"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--datasets", "ml-0:5"), "datasets has 'ml-0:5', expected one of ml-100k"),
        (("--datasets", "ml-100k:5,ml-1m:x"), "datasets has 'ml-1m:x', expected NAME:RATING"),
        (("--datasets", "ml-100k:5,"), "datasets has '', expected NAME:RATING"),
        (("--suite", "none"), "suite is 'none', expected one of paper, peers, sources"),
        (("--datasets", "ml-100k:5", "--peer", "x"), "peer is 'x', expected all or one of river.Baseline"),
        (
            ("--datasets", "ml-100k:5", "--peer-python", "numpy=/none"),
            "peer-python is 'numpy=/none', expected a file",
        ),
        (
            ("--datasets", "synthetic", "--num-users", "5"),
            "num_users is 5, expected none for the synthetic stream",
        ),
        (
            ("--datasets", "synthetic", "--seeds", "2"),
            "seeds is 2, expected 1 for the synthetic stream, which is made of the seed",
        ),
        (
            ("--datasets", "ml-100k:5", "--seeds", "2", "--num-users", "5"),
            "seeds is 2, expected 1 with num_users, whose users are drawn with the seed",
        ),
        ((), "datasets is absent, expected NAME:RATING,... or --suite paper|peers|sources"),
        (("--datasets", "ml-100k:6"), "datasets has 'ml-100k:6', expected a least rating from 0 (all) to 5"),
        (("--datasets", "synthetic:1"), "datasets has 'synthetic:1', expected no least rating"),
        (("--datasets", "ml-100k:5,ml-100k:5.0"), "datasets has 'ml-100k:5.0' twice"),
        (("--datasets", "ml-100k:5", "--model", "hebian"), "hebian"),
        (("--datasets", "ml-100k:5", "--model", "random", "--param", "isgd.rate=1"), "isgd is not among"),
    ],
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["engram", "compare", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_streams_and_models_that_are_chosen() -> None:
    assert parse_streams("ml-100k:3.5, ml-1m:0,synthetic") == (
        StreamChoice("ml-100k", 3.5),
        StreamChoice("ml-1m", None),
        StreamChoice("synthetic", None),
    )
    everything, lacking = choose_models(())
    assert {*everything, *lacking} == set(MODELS)
    assert choose_models(("hebbian", "popularity"))[0] == ("popularity", "decayed_popularity", "hebbian")
    with pytest.raises(SettingsError, match="hebian"):
        choose_models(("hebian",))


def cell(folder: Path, model: str = "random", digest: str = "d", **settings: Any) -> Cell:
    return cell_of(Settings(**settings), StreamChoice("ml-100k", 5.0), model, digest, folder)


def test_a_cell_is_kept_for_the_same_data_settings_and_model_only(tmp_path: Path) -> None:
    one = cell(tmp_path, params=("isgd.rate=0.05",))
    assert one.finished() is None
    one.keep({"result": {}}, jobs=1)
    # Parameters of others, and where the data lies, change nothing.
    for same in (cell(tmp_path), cell(tmp_path, data_dir="elsewhere", log="kafka", rate=5.0)):
        assert (same.finished() or {})["jobs"] == 1
    for other in (cell(tmp_path, digest="e"), cell(tmp_path, seed=1), cell(tmp_path, limit=5)):
        assert other.path == one.path
        assert other.finished() is None
    tuned, plain = (cell(tmp_path, "isgd", params=params) for params in (("isgd.rate=0.05",), ()))
    assert tuned.identity != plain.identity
    one.path.write_text("{")
    assert one.finished() is None


def ranks_for(rank: list[int]) -> Ranks:
    return Ranks(np.array(rank, np.uint8), np.array([0, 0, 1, 1], np.int32))


def test_rows_stand_best_first_within_their_stream(tmp_path: Path) -> None:
    def kept(model: str, recall: float | None, rmse: float | None) -> tuple[Cell, dict[str, Any]]:
        rating = None if rmse is None else {"rmse": rmse, "mae": 0.5, "auc": 0.5, "accuracy": 0.5}
        ranked = None if recall is None else {"recall@10": recall, "ndcg@10": 0.0, "mrr@10": 0.0}
        of_model = {
            "last_70": ranked, "beyond": None, "rating": rating, "rating_last_70": rating,
            "events_per_second": 1.0, "state_bytes": 1, "config": {},
        }  # fmt: skip
        result = {
            "models": {model: of_model}, "events": 10, "events_per_second": 1.0, "seconds": 1.0, "seed": 0,
            "tie_rule": "hash", "tie_ranking": "against", "data_digest": "d", "digest": "e",
            "versions": {"engram-stream": "1", "python": "3", "numpy": "2", "numba": "1"},
        }  # fmt: skip
        one = cell_of(Settings(), StreamChoice("ml-100k", None), model, "d", tmp_path)
        return one, {"result": result, "peak_memory_bytes": 1, "jobs": 2}

    of_cells = [
        kept("rating_mean", None, 1.5), kept("random", 0.1, None), kept("rating_means", None, 1.0),
        kept("hebbian", 0.2, None),
        (cell_of(Settings(), StreamChoice("ml-100k", None), "EASE", "d", tmp_path), absent_kept("no such thing")),
    ]  # fmt: skip
    found = rows_of(of_cells)
    assert [row["model"] for row in found] == ["hebbian", "random", "rating_means", "rating_mean", "EASE"]
    mark_rows(
        found,
        {
            ("ml-100k", 0.0, 0, "hebbian"): [ranks_for([1, 1, 21, 9])],
            ("ml-100k", 0.0, 0, "random"): [ranks_for([1, 21, 21, 11])],
        },
    )
    # Users 0 and 1 with hits 2 + 1 and 1 + 0: of both two of four events differ, one a user.
    assert (found[0]["recall@10_low"], found[0]["p_best"]) == (
        pytest.approx(0.75 - 1.96 * 0.25, abs=1e-3),
        None,
    )
    assert found[1]["p_best"] == 0.0
    write_tables(tmp_path, found, "engram compare --datasets ml-100k")
    lines = (tmp_path / "compare.md").read_text("utf-8").splitlines()
    assert lines[2].startswith(
        "| ml-100k, all ratings: 10 events | hebbian | 0.20000 | 0.48999 | - | 0.00000 |"
    )
    assert lines[4].startswith("|  | rating_means | - | - | - | - | - | - | 1.00000 | 0.50000 |")
    assert lines[6].endswith("| not measured | - |")
    assert "Not measured: EASE on ml-100k: no such thing" in lines
    assert lines[-1].startswith("Made by `engram compare --datasets ml-100k` on ")
    page = (tmp_path / "compare.html").read_text("utf-8")
    assert page.count("<tr>") == 6
    assert "data:image/png;base64," in page
    assert json.loads(found[0]["config"]) == {}


def test_a_share_of_hits_counts_where_there_are_several_seeds() -> None:
    found = [{"dataset": "d", "min_rating": 0.0, "first": 0, "model": "random"}]
    mark_rows(found, {("d", 0.0, 0, "random"): [ranks_for([1, 1, 21, 9]), ranks_for([1, 21, 21, 9])]})
    # Shares 1, 1/2 of user 0 and 0, 1 of user 1: mean 5/8, and each user an eighth of two events off it.
    half = 1.959964 * (2 * 2 * 0.25**2) ** 0.5 / 4
    assert found[0]["recall@10_low"] == pytest.approx(0.625 - half)


def test_what_draws_has_the_mean_of_its_seeds_and_an_interval(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "ml-100k", u_data=made_ratings(users=8, items=48))
    arguments = ("--datasets", "ml-100k:5", "--data-dir", "data", "--out", "out", "--model", "random")
    process = engram_compare(tmp_path, *arguments, "--seed", "4", "--seeds", "3")
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors + said
    assert "5 of 5" in said
    assert "random, seed 6" in said
    found = {row["model"]: row for row in rows(tmp_path / "out")}
    assert {name: row["seeds"] for name, row in found.items()} == {
        "popularity": "1", "decayed_popularity": "1", "random": "3",
    }  # fmt: skip
    recalls = []
    for seed in (4, 5, 6):
        settings = Settings(
            dataset="ml-100k", data_dir=str(tmp_path / "data"), min_rating=5.0, models=("random",), seed=seed
        )
        recalls.append(run_inline(settings, tmp_path)["models"]["random"]["last_70"]["recall@10"])
    with (tmp_path / "out" / "compare_seeds.csv").open(newline="") as file:
        single = {row["seed"]: row for row in csv.DictReader(file) if row["model"] == "random"}
    assert [float(single[seed]["recall@10"]) for seed in ("4", "5", "6")] == recalls
    mean = sum(recalls) / 3
    assert float(found["random"]["recall@10"]) == pytest.approx(mean)
    # t(2) = 4.303; the standard error of three.
    error = (sum((one - mean) ** 2 for one in recalls) / 2 / 3) ** 0.5
    assert error > 0
    assert float(found["random"]["recall@10_seeds_half"]) == pytest.approx(4.303 * error)
    assert "the means of 3 seeds" in (tmp_path / "out" / "compare.md").read_text("utf-8")


def test_runs_of_one_model_become_one_row_and_what_failed_is_left_out() -> None:
    same = {name: None for name in ("peak_memory_bytes", "events_per_second", "state_bytes", "seconds")}
    figures = dict.fromkeys(FIGURES)

    def run(seed: int, recall: float | None, note: str = "") -> dict[str, Any]:
        of = {"dataset": "d", "min_rating": 0.0, "first": 0, "model": "flurs.MF", "seed": seed, "note": note}
        return {**same, **figures, **of, "recall@10": recall, "events_per_second_end_to_end": None, "jobs": 1}

    [row] = merged([run(2, 0.3), run(1, None, "did not end"), run(0, 0.1)])
    assert (row["seed"], row["seeds"], row["note"]) == (0, 2, "")
    assert row["recall@10"] == pytest.approx(0.2)
    # Two runs: t(1) = 12.706, and a standard error of 0.1.
    assert row["recall@10_seeds_half"] == pytest.approx(1.2706)
    [row] = merged([run(0, None, "did not end"), run(1, None, "did not end")])
    assert (row["seeds"], row["note"], row["recall@10_seeds_half"]) == (1, "did not end", None)


def test_the_first_seed_is_that_of_a_comparison_without_repetitions(tmp_path: Path) -> None:
    cells = [cell(tmp_path, model, seed=4) for model in ("random", "hebbian")]
    assert with_repetitions(cells, 1) == cells
    found = with_repetitions(cells, 3)
    assert found[:2] == cells
    assert [one.path.name for one in found[2:]] == [f"ml-100k-min5-random-seed{seed}.json" for seed in (5, 6)]
    for seed, one in zip((5, 6), found[2:], strict=True):
        assert one.identity == cell(tmp_path, "random", seed=seed).identity
    part = cells[0]._replace(stream=StreamChoice("ml-100k", 5.0, 10))
    assert len(with_repetitions([part], 3, [StreamChoice("ml-100k", 5.0)])) == 3
    assert len(with_repetitions([part], 3, [StreamChoice("ml-100k", None)])) == 1


def test_what_draws() -> None:
    assert [name for name in MODELS if draws(name)] == [name for name, of in MODELS.items() if of.draws]
    assert draws("random")
    assert not draws("hebbian")
    assert draws("implicit.BPR")
    assert not draws("EASE")
    assert set(DRAWS) <= set(PEERS)


def test_peers_stand_beside_ours_on_the_same_events(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "ml-100k", u_data=made_ratings(users=8, items=12))
    arguments = (
        *("--datasets", "ml-100k:5", "--data-dir", "data", "--out", "out", "--model", "popularity"),
        *("--peer", "EASE", "--peer", "river.FunkMF", "--peer-python", f"numpy={sys.executable}"),
        *("--reviews-per-user", "5", "--num-users", "6"),
    )
    process = engram_compare(tmp_path, *arguments)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors + said
    found = {row["model"]: row for row in rows(tmp_path / "out")}
    assert set(found) == {"popularity", "decayed_popularity", "EASE", "river.FunkMF"}
    assert found["river.FunkMF"]["note"] == "not installed: python -m peers.install river"
    # Fewer events than it is fitted after: EASE ranks by popularity, as ours does, by its own count.
    for measure in ("recall@10", "ndcg@10", "mrr@10", "recall@10_low", "data_digest", "events"):
        assert found["EASE"][measure] == found["popularity"][measure]
    assert found["EASE"]["events"] == "30"
    assert "Not measured: river.FunkMF" in (tmp_path / "out" / "compare.md").read_text("utf-8")
    again = engram_compare(tmp_path, *arguments)
    said, errors = again.communicate(timeout=240)
    assert "3 of 3 cells are finished already" in said


@pytest.mark.data
def test_the_figures_are_those_of_the_literature(tmp_path: Path, data_dir: Path) -> None:
    """ML-100K, rating 5: `tests/test_protocol_p.py` says where .10471 is from."""
    arguments = (
        "--datasets",
        "ml-100k:5",
        "--data-dir",
        str(data_dir),
        "--out",
        "out",
        "--model",
        "popularity",
    )
    process = engram_compare(tmp_path, *arguments)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors + said
    of = {row["model"]: row for row in rows(tmp_path / "out")}
    assert round(float(of["popularity"]["recall@10"]), 5) == 0.10471
    assert of["popularity"]["events"] == "21201"
