"""The report folder of a run: result.json, curves.json, curves.png, table.md, the page and its CSV files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engram.curves_chart import draw_curves
from engram.figures_table import (
    COLUMNS,
    RATING_COLUMNS,
    floor_warning,
    protocol_lines,
    rating_rows,
    rows,
    title,
)
from engram.measures_table import measures_tables
from engram.report_page import write_page


def write_report(folder: Path, result: Mapping[str, Any], curves: Mapping[str, Any]) -> list[Path]:
    """Write the report and return its files; result.json comes last, so that where it is, all is.

    result: as `Evaluator.result` gives it; curves: as `Evaluator.curves` does. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _write(folder / "curves.json", _json(curves)),
        _write(folder / "curves.png", draw_curves(result, curves)),
        _write(folder / "table.md", table_markdown(result).encode()),
        *write_page(folder, result, curves),
        _write(folder / "result.json", _json(result)),
    ]
    return written


def table_markdown(result: Mapping[str, Any]) -> str:
    """Render the final table and what it is of as Markdown."""
    warning = floor_warning(result)
    lines = [
        *([f"**{warning}**", ""] if warning else []),
        f"# {title(result)}",
        "",
        result["data_source"],
        "",
        *_table_lines(COLUMNS, rows(result)),
        *_table_lines(RATING_COLUMNS, rating_rows(result)),
        *(
            line
            for heading, columns, cells in measures_tables(result)
            for line in (f"## {heading}", "", *_table_lines(columns, cells))
        ),
        *(text for line in protocol_lines(result) for text in (line, "")),
        f"Digest `{result['digest']}`.",
    ]
    return "\n".join(lines) + "\n"


def _table_lines(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    if not cells:
        return []
    return [
        "| " + " | ".join(columns) + " |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
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
