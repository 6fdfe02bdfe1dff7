"""Figures in README and docs are those of the committed files of results, and each says where it comes from."""

from __future__ import annotations

import csv
import re
from typing import Any

import pytest

from benchmarks.ablation import markdown
from benchmarks.figures import columns_of, readme_rows
from documentation.figures import FILES, RESULTS, ROOT, load, marked, prose_of, record, rendered, untraced

AGAIN = "write it again: python -m documentation.figures"


def page_of(results: dict[str, Any]) -> str:
    """Text of the page that the results stand in."""
    return (ROOT / results["page"]).read_text("utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_page_has_the_tables_of_its_file(name: str) -> None:
    results = load(name)
    text = page_of(results)
    assert rendered(text, results) == text, AGAIN
    assert sorted(marked(text)) == sorted(table["name"] for table in results["tables"])


@pytest.mark.parametrize("name", FILES)
def test_a_run_says_how_when_and_on_what(name: str) -> None:
    results = load(name)
    for run in results["runs"].values():
        assert bool(run["command"]) != bool(run.get("note"))
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", run["date"])
        assert run["recorded"] in {"by the command", "by hand"}
        assert run["machine"]
        assert run["versions"].startswith("engram ")
    used = {part["run"] for part in [*results["tables"], *results["quotes"]]}
    assert used == set(results["runs"])


@pytest.mark.parametrize("name", FILES)
def test_every_measured_number_in_a_sentence_is_in_the_file(name: str) -> None:
    results = load(name)
    text = page_of(results)
    assert not list(untraced(text, results))
    prose = prose_of(text)
    gone = [
        said
        for said in [*(quote["text"] for quote in results["quotes"]), *results["stated"]]
        if prose_of(said) not in prose
    ]
    assert not gone, f"{name}.json has what {results['page']} does not say"


def test_a_number_that_is_changed_in_a_page_is_noticed() -> None:
    results = load("speed")
    text = page_of(results)
    assert list(untraced(text.replace("617 times", "618 times"), results))
    cell = results["tables"][0]["rows"][0][1]
    tampered = text.replace(cell, cell.replace("60,900", "60,901"))
    assert tampered != text
    assert rendered(tampered, results) == text


def test_what_stands_in_a_page_can_be_recorded() -> None:
    results = load("speed")
    text = page_of(results)
    how = {
        "command": "count",
        "date": "2026-01-31",
        "machine": "a clock",
        "versions": "engram 0",
        "recorded": "by hand",
    }
    assert record(results, text, "new", how) == results
    changed = text.replace("617 times", "618 times").replace("| 60,900;", "| 60,901;")
    recorded = record(results, changed, "new", how)
    assert recorded["runs"]["new"] == how
    assert [table["run"] for table in recorded["tables"]].count("new") == 1
    assert [quote["run"] for quote in recorded["quotes"]].count("new") == 1
    assert not list(untraced(changed, recorded))
    again = rendered(changed, recorded)
    assert "| 60,901;" in again
    assert "Made by `count`; a clock; engram 0; 2026-01-31; recorded by hand." in again


def test_the_ablation_is_that_of_its_csv() -> None:
    with (ROOT / "docs" / "ablation.csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        for name, value in row.items():
            if name == "events":
                row[name] = int(value)
            elif name == "min_rating" or "@" in name:
                row[name] = float(value)
    made, page = markdown(rows), (ROOT / "docs" / "ablation.md").read_text("utf-8")
    # The last line has the versions that it was made with, which need not be those of today.
    assert made.splitlines()[:-1] == page.splitlines()[:-1]
    assert page.splitlines()[-1].startswith("Made by `python -m benchmarks.ablation")


def test_columns_of_a_comparison_are_taken_by_their_names() -> None:
    text = "| stream | model | Recall@10 | ± | NDCG@10 |\n|---|---|---:|---:|---:|\n| a | x | 0.2 | 0.1 | 0.3 |\n\nSaid.\n"
    assert columns_of(text, ["model", "NDCG@10", "Recall@10"]) == [["x", "0.3", "0.2"]]


def test_the_readme_rounds_what_was_measured() -> None:
    results = load("readme")
    (table,) = results["tables"]
    rows = []
    for stream in results["streams"]:
        models = {name: {"last_70": figures} for name, figures in stream["last_70"].items()}
        rows += readme_rows({**stream, "models": models})
    assert rows == table["rows"]


def _recalls() -> dict[tuple[str, str], float]:
    """{(stream, model): Recall@10} of the comparison."""
    (table,) = load("comparison")["tables"]
    found, stream = {}, ""
    for row in table["rows"]:
        stream = row[0].split(":")[0] or stream
        found[stream, row[1]] = float(row[2]) if row[2] != "-" else float("nan")
    return found


def test_pages_that_round_the_same_figure_agree() -> None:
    recalls = _recalls()
    models = {table["name"]: table for table in load("models")["tables"]}
    streams = ("ml-100k, rating ≥ 5", "ml-100k, all ratings", "ml-1m, rating ≥ 5")
    for row in models["ranking"]["rows"]:
        assert [float(cell) for cell in row[2:]] == [
            round(recalls[stream, row[0].strip("`")], 3) for stream in streams
        ]
    for row in models["blend"]["rows"]:
        stream = row[0].replace(">=", "≥").replace(", all", ", all ratings")
        assert float(row[1]) == round(recalls[stream, "blend"], 3)
        assert float(row[4]) == round(recalls[stream, "hebbian"], 3)
    for row in load("readme")["tables"][0]["rows"]:
        streams_of_row = row[0] or streams_of_row  # noqa: F821
        assert float(row[3]) == recalls[streams_of_row, row[2]]


def test_files_of_results_are_of_pages() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} >= set(FILES)
