"""Sections of the report page: what is measured beside ranks and ratings, and intervals of differences, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from engram.measures_table import (
    BEYOND_COLUMNS,
    COLD_COLUMNS,
    COUNT_ROW,
    ITEM_COLUMNS,
    PAIR_COLUMNS,
    USER_COLUMNS,
    beyond_rows,
    cold_rows,
    pair_rows,
    pairs_of,
    slice_rows,
    span_words,
)
from evaluation.floor import FLOORS


def measures_sections(result: Mapping[str, Any]) -> list[str]:
    """Return the sections as HTML; what the result does not have is left out."""
    parts: list[str] = []
    if cells := pair_rows(result):
        parts += ["<h2>Significance</h2>", _pairs(result, cells), f"<p class=soft>{_how(result)}</p>"]
    if cells := beyond_rows(result):
        caption = (
            f"over {span_words(result, 'beyond')}; of sampled top lists, but for serendipity: the share of events that "
            "a model has among its ten best and popularity has not"
        )
        parts += ["<h2>Beyond accuracy</h2>", table(BEYOND_COLUMNS, cells, caption)]
    sliced = [
        ("by how many events the user has had, this one included", USER_COLUMNS),
        ("by how many users have had the item, this one not included", ITEM_COLUMNS),
    ]
    if any(slice_rows(result, columns) for _, columns in sliced):
        parts.append("<h2>Slices</h2>")
        for said, columns in sliced:
            caption = f"Recall@10 over {span_words(result, 'slices')}, {said}"
            parts.append(table(("model", *columns.values()), slice_rows(result, columns), caption))
    if cells := cold_rows(result):
        caption = (
            f"first events of items, over {span_words(result, 'cold')}: rank among all items of the catalogue that the "
            "user has not had; figures are of those that the model ranked"
        )
        parts += ["<h2>Cold items</h2>", table(COLD_COLUMNS, cells, caption)]
    return parts


def table(columns: Sequence[str], cells: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table that scrolls; rows of floors and of counts are soft."""
    head = "".join(f"<th>{escape(column).replace(' last', '<br>last')}</th>" for column in columns)
    lines = []
    for row in cells:
        kind = "floor" if row[0] in FLOORS else "count" if row[0] == COUNT_ROW else ""
        of_kind = f' class="{kind}"' if kind else ""
        lines.append(f"<tr{of_kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{said}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _pairs(result: Mapping[str, Any], cells: Sequence[tuple[str, ...]]) -> str:
    pairs = pairs_of(result)
    ends = [abs(pair[end]) for pair in pairs for end in ("low", "high") if pair[end] is not None]
    widest = max(ends, default=0.0) or 1.0
    caption = "difference of Recall@10, model less the other, with its 95 % interval robust within sessions, all events"
    # The drawing stands beside the numbers that it draws.
    first = PAIR_COLUMNS.index("95 % interval") + 1
    head = "".join(f"<th>{escape(column)}</th>" for column in PAIR_COLUMNS[:first])
    rest = "".join(f"<th>{escape(column)}</th>" for column in PAIR_COLUMNS[first:])
    lines = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[:first])
        + f"<td>{_interval(pair, widest)}</td>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[first:])
        + "</tr>"
        for pair, row in zip(pairs, cells, strict=True)
    )
    return (
        f'<div class="scroll"><table class="tight"><caption>{escape(caption)}</caption><thead><tr>{head}<th></th>{rest}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _interval(pair: Mapping[str, Any], widest: float) -> str:
    """Draw an interval on an axis from -widest to widest, 0 in the middle."""
    if pair["low"] is None:
        return ""

    def x(value: float) -> float:
        return 100 + 96 * value / widest

    low, point, high = (x(pair[name]) for name in ("low", "difference", "high"))
    side = "up" if pair["low"] > 0 else "down" if pair["high"] < 0 else "open"
    return (
        '<svg class="forest" viewBox="0 0 200 18" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="zero" d="M100 0V18"/><path class="{side}" d="M{low:.1f} 9H{high:.1f}"/>'
        f'<path class="{side} point" d="M{point:.1f} 9h.01"/></svg>'
    )


def _how(result: Mapping[str, Any]) -> str:
    said = result["significance"]
    looks = "none, for several lanes" if said["looks"] is None else f"{said['looks']:,}"
    return escape(
        f"A session ends with a pause of {said['session_gap_s'] / 60:g} minutes; sessions + / -: with more and with "
        f"fewer hits. p-values are of the end of the run: p is robust within sessions, like the interval. Decided: at a "
        f"look every {said['look_every']:,} events, where p and the sign test are both within what is spent of {said['alpha']:g} there, which holds "
        f"for any number of looks (so far: {looks}). McNemar's test takes events of a session as independent and decides "
        "nothing."
    )
