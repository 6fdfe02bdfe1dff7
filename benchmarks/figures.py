"""Makes figures of README and docs anew: `make figures DATA=DIR`, with the MovieLens folders in DIR.

Each name of `RECIPES` measures, writes what it measured to docs/results/, and the tables of the pages are then written from
there (`documentation/figures.py`). Without names those of `QUICK` are made, some minutes each; the others take longer:
`make figures DATA=DIR FIGURES="comparison ablation"`. What no recipe makes is recorded by hand, with its command.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from documentation import figures
from online_models.registry import DEFAULT_MODELS

ROOT = Path(__file__).parent.parent
README_STREAMS = (("ml-100k", 5), ("ml-100k", 0), ("ml-1m", 5), ("ml-1m", 4))
COMPARED = "ml-100k:5,ml-100k:4,ml-100k:0,ml-1m:5,ml-1m:4,ml-latest-small:4"
RANKING = ("recall@10", "ndcg@10", "mrr@10")
Result = dict[str, Any]


def engram(*arguments: str) -> None:
    """Run the command line. Raises `CalledProcessError` where it fails."""
    subprocess.run([sys.executable, "-m", "engram", *arguments], check=True)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="engram-figures-")


def replay(data_dir: Path, dataset: str, models: Sequence[str], *arguments: str) -> tuple[Result, Path]:
    """Replay a stream into a folder of its own; return its result.json and the folder, which is there until the process ends."""
    folder = Path(tempfile.mkdtemp(dir=_scratch().name))
    named = [word for model in models for word in ("--model", model)]
    engram(
        "replay",
        dataset,
        "--data-dir",
        str(data_dir),
        *named,
        *arguments,
        "--out",
        str(folder / "run"),
        "--quiet",
    )
    return json.loads((folder / "run" / "result.json").read_text("utf-8")), folder / "run"


def keep(
    name: str,
    run: str,
    tables: Mapping[str, Sequence[Sequence[str]]],
    versions: Mapping[str, str],
    **raw: Any,
) -> None:
    """Put the rows of tables that `run` made into the file of results `name`; raw: the same in full precision."""
    results = figures.load(name)
    results["runs"][run] |= {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": f"engram {versions['engram-stream']}, Python {versions['python']}, NumPy {versions['numpy']}, "
        f"Numba {versions['numba']}",
        "recorded": "by the command",
    }
    for table in results["tables"]:
        if table["name"] in tables:
            assert table["run"] == run
            table["rows"] = [list(row) for row in tables[table["name"]]]
    results.update(raw)
    figures.save(name, results)


def machine() -> str:
    """Say what this runs on in plain words; a load says how much else did."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    load = f" under a load of {os.getloadavg()[1]:.0f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores ({model}){load}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").splitlines()
    except OSError:
        return []


def stream_name(dataset: str, min_rating: float | None) -> str:
    """Name a stream as the tables do."""
    return f"{dataset}, {f'rating ≥ {min_rating:g}' if min_rating else 'all ratings'}"


def readme(data_dir: Path) -> None:
    """The README's table of the default models, and its picture."""
    results, rows = [], []
    for dataset, min_rating in README_STREAMS:
        result, folder = replay(data_dir, dataset, DEFAULT_MODELS, "--min-rating", str(min_rating))
        results.append(result)
        rows += readme_rows(result)
        if (dataset, min_rating) == ("ml-1m", 4):
            shutil.copyfile(folder / "curves.png", ROOT / "docs" / "images" / "curves-ml-1m.png")
    streams = [
        {
            "dataset": result["dataset"],
            "min_rating": result["min_rating"],
            "events": result["events"],
            "data_digest": result["data_digest"],
            "digest": result["digest"],
            "last_70": {
                name: {measure: model["last_70"][measure] for measure in RANKING}
                for name, model in result["models"].items()
            },
        }
        for result in results
    ]
    keep("readme", "figures", {"streams": rows}, results[0]["versions"], streams=streams)


def readme_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Rows of a stream, the best model first. result: `models` have `last_70`."""
    rows = []
    models = sorted(result["models"].items(), key=lambda pair: -pair[1]["last_70"]["recall@10"])
    for number, (name, model) in enumerate(models):
        values = [f"{model['last_70'][measure]:.5f}" for measure in RANKING]
        first = [stream_name(result["dataset"], result["min_rating"]), f"{result['events']:,}"]
        rows.append([*(["", ""] if number else first), name, *values])
    return rows


def tags(data_dir: Path) -> None:
    """What tags add to `content`."""
    rows, versions = [], {}
    for least in (4, 0):
        for weight, said in ((0, "without"), (1, "with")):
            arguments = ("--min-rating", str(least), "--param", f"content.tag_weight={weight}")
            result, _ = replay(data_dir, "ml-latest-small", ["content", "popularity"], *arguments)
            model, versions = result["models"]["content"], result["versions"]
            values = (
                model["last_70"]["recall@10"],
                model["last_70"]["ndcg@10"],
                model["cold"]["last_70"]["figures"]["recall@10"],
            )
            rows.append(
                [f"{'rating >= 4' if least else 'all'}, {said} tags", *(f"{value:.4f}" for value in values)]
            )
    keep("models", "content", {"tags": rows}, versions)


def ratings(data_dir: Path) -> None:
    """Rating models beside River's BiasedMF, on ml-100k and ml-latest-small; The Movies Dataset where it is there."""
    models = ("river_biased_mf", "rating_synapses", "wisard")
    rows, versions = [], {}
    for dataset in ("ml-100k", "ml-latest-small", "the-movies-dataset"):
        result, _ = replay(data_dir, dataset, models)
        versions = result["versions"]
        for number, name in enumerate(models):
            whole, last = (result["models"][name][part] for part in ("rating", "rating_last_70"))
            values = [
                f"{whole[measure]:.4f} ({last[measure]:.4f})"
                for measure in ("rmse", "mae", "auc", "accuracy")
            ]
            rows.append(["" if number else dataset, f"`{name}`", *values])
    keep("models", "ratings", {"ratings": rows}, versions)


def handover(data_dir: Path) -> None:
    """The blend that listens to a batch model."""
    models = ("blend_batch", "blend", "batch", "popularity")
    result, _ = replay(data_dir, "ml-1m", models, "--min-rating", "4", "--retrain-every", "100000")
    labels = {"blend_batch": "`blend_batch` (the blend, and the newest version as a part)"}
    rows = [
        [
            labels.get(name, f"`{name}`"),
            *(f"{result['models'][name]['last_70'][measure]:.5f}"[1:] for measure in RANKING),
        ]
        for name in models
    ]
    keep("batch_handover", "blend", {"blend-batch": rows}, result["versions"])


def comparison(data_dir: Path) -> None:
    """Every model on six streams: quality, speed and size of the same runs. An hour."""
    folder = ROOT / "runs" / "comparison"
    engram("compare", "--data-dir", str(data_dir), "--datasets", COMPARED, "--out", str(folder))
    [table] = figures.load("comparison")["tables"]
    rows = columns_of((folder / "compare.md").read_text("utf-8"), table["head"])
    with (folder / "compare.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    versions = {
        "engram-stream": first["version"],
        **{name: first[name] for name in ("python", "numpy", "numba")},
    }
    shutil.copyfile(folder / "compare.csv", figures.RESULTS / "comparison.csv")
    keep("comparison", "compare", {"every-model": rows}, versions)


def columns_of(markdown: str, head: Sequence[str]) -> list[list[str]]:
    """Return the rows of a Markdown text's table, of the columns that `head` names, in its order."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ]
    places = [lines[0].index(name) for name in head]
    return [[line[place] for place in places] for line in lines[2:]]


def river(data_dir: Path) -> None:
    """River's rating models beside what River's documentation says of them."""
    models = ("river_baseline", "river_biased_mf", "river_funk_mf")
    result, _ = replay(data_dir, "ml-100k", models, "--tie-order", "file")
    [table] = [table for table in figures.load("models")["tables"] if table["name"] == "river"]
    rows = []
    for row in table["rows"]:
        rating = result["models"][row[0].strip("`")]["rating"]
        rows.append([*row[:2], f"{rating['rmse']:.4f}", f"{rating['mae']:.4f}", row[4]])
    keep("models", "river", {"river": rows}, result["versions"])


def isgd(data_dir: Path) -> None:
    """ISGD with the settings of its publication, beside what was published."""
    versions: Mapping[str, str] = {}

    def recall(
        dataset: str, rate: float, fit: tuple[int, int] | None, order: str = "file", seed: int = 0
    ) -> str:
        nonlocal versions
        params = {"factors": 40, "rate": rate} | ({"fit_events": fit[0], "fit_epochs": fit[1]} if fit else {})
        said = [word for name, value in params.items() for word in ("--param", f"isgd.{name}={value}")]
        arguments = ("--min-rating", "5", "--tie-order", order, "--seed", str(seed), *said)
        result, _ = replay(data_dir, dataset, ["isgd"], *arguments)
        versions = result["versions"]
        return f"{result['models']['isgd']['last_70']['recall@10']:.4f}"

    small, large = (4240, 30), (45262, 10)
    seeds = ", ".join(recall("ml-100k", 0.004, small, seed=seed) for seed in (1, 2))
    said = (
        f"{recall('ml-100k', 0.004, small)} (seeds 1, 2: {seeds})",
        f"{recall('ml-1m', 0.004, large)} (hash order: {recall('ml-1m', 0.004, large, 'hash')})",
        f"{recall('ml-1m', 0.006, large, 'hash')} (hash order)",
        f"{recall('ml-100k', 0.004, None)}: chance is 0.009",
    )
    [table] = [table for table in figures.load("models")["tables"] if table["name"] == "isgd"]
    rows = [[*row[:3], here] for row, here in zip(table["rows"], said, strict=True)]
    keep("models", "isgd", {"isgd": rows}, versions)


def synapses(data_dir: Path) -> None:
    """The networks of synapses after MovieLens 100K, and the picture of one."""
    rows, versions = [], {}
    for model in ("hebbian", "user_hebbian"):
        result, folder = replay(data_dir, "ml-100k", [model], "--min-rating", "4")
        versions = result["versions"]
        engram("graph", str(folder), "--model", model)
        said = json.loads((folder / "graph" / "figures.json").read_text("utf-8"))
        if model == "hebbian":
            shutil.copyfile(folder / "graph" / "graph.png", ROOT / "docs" / "images" / "graph-ml-100k.png")
        rows.append(
            [
                f"`{model}`",
                f"{said['neurons']:,} {said['neurons_are']}",
                f"{said['synapses']:,}",
                *(f"{100 * said[name]:.1f} %" for name in ("density", "reciprocity")),
                f"{said['asymmetry']:.2f}",
                str(said["communities"]),
                *(f"{said[name]:.3f}" for name in ("modularity", "modularity_unbounded")),
            ]
        )
    keep("graphs", "graph", {"synapses": rows}, versions)


def ablation(data_dir: Path) -> None:
    """What each part of the models adds. Two hours; goes on where it was stopped."""
    command = [sys.executable, "-m", "benchmarks.ablation", "--data-dir", str(data_dir)]
    subprocess.run(command, check=True)


RECIPES: dict[str, Callable[[Path], None]] = {
    recipe.__name__: recipe
    for recipe in (readme, tags, ratings, river, isgd, synapses, handover, comparison, ablation)
}
QUICK = ("readme", "tags", "ratings", "river", "isgd", "synapses")


def main() -> None:
    """Make the figures that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; default: {', '.join(QUICK)}"
    )
    args = parser.parse_args()
    for name in args.names or QUICK:
        if name not in RECIPES:
            parser.error(f"name is {name!r}, expected one of {', '.join(RECIPES)}")
    for name in args.names or QUICK:
        RECIPES[name](args.data_dir)
        figures.write_pages()


if __name__ == "__main__":
    main()
