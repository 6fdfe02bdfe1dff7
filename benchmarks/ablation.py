"""What each part of a model adds: the model with the part switched off, on several streams.

    python -m benchmarks.ablation --data-dir DIR

writes docs/ablation.md and docs/ablation.csv. A part is a dictionary of parameters; each cell is one variant on one
stream, learned whole, and kept in a file, so that the same command goes on where it was stopped. A cell is measured
again with other data, parameters or versions, and with --fresh, which is needed where only the code has changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from consumers.versions import versions
from engram.compare_cells import Cell, StreamChoice, cell_of, parse_streams
from engram.inline import run_inline
from engram.model_parameters import join
from engram.parts import lane_config
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.warm import warm_up_evaluator, warm_up_learner

ROOT = Path(__file__).parent.parent
STREAMS = "ml-100k:0,ml-1m:5,ml-latest-small:4"
MEASURES = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
WHOLE = "the whole model"
_NEVER = 1e30  # a prior beside which no synapse is noticed: the part is 0 for all items

# {model: {what is changed: parameters}}
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "hebbian": {
        WHOLE: {},
        "no recency weighting of the trace": {"step_decay": 1.0},
        "no fading with time gaps": {"gap_exponent": 0.0},
        "linear synapses, no square roots": {"synapse_power": 1.0},
        "symmetric synapses": {"reverse": 1.0},
        "synapses forward only": {"reverse": 0.0},
        "no normalisation": {"source_power": 0.0, "target_power": 0.0},
        "no popularity": {"popularity_weight": 0.0},
        "half-life of 1,000 events": {"half_life_events": 1_000.0},
        "no forgetting": {"half_life_events": 1e12},
    },
    "blend": {
        WHOLE: {},
        "no corrections (synapses and biases)": {"correction_rate": 0.0},
        "no biases": {"bias_share": 0.0},
        "no fading with time gaps": {
            "gap_exponent": [0.0, 0.0, 0.0, 0.0],
            "short_gap_exponent": 0.0,
            "long_gap_exponent": 0.0,
        },
        "no short trace": {"short_prior": _NEVER},
        "no long trace": {"long_prior": _NEVER},
        "no lift": {"lift_prior": _NEVER},
        "no trends: one popularity, half-life 200,000": {
            "trend_half_lives_events": [200_000.0],
            "trend_half_lives_s": [63_072_000.0],
        },
        "a mixture of trends that is not learned": {"share_rate": 0.0},
        "weights that are not learned": {"weight_rate": 1e-12},
    },
}


class Variant(NamedTuple):
    """A model with one part changed: `parameters` over its defaults."""

    model: str
    part: str
    parameters: Mapping[str, Any]

    @property
    def slug(self) -> str:
        """Name of the folder of its cells."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.model} {self.part}".lower()).strip("-")


def variants(models: Sequence[str]) -> Iterator[Variant]:
    """All variants of these models, the whole model first."""
    for model in models:
        for part, parameters in PARTS[model].items():
            yield Variant(model, part, parameters)


def make_cell(base: Settings, stream: StreamChoice, digest: str, variant: Variant, out: Path) -> Cell:
    """Make the cell of a variant on a stream whose events have this digest."""
    texts = [f"{variant.model}.{name}={json.dumps(value)}" for name, value in variant.parameters.items()]
    settings = msgspec.structs.replace(
        base, models=(variant.model,), params=join((), texts, "benchmarks/ablation.py")
    )
    folder = out / variant.slug
    folder.mkdir(parents=True, exist_ok=True)
    return cell_of(settings, stream, variant.model, digest, folder)


def measure(cell: Cell) -> dict[str, Any]:
    """Learn the cell's stream; return its result."""
    warm_up_learner(lane_config(cell.settings), 1)
    with tempfile.TemporaryDirectory() as folder:
        return run_inline(cell.settings, Path(folder))


