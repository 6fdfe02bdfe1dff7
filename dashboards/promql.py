"""What PromQL says, as far as checks need it: selectors, their functions, and variables put in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_SELECTOR: Final = re.compile(r"\b([a-z_:][a-z0-9_:]*)\{([^{}]*)\}(\[[^\]]*\])?")
_MATCHER: Final = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_NAME: Final = re.compile(r"\b((?:engram|process|job|job_model)[a-z0-9_:]*)\b(?!\s*\()")
_BY: Final = re.compile(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')

# What Grafana puts in; the boards' own variables are chosen in observe.
GRAFANA: Final = {
    "__rate_interval": "20s",
    "__interval": "15s",
    "__range": "30m",
    "job": "engram.*",
    "instance": ".*",
}


class Selector(NamedTuple):
    """metric{matchers}[range]. matchers: {label: operator and value}. function: what it is right inside of, or ""."""

    metric: str
    matchers: Mapping[str, tuple[str, str]]
    range: str
    function: str


def selectors(expr: str) -> Iterator[Selector]:
    """Every selector with braces."""
    for match in _SELECTOR.finditer(expr):
        metric, inside, span = match.groups()
        function = re.search(r"([a-z_]+)\s*\(\s*$", expr[: match.start()])
        yield Selector(
            metric,
            {label: (operator, value) for label, operator, value in _MATCHER.findall(inside)},
            (span or "")[1:-1],
            function.group(1) if function else "",
        )


def metrics_named(expr: str) -> set[str]:
    """Names of metrics and recorded series, with or without braces."""
    bare = _BY.sub("", _STRING.sub('""', re.sub(r"\{[^{}]*\}", "", expr)))
    return {name for name in _NAME.findall(bare) if name not in {"job", "job_model"}} | {
        selector.metric for selector in selectors(expr)
    }


def filled(expr: str, values: Mapping[str, str]) -> str:
    """Put variables in, `$name`; the longest names first. Raises `KeyError` for one without a value."""

    def value(match: re.Match[str]) -> str:
        return values[match.group(1)]

    return re.sub(r"\$([a-z_]+)", value, expr)
