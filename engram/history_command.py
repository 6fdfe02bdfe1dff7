"""`engram history`: a finished run's figures as time series at the events' own times, for Prometheus and Grafana.

A live scrape stamps figures with the time of the scrape; a replay of five years takes a minute. What is written here has
the times of the events, so that the years show as years. Prometheus takes it as blocks of its own:

    engram history runs/ml-1m-... --out history.om
    promtool tsdb create-blocks-from --max-block-duration=8760h openmetrics history.om DATA_FOLDER

(docs/observing.md has the rest.) A point is a block of predictions: a learner with a smaller `--batch-size` gives more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from consumers.evaluator import Evaluator
from consumers.metric import Metric
from consumers.metrics_table import METRICS
from engram.parts import open_log
from engram.settings import load_saved
from eventlog.errors import SettingsError
from eventlog.topics import Topics

MEASURES: Final = ("recall", "ndcg", "mrr")
JOB: Final = "engram-evaluator"
_PATIENCE_S: Final = 10.0

Folder = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
Out = Annotated[Path, typer.Option("--out", help="File of OpenMetrics to write.")]
Points = Annotated[int, typer.Option("--points", min=2, help="Points of each series, at most.")]

Labels = tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """Figures of one moment. event_time_ms: the clock then. values: {(metric, labels): value}."""

    event_time_ms: int
    values: dict[tuple[str, Labels], float]


def history(folder: Folder, out: Out = Path("history.om"), points: Points = 2000) -> None:
    """Write a run's figures as OpenMetrics, with the times of the events."""
    settings_file = folder / "settings.toml"
    if not settings_file.is_file():
        raise SettingsError(
            f"folder is {str(folder)!r}, expected that of a finished run; it has no settings.toml"
        )
    settings = load_saved(settings_file)
    settings = msgspec.structs.replace(settings, log_path=str(folder / "log.sqlite"))
    topics = Topics.with_prefix(settings.topic_prefix)
    with open_log(settings) as log, Evaluator(log, topics.predictions) as evaluator:
        thinned = thin(list(moments(evaluator)), points)
    if not thinned:
        raise SettingsError(f"folder is {str(folder)!r}, expected the folder of a run; it has no predictions")
    out.write_text("".join(open_metrics(thinned, settings.dataset or "")), "utf-8")
    first, last = (
        time.strftime("%Y-%m-%d", time.gmtime(at.event_time_ms / 1000)) for at in (thinned[0], thinned[-1])
    )
    typer.echo(f"{out}: {len(thinned):,} points of {len(thinned[-1].values)} series, {first} to {last}")
    typer.echo(f"promtool tsdb create-blocks-from --max-block-duration=8760h openmetrics {out} DATA_FOLDER")


def moments(evaluator: Evaluator) -> Iterator[Point]:
    """Evaluate a run block by block; what is known after each, where event time went on."""
    last_ms, heard_s = None, time.monotonic()
    while not evaluator.done and time.monotonic() - heard_s < _PATIENCE_S:
        if not evaluator.step(0.5, 1):
            continue
        heard_s = time.monotonic()
        if (now_ms := evaluator.clock_ms) is not None and now_ms != last_ms:
            last_ms = now_ms
            yield Point(now_ms, _values(evaluator))


def _values(evaluator: Evaluator) -> dict[tuple[str, Labels], float]:
    values: dict[tuple[str, Labels], float] = {
        ("engram_prequential_events_total", ()): float(evaluator.events)
    }
    for model, spans in evaluator.figures().items():
        for span, figures in spans.items():
            for measure, value in (figures or {}).items():
                name, _, k = measure.partition("@")
                if name in MEASURES:
                    labels = (("model", model), ("k", k), ("span", span))
                    values[f"engram_prequential_{name}_ratio", labels] = value
    for drift in evaluator.drifts():
        key = ("engram_drift_detected_total", (("model", drift.model), ("detector", drift.detector)))
        values[key] = values.get(key, 0.0) + 1
    return values


def thin(points: list[Point], most: int) -> list[Point]:
    """At most `most` points, spread evenly, the last one among them."""
    if len(points) <= most:
        return points
    chosen = {round(place * (len(points) - 1) / (most - 1)) for place in range(most)}
    return [points[place] for place in sorted(chosen)]


def open_metrics(points: list[Point], instance: str) -> Iterator[str]:
    """Lines of the OpenMetrics text format, version 1.0: a family at a time, times in seconds of event time."""
    families: dict[str, dict[Labels, list[tuple[int, float]]]] = {}
    for point in points:
        for (name, labels), value in point.values.items():
            families.setdefault(name, {}).setdefault(labels, []).append((point.event_time_ms, value))
    place = (("job", JOB), ("instance", instance))
    table: dict[str, Metric] = {metric.name: metric for metric in METRICS}
    for name, series in families.items():
        metric = table[name]
        family = name.removesuffix("_total")
        yield f"# HELP {family} {metric.help}\n# TYPE {family} {metric.type}\n"
        for labels, samples in series.items():
            text = ",".join(f'{label}="{_escaped(value)}"' for label, value in (*place, *labels))
            for at_ms, value in samples:
                yield f"{name}{{{text}}} {value!r} {at_ms / 1000:.3f}\n"
    yield "# EOF\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
