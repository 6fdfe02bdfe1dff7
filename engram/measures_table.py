"""Tables of what is measured beside ranks and ratings: beyond accuracy, slices, cold items, and differences of models.

The same cells in table.md, on the page and in the terminal. What a result does not have is no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from engram.figures_table import by_recall, ratio

BEYOND_COLUMNS: Final = (
    "model",
    "coverage@20",
    "Gini@20",
    "novelty@20, bits",
    "diversity@20",
    "serendipity@10",
    "lists",
)
BEYOND_MEASURES: Final = ("coverage@20", "gini@20", "novelty@20", "diversity@20", "serendipity@10")
USER_COLUMNS: Final = {
    "user_1": "1st",
    "user_2_5": "2nd to 5th",
    "user_6_20": "6th to 20th",
    "user_21": "21st on",
}
ITEM_COLUMNS: Final = {
    "item_1_9": "1 to 9",
    "item_10_99": "10 to 99",
    "item_100_999": "100 to 999",
    "item_1000": "1,000 on",
}
COUNT_ROW: Final = "events ranked"
COLD_COLUMNS: Final = ("model", "Recall@10", "NDCG@10", "MRR@10", "new items", "ranked of them")
PAIR_COLUMNS: Final = (
    "model",
    "against",
    "difference",
    "95 % interval",
    "p",
    "p sign",
    "p McNemar",
    "decided",
    "sessions + / -",
    "of",
)
CHAMPION_COLUMNS: Final = ("model", "against", "difference", "95 % interval", "p")
Cells = list[tuple[str, ...]]


def span_of(model: Mapping[str, Any], kind: str) -> tuple[str, Any]:
    """Return ("last_70" or "all", its figures): the last 70 % where they are known, else all events."""
    spans = model.get(kind) or {}
    return ("last_70", spans["last_70"]) if spans.get("last_70") else ("all", spans.get("all"))


def span_words(result: Mapping[str, Any], kind: str) -> str:
    """Say which events the table of a kind of measure is of."""
    spans = {span_of(model, kind)[0] for model in result["models"].values() if model.get(kind)}
    return "the last 70 % of events" if spans == {"last_70"} else "all events"


def beyond_rows(result: Mapping[str, Any]) -> Cells:
    """Return the cells of `BEYOND_COLUMNS`; empty where there are no lists, and no popularity to compare with."""
    cells: Cells = []
    for name in by_recall(result["models"]):
        _, figures = span_of(result["models"][name], "beyond")
        if figures and any(figures[measure] is not None for measure in BEYOND_MEASURES):
            values = (ratio(figures[measure]) for measure in BEYOND_MEASURES)
            cells.append((name, *values, f"{figures['lists']:,}"))
    return cells


def slice_rows(result: Mapping[str, Any], slices: Mapping[str, str]) -> Cells:
    """Return Recall@10 by model in the given slices, and below how many events were ranked in each."""
    cells: Cells = []
    counts: tuple[str, ...] = ()
    for name in by_recall(result["models"]):
        _, figures = span_of(result["models"][name], "slices")
        if not figures or not any(figures.values()):
            continue
        found = [figures[one] or {} for one in slices]
        cells.append((name, *(ratio(of.get("recall@10")) for of in found)))
        counts = (COUNT_ROW, *(f"{of.get('ranked', 0):,}" for of in found))
    return [*cells, counts] if cells else []


def cold_rows(result: Mapping[str, Any]) -> Cells:
    """Return the cells of `COLD_COLUMNS`, of the models that rank new items."""
    cells: Cells = []
    for name in by_recall(result["models"]):
        _, cold = span_of(result["models"][name], "cold")
        if cold:
            figures = cold["figures"] or {}
            values = (ratio(figures.get(measure)) for measure in ("recall@10", "ndcg@10", "mrr@10"))
            cells.append((name, *values, f"{cold['new_items']:,}", f"{cold['said']:,}"))
    return cells


def pairs_of(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the compared pairs of a result, those of the champion first."""
    significance = result.get("significance") or {"pairs": [], "champion": None}
    champion = significance["champion"]
    return sorted(significance["pairs"], key=lambda pair: champion not in (pair["model"], pair["baseline"]))


