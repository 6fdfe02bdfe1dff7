"""The page of a run to send to somebody: report.html, which needs no network, with its CSV files beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from engram import drift_marks, hand_over_marks
from engram.figures_table import (
    COLUMNS,
    RATING_COLUMNS,
    by_recall,
    floor_warning,
    protocol_lines,
    rate,
    rating_rows,
    ratio,
    rows,
    title,
)
from engram.measures_sections import measures_sections, table
from engram.measures_table import significance_csv_rows, slices_csv_rows
from engram.report_curves import MEASURES, ReportCurves

PAGE_FILES = ("report.html", "table.csv", "curves.csv", "slices.csv", "significance.csv")


def write_page(folder: Path, result: Mapping[str, Any], curves: Mapping[str, Any]) -> list[Path]:
    """Write `PAGE_FILES` and return them. result and curves: as in `engram.report.write_report`. Raises `OSError`."""
    contents = (
        page(result, curves),
        table_csv(result),
        curves_csv(curves),
        _csv(slices_csv_rows(result)),
        _csv(significance_csv_rows(result)),
    )
    written = []
    for name, content in zip(PAGE_FILES, contents, strict=True):
        path = folder / name
        temporary = path.with_name(name + ".part")
        temporary.write_text(content, "utf-8", newline="")
        written.append(temporary.replace(path))
    return written


def page(result: Mapping[str, Any], curves: Mapping[str, Any]) -> str:
    """Return the page: everything that result.json and curves.json say, and nothing from elsewhere."""
    drawn = ReportCurves(result, curves)
    parts = {
        "title": escape(title(result)),
        "toggles": drawn.toggles(),
        "body": "\n".join(
            [_head(result), _facts(result), "<h2>Curves</h2>", drawn.html(), *_sections(result)]
        ),
        "data": drawn.data(),
    }
    text = files("engram").joinpath("report_page.html").read_text("utf-8")
    # One pass over the template alone: what is put in is not looked at again.
    pieces = text.split("{{")
    return pieces[0] + "".join(
        parts[piece.split("}}", 1)[0]] + piece.split("}}", 1)[1] for piece in pieces[1:]
    )


def table_csv(result: Mapping[str, Any]) -> str:
    """Return every figure of every model: model, span, measure, value, in full precision."""
    lines: list[tuple[object, ...]] = [("model", "span", "measure", "value")]
    for name in by_recall(result["models"]):
        model = result["models"][name]
        for span, figures in _spans(model).items():
            lines += [(name, span, measure, repr(value)) for measure, value in figures.items()]
        lines += [(name, "all", cost, model[cost]) for cost in ("events_per_second", "state_bytes")]
    return _csv(lines)


def curves_csv(curves: Mapping[str, Any]) -> str:
    """Return the curves, a line for each model, span and point; a figure that there is not yet is empty."""
    measures = [measure for measure, _ in MEASURES]
    lines: list[tuple[object, ...]] = [("events", "model", "span", *measures)]
    for name, spans in curves["models"].items():
        for span, series in spans.items():
            columns = (series[measure] for measure in measures)
            lines += [
                (events, name, span, *values)
                for events, *values in zip(curves["events"], *columns, strict=True)
            ]
    return _csv(lines)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def _spans(model: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """{span: figures} of all kinds together, without those that there are not; empty spans left out."""
    spans: dict[str, Mapping[str, float]] = {}
    for span, key in (("all", "rating"), ("last_70", "rating_last_70")):
        beyond = (model.get("beyond") or {}).get(span) or {}
        cold = (model.get("cold") or {}).get(span) or {}
        of_cold = {f"cold_{measure}": value for measure, value in (cold.get("figures") or {}).items()}
        together = {**(model[span] or {}), **(model[key] or {}), **beyond, **of_cold}
        spans[span] = {measure: value for measure, value in together.items() if value is not None}
    return {span: figures for span, figures in (spans | model["spans"]).items() if figures}


def _head(result: Mapping[str, Any]) -> str:
    warning = floor_warning(result)
    return (
        (f'<p class="warning">{escape(warning)}</p>' if warning else "")
        + f"<h1>{escape(title(result))}</h1>"
        + f'<p class="source">{escape(result["data_source"])}</p>'
    )


def _facts(result: Mapping[str, Any]) -> str:
    """The few numbers to see first."""
    best = by_recall(result["models"])[0]
    model = result["models"][best]
    span, figures = ("last 70 %", model["last_70"]) if model["last_70"] else ("all events", model["all"])
    if figures is None and (rated := rating_rows(result)):
        first = (rated[0][RATING_COLUMNS.index("RMSE")], f"best RMSE, all events: {rated[0][0]}")
    else:
        first = (ratio((figures or {}).get("recall@10")), f"best Recall@10, {span}: {best}")
    counts = result["counts"]
    facts = [
        first,
        (f"{result['events']:,}", "events learned"),
        (f"{counts['users']:,}, {counts['items']:,}", "users, items"),
        (rate(result["events_per_second"]), "events/s, end to end"),
    ]
    cells = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in facts)
    return f'<div class="facts">{"".join(cells)}</div>'


def _sections(result: Mapping[str, Any]) -> list[str]:
    models = result["models"]
    rated = rating_rows(result)
    caption = "ev/s: of each model's kernels alone, best first by Recall@10; grey: popularity, the floor"
    parts = ["<h2>Ranking</h2>", table(COLUMNS, rows(result), caption)]
    if rated:
        parts += ["<h2>Rating prediction</h2>", table(RATING_COLUMNS, rated)]
    if drifted := drift_marks.drift_rows(result):
        parts += ["<h2>Drift</h2>", table(drift_marks.COLUMNS, drifted, drift_marks.drift_caption(result))]
    if steps := hand_over_marks.step_rows(result):
        caption = hand_over_marks.step_caption(result)
        parts += ["<h2>Batch models</h2>", table(hand_over_marks.COLUMNS, steps, caption)]
    parts += measures_sections(result)
    parts.append("<h2>All figures</h2>")
    for name in by_recall(models):
        spans = _spans(models[name])
        measures = list(dict.fromkeys(measure for figures in spans.values() for measure in figures))
        cells = [(span, *(_figure(of.get(measure)) for measure in measures)) for span, of in spans.items()]
        parts.append(
            f"<details><summary>{escape(name)}</summary>{table(('span', *measures), cells)}</details>"
        )
    parts += ["<h2>How it was measured</h2>", *(f"<p>{escape(line)}</p>" for line in protocol_lines(result))]
    parts += ["<h2>Accounting</h2>", _accounting(result)]
    said = {name: result[name] for name in ("seed", "min_rating", "clock")} | result["settings"]
    settings = {name: value for name, value in said.items() if value is not None}
    parts += ["<h2>Configuration</h2>", _words(("setting", "value"), settings)]
    parts.append(_words(("model", "settings"), {name: model["config"] for name, model in models.items()}))
    identity = {"digest": result["digest"], "data digest": result["data_digest"]}
    parts += ["<h2>Versions and digest</h2>", _words(("what", "value"), result["versions"] | identity)]
    parts.append(
        "<p class=soft>The digest is that of the models' state, the figures and the last source sequences: the same "
        "events, settings and build give the same digest, however the run is cut, packed or interrupted.</p>"
    )
    return parts


def _accounting(result: Mapping[str, Any]) -> str:
    said = result["accounting"]
    terms = ("learned", "dead_lettered", "duplicate", "waiting")
    total = sum(said.get(term, 0) for term in terms)
    equal = "=" if said.get("accepted") == total else "≠"
    summed = " + ".join(f"{said.get(term, 0):,} {term.replace('_', '-')}" for term in terms)
    return f"<p>{said.get('accepted', 0):,} accepted {equal} {summed}.</p>"


def _words(columns: tuple[str, str], values: Mapping[str, Any]) -> str:
    """A table of names and values, which may be objects."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(_word(value))}</code></td></tr>"
        for name, value in values.items()
    )
    head = "".join(f'<th style="text-align: left">{escape(column)}</th>' for column in columns)
    return f'<div class="scroll"><table class="words"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _figure(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else ratio(value)


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_word(one)}" for name, one in value.items()) or "-"
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
