"""Markdown tables, with what is special in a cell escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def text(words: str) -> str:
    """Escape `words` for a cell or a paragraph: no HTML, no column, no line of its own, no emphasis."""
    parts = " ".join(words.split()).split("`")
    # Within a pair of backticks nothing but the column needs escaping.
    if len(parts) % 2 == 0:
        parts = ["`".join(parts)]
    for at in range(0, len(parts), 2):
        for special, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("*", "\\*")):
            parts[at] = parts[at].replace(special, escaped)
        # Within a word an underscore is no emphasis.
        parts[at] = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", parts[at])
    return "`".join(parts).replace("|", "\\|")


def code(words: str) -> str:
    """Return `words` as code, "" for none."""
    return f"`{words}`" if words else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> list[str]:
    """Lines of a table; the cells are Markdown. numbers: columns that stand to the right."""
    rule = ["---:" if column in numbers else "---" for column in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(rule) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]