def pair_rows(result: Mapping[str, Any]) -> Cells:
    """Return the cells of `PAIR_COLUMNS`: effect and interval, with the p-values beside them."""
    return [
        (
            pair["model"],
            pair["baseline"],
            difference(pair["difference"], 5),
            interval(pair, 5),
            *(p_value(pair[p]) for p in ("p_cluster", "p_sign", "p_mcnemar")),
            decided(pair),
            f"{pair['sessions_for']:,} / {pair['sessions_against']:,}",
            f"{pair['sessions']:,}",
        )
        for pair in pairs_of(result)
    ]


def champion_rows(result: Mapping[str, Any]) -> Cells:
    """Return the cells of `CHAMPION_COLUMNS`: only what the champion is part of, for a terminal."""
    champion = (result.get("significance") or {}).get("champion")
    return [
        (
            pair["model"],
            pair["baseline"],
            difference(pair["difference"], 4),
            interval(pair, 4),
            p_value(pair["p_cluster"]),
        )
        for pair in pairs_of(result)
        if champion in (pair["model"], pair["baseline"]) and pair["low"] is not None
    ]


def measures_tables(result: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], Cells]]:
    """Return (heading, columns, cells) of every table that the result has."""
    tables = (
        (f"Beyond accuracy, {span_words(result, 'beyond')}", BEYOND_COLUMNS, beyond_rows(result)),
        (
            f"Recall@10 by the user's event, {span_words(result, 'slices')}",
            ("model", *USER_COLUMNS.values()),
            slice_rows(result, USER_COLUMNS),
        ),
        (
            f"Recall@10 by how many users had had the item, {span_words(result, 'slices')}",
            ("model", *ITEM_COLUMNS.values()),
            slice_rows(result, ITEM_COLUMNS),
        ),
        (f"Cold items, {span_words(result, 'cold')}", COLD_COLUMNS, cold_rows(result)),
        ("Differences of Recall@10, all events", PAIR_COLUMNS, pair_rows(result)),
    )
    return ((heading, columns, cells) for heading, columns, cells in tables if cells)


def slices_csv_rows(result: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """Return the lines of slices.csv, its head first; a slice without events has no line."""
    measures = ("ranked", "recall@10", "ndcg@10", "mrr@10")
    yield ("model", "span", "slice", *measures)
    for name, model in result["models"].items():
        for span, slices in (model.get("slices") or {}).items():
            for one, figures in (slices or {}).items():
                if figures:
                    yield (name, span, one, *(repr(figures[measure]) for measure in measures))


def significance_csv_rows(result: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """Return the lines of significance.csv, its head first: everything that result.json says of each pair."""
    pairs = pairs_of(result)
    yield tuple(pairs[0]) if pairs else ("model", "baseline")
    for pair in pairs:
        yield tuple(repr(value) if isinstance(value, float) else value for value in pair.values())


def decided(pair: Mapping[str, Any]) -> str:
    """Say whether a pair's model was found better or worse, and after how many events; a dash for neither."""
    if pair["better"] is None:
        return "-"
    return f"{'better' if pair['better'] == pair['model'] else 'worse'} at {pair['decided_at']:,}"


def difference(value: float | None, decimals: int) -> str:
    """Write a difference with its sign; a dash for None."""
    return "-" if value is None else f"{value:+.{decimals}f}"


def interval(pair: Mapping[str, Any], decimals: int) -> str:
    """Write the ends of a pair's interval; a dash where there is none."""
    ends = (pair["low"], pair["high"])
    return "-" if None in ends else " to ".join(difference(end, decimals) for end in ends)


def p_value(value: float | None) -> str:
    """Write a p-value with four decimals, or that it is below them; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value >= 0.0001 else "<.0001"
