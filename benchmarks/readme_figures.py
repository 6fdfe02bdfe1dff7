"""Makes the README's figures: `make figures DATA=DIR`, with the MovieLens folders in DIR.

Replays each stream with all default models, writes the table between the README's markers, and the curves of
MovieLens 1M as the README's picture.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from online_models.registry import DEFAULT_MODELS

ROOT = Path(__file__).parent.parent
STREAMS = (("ml-100k", 5), ("ml-100k", 0), ("ml-1m", 5), ("ml-1m", 4))
PICTURED = ("ml-1m", 4)
MEASURES = ("recall@10", "ndcg@10", "mrr@10")


def replay(dataset: str, min_rating: int, data_dir: Path, folder: Path) -> dict[str, Any]:
    """Replay one stream into `folder`; return its result.json."""
    command = [sys.executable, "-m", "engram", "replay", dataset, "--data-dir", str(data_dir)]
    for model in DEFAULT_MODELS:
        command += ["--model", model]
    subprocess.run([*command, "--min-rating", str(min_rating), "--out", str(folder), "--quiet"], check=True)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def table(results: list[dict[str, Any]]) -> str:
    """Render the streams' results as Markdown: a row a model, best first."""
    lines = [
        "| stream | events | model | Recall@10 | NDCG@10 | MRR@10 |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for result in results:
        rating = "all ratings" if not result["min_rating"] else f"rating ≥ {result['min_rating']:g}"
        models = sorted(result["models"].items(), key=lambda pair: -pair[1]["last_70"]["recall@10"])
        for number, (name, model) in enumerate(models):
            stream = f"{result['dataset']}, {rating}" if number == 0 else ""
            events = f"{result['events']:,}" if number == 0 else ""
            figures = " | ".join(f"{model['last_70'][measure]:.5f}" for measure in MEASURES)
            lines.append(f"| {stream} | {events} | {name} | {figures} |")
    versions = results[0]["versions"]
    lines += [
        "",
        "Prequential (test, then learn), the mean over the last 70 % of events, all items seen so far as candidates, "
        "equal times ordered by hash, equal scores against the model; one set of parameters for all streams, chosen "
        "on the first 30 % of ML-100K and of ML-1M. MovieLens users rate in bursts in an order that the site's own lists shape; "
        "models that follow sequences profit from that. "
        f"Made by `make figures DATA=DIR` (engram {versions['engram-stream']}, Python {versions['python']}, "
        f"NumPy {versions['numpy']}, Numba {versions['numba']}).",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all streams and rewrite README.md and its picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for dataset, min_rating in STREAMS:
            folder = Path(scratch) / f"{dataset}-{min_rating}"
            results.append(replay(dataset, min_rating, args.data_dir, folder))
            if (dataset, min_rating) == PICTURED:
                picture = ROOT / "docs" / "images" / "curves-ml-1m.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / "curves.png", picture)
    readme = ROOT / "README.md"
    marked = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
    text = marked.sub(lambda found: f"{found[1]}{table(results)}\n{found[2]}", readme.read_text())
    readme.write_text(text)


if __name__ == "__main__":
    main()
