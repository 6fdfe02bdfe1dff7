"""What is wrong with a board: the rules of Grafana's dashboard-linter, and our own. `python -m dashboards.lint`.

Grafana's: data source, job and instance are variables; panels have a title, a description, a unit and a target; PromQL
names job and instance; counters stand under rate() or increase(), over `$__rate_interval` or `$__range`. Ours: metrics
and labels are those of the one table, a description is a question, legends name labels that are there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

from consumers.metric import MetricType
from consumers.metrics_table import METRICS, PROCESS_METRICS
from dashboards.boards import BOARDS
from dashboards.panels import AT, Board, Query
from dashboards.promql import selectors

_TYPES: Final = {metric.name: metric.type for metric in METRICS}
_LABELS: Final = {metric.name: set(metric.labels) for metric in METRICS}
_PLACE: Final = {"job", "instance"}
_HISTOGRAM_PARTS: Final = ("_bucket", "_sum", "_count")
_PROCESS_COUNTERS: Final = {"process_cpu_seconds_total"}
_OVER_A_RANGE: Final = {"rate", "increase", "changes"}


def problems(board: Board) -> Iterator[str]:
    """Everything that is wrong with a board, one line each."""
    titles: set[str] = set()
    if not board.uid.startswith("engram-") or not board.title or not board.question:
        yield f"{board.uid}: a board has a uid that begins with engram-, a title and a question"
    known = {"job", "instance", *(variable.name for variable in board.variables)}
    for panel in board.panels():
        where = f"{board.uid}: {panel.title!r}"
        if not panel.title or panel.title in titles:
            yield f"{where}: titles are there, and differ"
        titles.add(panel.title)
        if "?" not in panel.question and not panel.question.endswith("."):
            yield f"{where}: the description is a question, or a sentence"
        if not panel.unit:
            yield f"{where}: no unit"
        if not panel.queries:
            yield f"{where}: no query"
        for query in panel.queries:
            yield from (f"{where}: {problem}" for problem in _query_problems(query, known))


def _query_problems(query: Query, variables: set[str]) -> Iterator[str]:
    if not query.expr.strip():
        yield "an empty query"
    if not query.legend:
        yield f"no legend: {query.expr}"
    labels = set(_PLACE)
    found = list(selectors(query.expr))
    if not found:
        yield f"no selector in {query.expr}"
    for selector in found:
        name, is_counter, of_metric = _known(selector.metric)
        if name is None:
            yield f"{selector.metric} is not in the metrics table"
            continue
        labels |= of_metric
        if not {"job", "instance"} <= selector.matchers.keys() or not _at_place(selector.matchers):
            yield f"{selector.metric} does not match {AT}"
        if strange := selector.matchers.keys() - of_metric - _PLACE:
            yield f"{selector.metric} has no label {', '.join(sorted(strange))}"
        ranged = selector.function in _OVER_A_RANGE
        if is_counter and not ranged:
            yield f"the counter {selector.metric} is not under rate() or increase()"
        if not is_counter and selector.function in {"rate", "increase"}:
            yield f"the gauge {selector.metric} is under {selector.function}()"
        if ranged and selector.range not in {"$__rate_interval", "$__range", "$__interval"}:
            yield f"{selector.metric} is over [{selector.range}], expected [$__rate_interval] or [$__range]"
    for used in re.findall(r"\$([a-z_]+)", query.expr):
        if not used.startswith("__") and used not in variables:
            yield f"the board has no variable {used}"
    for label in re.findall(r"\{\{([a-z_]+)\}\}", query.legend):
        if label not in labels:
            yield f"the legend names {label}, and the metrics have {', '.join(sorted(labels))}"
    if "histogram_quantile" in query.expr and "le" not in query.expr:
        yield "a histogram_quantile without le"


def _at_place(matchers: object) -> bool:
    assert isinstance(matchers, dict)
    return all(matchers[name] == ("=~", f"${name}") for name in ("job", "instance"))


def _known(metric: str) -> tuple[str | None, bool, set[str]]:
    """The table's name of a metric, whether it is a counter, and its labels; None for an unknown one."""
    if metric == "up":
        return metric, False, set()
    if metric in PROCESS_METRICS:
        return metric, metric in _PROCESS_COUNTERS, {"process"}  # of an API, which is several
    if metric in _TYPES and _TYPES[metric] is not MetricType.HISTOGRAM:
        return metric, _TYPES[metric] is MetricType.COUNTER, _LABELS[metric]
    for part in _HISTOGRAM_PARTS:
        base = metric.removesuffix(part)
        if base != metric and _TYPES.get(base) is MetricType.HISTOGRAM:
            return base, True, _LABELS[base] | ({"le"} if part == "_bucket" else set())
    return None, False, set()


def main() -> None:
    """Print what is wrong; exit with 1 where anything is."""
    found = [problem for board in BOARDS for problem in problems(board)]
    print("\n".join(found) or f"{len(BOARDS)} boards, nothing to say against them")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
