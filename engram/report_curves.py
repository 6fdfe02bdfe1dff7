"""The curves of the report page: SVG lines that stretch, and tick labels of a constant size around them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from engram.curves_chart import FLOOR, choose_window
from engram.drift_marks import marks_of
from engram.figures_table import by_recall
from engram.hand_over_marks import SIGNS, step_key, step_marks_of

MEASURES: Final = (("recall@10", "Recall@10"), ("ndcg@10", "NDCG@10"), ("mrr@10", "MRR@10"))
_COLOURS: Final = 7  # --c0 ... of the page
_DASHES: Final = ("", "7 4", "2 3", "9 3 2 3")  # of the second, third, ... model of a colour
_SIZE: Final = 1_000  # of the drawing, in both directions
_DECIMALS: Final = 6
_DURATION: Final = re.compile(r"window_[0-9]+[smhd]")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Series = Sequence[float | None]


class ReportCurves:
    """Curves of a run, drawn. result and curves: the content of result.json and curves.json."""

    def __init__(self, result: Mapping[str, Any], curves: Mapping[str, Any]) -> None:
        self.models = [name for name in by_recall(result["models"]) if name in curves["models"]]
        self.window = choose_window(curves)
        self.time_window = choose_time_window(curves)
        self._events: list[int] = curves["events"]
        self._last_70_from: int | None = curves["last_70_from"]
        self._marks = marks_of(result)
        self._steps, self._step_key = step_marks_of(result), step_key(result)
        drawn = iter(range(len(self.models)))
        numbers = {name: next(drawn) for name in self.models if name != FLOOR}
        self.colours = {
            name: "--floor" if name == FLOOR else f"--c{numbers[name] % _COLOURS}" for name in self.models
        }
        self._dashes = {
            name: _DASHES[numbers.get(name, 0) // _COLOURS % len(_DASHES)] for name in self.models
        }
        self._series = {
            name: {mode: self._of(curves, name, span) for mode, span in self.modes().items()}
            for name in self.models
        }

    def modes(self) -> dict[str, str]:
        """Return {class of its lines: span}: a window by events, all events so far, a window by event time."""
        timed = {} if self.time_window is None else {"t": self.time_window}
        return {"w": self.window or "all", "a": "all", **timed}

    def _of(self, curves: Mapping[str, Any], name: str, span: str) -> dict[str, list[float | None]]:
        """One model's measures over a span; a window that is not full yet says nothing, being noise.

        Whether a window of event time is full is not known: it begins where that of events does.
        """
        size = 0 if span == "all" else min(int(str(self.window).split("_")[1]), self._events[-1])
        return {
            measure: [
                None if value is None or events < size else round(value, _DECIMALS)
                for events, value in zip(self._events, curves["models"][name][span][measure], strict=True)
            ]
            for measure, _ in MEASURES
        }

    @property
    def drawable(self) -> bool:
        """Whether there is anything to draw."""
        return self.window is not None and bool(self.models)

    def data(self) -> str:
        """Return JSON for the page's script, safe inside its element."""
        content = {
            "events": self._events,
            "models": self.models,
            "colours": [self.colours[name] for name in self.models],
            "curves": [self._series[name] for name in self.models],
        }
        return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")

    def toggles(self) -> str:
        """Return the style rules that hide a model's lines."""
        return "\n".join(f".off-{i} .m{i} {{ display: none; }}" for i in range(len(self.models)))

    def html(self) -> str:
        """Return controls and charts."""
        if not self.drawable:
            return "<p class=soft>No event was ranked: there are no curves.</p>"
        window = int(str(self.window).split("_")[1])
        legend = "".join(
            f'<button data-model="{i}" aria-pressed="true"><span class="swatch" style="border-color: '
            f'var({self.colours[name]})"></span>{escape(name)}{" (floor)" if name == FLOOR else ""}</button>'
            for i, name in enumerate(self.models)
        )
        modes = (
            f'<span class="mode"><button data-mode="w" aria-pressed="true">last {window:,} events</button>'
            '<button data-mode="a" aria-pressed="false">all events so far</button>'
            + (
                ""
                if self.time_window is None
                else f'<button data-mode="t" aria-pressed="false">last {duration(self.time_window)}</button>'
            )
            + "</span>"
        )
        charts = "".join(self._chart(measure, label) for measure, label in MEASURES)
        notes = [] if self._last_70_from is None else ["Dotted: the last 70 % begin."]
        notes += (
            ["Triangles: drift, up or down, in the colour of the model that is watched."]
            if self._marks
            else []
        )
        notes += [f"Batch models: {self._step_key}."] if self._steps else []
        note = f'<p class="soft">{" ".join(notes)}</p>' if notes else ""
        return f'<div class="controls">{modes}{legend}</div><div class="charts">{charts}</div>{note}'

    def _chart(self, measure: str, label: str) -> str:
        values = [
            v for of in self._series.values() for mode in of.values() for v in mode[measure] if v is not None
        ]
        step, top = ticks(max(values, default=0.0))
        last = self._events[-1]
        grid = []
        labels = []
        for number in range(round(top / step) + 1):
            y = _SIZE * (1 - number * step / top)
            grid.append(f'<path class="grid" d="M0 {y:.1f}H{_SIZE}"/>')
            decimals = max(2, -math.floor(math.log10(step)))
            labels.append(
                f'<span class="tick y" style="top: {y / 10:.2f}%">{number * step:.{decimals}f}</span>'
            )
        x_step, _ = ticks(last, 3)
        for number in range(int(last // x_step) + 1):
            x = number * x_step / last
            labels.append(f'<span class="tick x" style="left: {x:.2%}">{_short(number * x_step)}</span>')
        if self._last_70_from is not None and self._last_70_from <= last:
            x = _SIZE * self._last_70_from / last
            grid.append(
                f'<path class="from" d="M{x:.1f} 0V{_SIZE}"><title>the last 70 % begin</title></path>'
            )
        grid += [self._mark(number) for number in range(len(self._marks))]
        for made in self._steps:
            x, colour = made.at / last, f"--of: var({self.colours.get(made.model, '--floor')})"
            grid.append(
                f'<g class="step" style="{colour}"><title>{escape(made.said)}</title>'
                f'<path d="M{_SIZE * x:.1f} 0V{_SIZE}"/></g>'
            )
            labels.append(
                f'<span class="sign" style="left: {x:.2%}; {colour}; color: var(--of)" title="{escape(made.said)}">'
                f"{SIGNS[made.step]}</span>"
            )
        lines = [
            f'<path class="{mode} m{i}" style="stroke: var({self.colours[name]})"{self._dash(name)} '
            f'd="{self._line(self._series[name][mode][measure], top)}"/>'
            for i, name in enumerate(self.models)
            for mode in self._series[name]
        ]
        return (
            f'<section class="chart"><h3>{label} <span class="soft">over events</span></h3><div class="plot" data-measure="{measure}">'
            f'<svg viewBox="0 0 {_SIZE} {_SIZE}" preserveAspectRatio="none" role="img" '
            f'aria-label="{label} over events, a line a model">{"".join(grid)}{self._floor(measure, top)}'
            f"{''.join(lines)}</svg>{''.join(labels)}</div></section>"
        )

    def _mark(self, number: int) -> str:
        """A drift: a faint line, and a triangle at its foot that points to where the model went."""
        mark = self._marks[number]
        x, colour = _SIZE * mark.at / self._events[-1], self.colours.get(mark.model, "--floor")
        tip, base = (_SIZE - 30, _SIZE) if mark.up else (_SIZE, _SIZE - 30)
        model = f" m{self.models.index(mark.model)}" if mark.model in self.models else ""
        said = f"drift of {mark.model}, {'up' if mark.up else 'down'}, at event {mark.at:,}"
        return (
            f'<g class="drift{model}" style="--of: var({colour})"><title>{escape(said)}</title>'
            f'<path d="M{x:.1f} 0V{_SIZE}"/><path class="way" d="M{x:.1f} {tip}L{x - 9:.1f} {base}H{x + 9:.1f}Z"/></g>'
        )

    def _floor(self, measure: str, top: float) -> str:
        """The area under popularity."""
        if FLOOR not in self._series:
            return ""
        i, areas = self.models.index(FLOOR), []
        for mode in self._series[FLOOR]:
            line = self._line(self._series[FLOOR][mode][measure], top)
            # A gap would need an area for each part; it is left to the line alone.
            if line.count("M") == 1:
                first = line[1:].split()[0]
                areas.append(f'<path class="area {mode} m{i}" d="{line}V{_SIZE}H{first}Z"/>')
        return "".join(areas)

    def _dash(self, name: str) -> str:
        return f' stroke-dasharray="{self._dashes[name]}"' if self._dashes[name] else ""

    def _line(self, values: Series, top: float) -> str:
        parts, drawing = [], False
        for events, value in zip(self._events, values, strict=True):
            if value is not None:
                x, y = _SIZE * events / self._events[-1], _SIZE * (1 - value / top)
                parts.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}")
            drawing = value is not None
        return "".join(parts)


def choose_time_window(curves: Mapping[str, Any]) -> str | None:
    """Return the middle one of the windows of event time, as they are ordered; None without any, or points."""
    if choose_window(curves) is None:
        return None
    spans = [span for span in next(iter(curves["models"].values())) if _DURATION.fullmatch(span)]
    return spans[len(spans) // 2] if spans else None


def duration(span: str) -> str:
    """Write the length of a window of event time: `window_7d` is 7 days."""
    number, unit = span.removeprefix("window_")[:-1], span[-1]
    return f"{number} {_UNITS[unit]}" if number != "1" else f"{_UNITS[unit][:-1]}"


def ticks(greatest: float, most: int = 5) -> tuple[float, float]:
    """Return (step, top): a step of 1, 2 or 5 times a power of ten, and the first multiple at or above `greatest`.

    most: steps up to the top. Nothing to show gives an axis from 0 to 1.
    """
    if greatest <= 0:
        return 0.5, 1.0
    power = 10.0 ** math.floor(math.log10(greatest / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * most >= greatest * (1 - 1e-12))
    return step, step * math.ceil(greatest / step - 1e-9)


def _short(count: float) -> str:
    """Write a count in thousands or millions."""
    for size, unit in ((1e6, " M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{unit}"
    return f"{count:g}"
