"""Tables of an experiment: rows of numbers that go to CSV in full, and to Markdown rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Cell = str | int | float | None


class ResultTable(NamedTuple):
    """A table. name: of its CSV file. title: what is shown. about: how it was measured, a sentence or two each.

    rows: {column: text, number or None}; all have the same columns in the same order.
    """

    name: str
    title: str
    about: tuple[str, ...]
    rows: tuple[dict[str, Cell], ...]


def as_json(table: ResultTable) -> dict[str, Any]:
    """Return a table as JSON has it."""
    return {**table._asdict(), "about": list(table.about), "rows": list(table.rows)}


def of_json(kept: Mapping[str, Any]) -> ResultTable:
    """Return what `as_json` made JSON of."""
    return ResultTable(kept["name"], kept["title"], tuple(kept["about"]), tuple(kept["rows"]))


def text_of(value: Cell) -> str:
    """Write a cell: ratios with four decimals, larger numbers with fewer, a dash for None."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        if value.is_integer() and abs(value) >= 100:
            return f"{value:,.0f}"
        return (
            f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def markdown_of(table: ResultTable) -> list[str]:
    """Return the lines of a table in Markdown, under a heading; the best of a column is not marked."""
    columns = list(table.rows[0]) if table.rows else []
    numeric = [all(isinstance(row[column], int | float | None) for row in table.rows) for column in columns]
    lines = [f"## {table.title}", "", "| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join("---:" if number else "---" for number in numeric) + "|")
    lines += ["| " + " | ".join(text_of(row[column]) for column in columns) + " |" for row in table.rows]
    return [*lines, *(line for said in table.about for line in ("", said))]


def of_columns(rows: Sequence[Mapping[str, Cell]], columns: Sequence[str]) -> tuple[dict[str, Cell], ...]:
    """Return rows with these columns only, None where a row has none."""
    return tuple({column: row.get(column) for column in columns} for row in rows)
