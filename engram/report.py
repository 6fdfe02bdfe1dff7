"""The report folder of a run: result.json, curves.json, curves.png and table.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engram.curves_chart import draw_curves
from engram.figures_table import COLUMNS, RATING_COLUMNS, rate, rating_rows, rows, title


def write_report(folder: Path, result: Mapping[str, Any], curves: Mapping[str, Any]) -> list[Path]:
    """Write the report and return its files; result.json comes last, so that where it is, all is.

    result: as `Evaluator.result` gives it; curves: as `Evaluator.curves` does. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _write(folder / "curves.json", _json(curves)),
        _write(folder / "curves.png", draw_curves(result, curves)),
        _write(folder / "table.md", table_markdown(result).encode()),
        _write(folder / "result.json", _json(result)),
    ]
    return written


def table_markdown(result: Mapping[str, Any]) -> str:
    """Render the final table and what it is of as Markdown."""
    counts = result["counts"]
    first_counted = result["last_70_from"]
    lines = [
        f"# {title(result)}",
        "",
        result["data_source"],
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
        *("| " + " | ".join(cells) + " |" for cells in rows(result)),
        "",
        *_rating_lines(result),
        f"Protocol {result['protocol']}: each event is ranked among all items seen so far, less the user's own, and "
        f"then learned. Equal times are ordered by {result['tie_rule']}; equal scores count "
        f"{result['tie_ranking']} the model.",
        "",
        f"{counts['ranked']:,} events ranked, {counts['new_items']:,} of them of an item never seen before (a miss "
        f"for every model); {counts['repeats']:,} repeats left out; {counts['users']:,} users, "
        f"{counts['items']:,} items."
        + ("" if first_counted is None else f" The last 70 % begin at event {first_counted:,}."),
        "",
        f"End to end: {rate(result['events_per_second'])} events/s; ev/s in the table is of each model's kernels "
        "alone.",
        "",
        f"Digest `{result['digest']}`.",
    ]
    return "\n".join(lines) + "\n"


def _rating_lines(result: Mapping[str, Any]) -> list[str]:
    cells = rating_rows(result)
    if not cells:
        return []
    return [
        "| " + " | ".join(RATING_COLUMNS) + " |",
        "|---" + "|---:" * (len(RATING_COLUMNS) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in cells),
        "",
    ]


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(path: Path, content: bytes) -> Path:
    """Write to a temporary name and rename, so that a file is whole or absent."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path