def rows_of(cells: Sequence[tuple[Variant, Cell]]) -> list[dict[str, Any]]:
    """Return a row a cell: its figures over the last 70 %, and how far they are from the whole model's."""
    whole: dict[tuple[str, str], Mapping[str, float]] = {}
    rows = []
    for variant, cell in cells:
        kept = cell.finished()
        if kept is None:
            continue
        figures = kept["result"]["models"][variant.model]["last_70"]
        if variant.part == WHOLE:
            whole[variant.model, cell.stream.label] = figures
        beside = whole[variant.model, cell.stream.label]  # measured first
        rows.append(
            {
                "model": variant.model,
                "part": variant.part,
                "parameters": json.dumps(variant.parameters),
                "dataset": cell.stream.dataset,
                "min_rating": cell.stream.min_rating or 0.0,
                "events": kept["result"]["events"],
                **{measure: figures[measure] for measure in MEASURES},
                **{f"{measure} difference": figures[measure] - beside[measure] for measure in MEASURES},
                "digest": kept["result"]["digest"],
            }
        )
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render a table a model: a row a part, figures and differences by stream."""
    streams = list(dict.fromkeys((row["dataset"], row["min_rating"], row["events"]) for row in rows))
    said = versions()
    lines = [
        "# What each part adds",
        "",
        "Each model with one part switched off, or changed, and nothing tuned again for it: the difference says what the "
        "part adds to the model as it is shipped, not how well a model without it could do. Prequential (test, then "
        "learn), the mean over the last 70 % of events; in brackets the difference to the whole model, in thousandths. "
        "The parameters that make each row, and all figures in full, are in [ablation.csv](ablation.csv).",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        lines += ["", f"## {model}", ""]
        for measure, label in MEASURES.items():
            heads = [
                f"{dataset}, {'all ratings' if not least else f'rating ≥ {least:g}'}, {events:,} events"
                for dataset, least, events in streams
            ]
            lines += [f"| {label} | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(streams)]
            for part in dict.fromkeys(row["part"] for row in rows if row["model"] == model):
                of_part = {
                    (row["dataset"], row["min_rating"], row["events"]): row
                    for row in rows
                    if (row["model"], row["part"]) == (model, part)
                }
                cells = [_cell(of_part.get(stream), measure) for stream in streams]
                lines.append(f"| {part} | " + " | ".join(cells) + " |")
            lines.append("")
        lines.pop()
    lines += [
        "",
        "Made by `python -m benchmarks.ablation --data-dir DIR` "
        f"(engram {said['engram-stream']}, Python {said['python']}, NumPy {said['numpy']}, Numba {said['numba']}).",
    ]
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any] | None, measure: str) -> str:
    if row is None:
        return "-"
    if row["part"] == WHOLE:
        return f"{row[measure]:.4f}"
    return f"{row[measure]:.4f} ({1000 * row[f'{measure} difference']:+.1f})"


def write_tables(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ablation.csv and ablation.md; a cell that is not measured yet is a dash."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ablation.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "ablation.md").write_text(markdown(rows), "utf-8")


def main() -> None:
    """Measure what is not finished; write the tables after each cell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--streams", default=STREAMS, help=f"default: {STREAMS}")
    parser.add_argument("--model", action="append", choices=list(PARTS), help="repeatable; default: all")
    parser.add_argument("--limit", type=int, help="only the first events of each stream")
    parser.add_argument("--cells", type=Path, default=ROOT / "runs" / "ablation", help="folder of the cells")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the tables")
    parser.add_argument("--fresh", action="store_true", help="drop finished cells")
    args = parser.parse_args()
    cells = []
    for stream in parse_streams(args.streams):
        base = Settings(
            dataset=stream.dataset,
            min_rating=stream.min_rating,
            data_dir=str(args.data_dir),
            limit=args.limit,
            top_every=0,
        )
        digest = open_stream(base, find_source(base).folder).digest()
        for variant in variants(args.model or list(PARTS)):
            cells.append((variant, make_cell(base, stream, digest, variant, args.cells)))
    if args.fresh:
        for _, cell in cells:
            cell.path.unlink(missing_ok=True)
    warm_up_evaluator()
    for number, (variant, cell) in enumerate(cells, 1):
        if cell.finished() is None:
            cell.keep({"result": measure(cell)}, 1)
        kept = cell.finished() or {}
        recall = kept["result"]["models"][variant.model]["last_70"]["recall@10"]
        print(
            f"{number}/{len(cells)} {cell.label}, {variant.part}: Recall@10 {recall:.5f}",
            flush=True,
        )
        write_tables(args.out, rows_of(cells))
    print(args.out / "ablation.md")


if __name__ == "__main__":
    main()
