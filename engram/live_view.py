"""The live view of a run in the terminal: progress, figures of each model, and the final table.

It reads the evaluator only. Where the output is no terminal it writes a plain line every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from consumers.evaluator import Evaluator
from engram.figures_table import (
    COLUMNS,
    ONLY_WIDE,
    RATING_COLUMNS,
    floor_warning,
    rate,
    rating_rows,
    ratio,
    rows,
    title,
)
from engram.measures_table import CHAMPION_COLUMNS, champion_rows
from evaluation.figures import ALL, LAST_70, Figures, window_span

REFRESH_S: Final = 0.25
PLAIN_INTERVAL_S: Final = 5.0
_DRIFTS_SHOWN: Final = 3


class LiveView:
    """Shows `evaluator` while it works: enter, call `update()` after every step, leave.

    heading: what the run is of. console: where to write, standard output by default.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        heading: str,
        console: Console | None = None,
        plain_interval_s: float = PLAIN_INTERVAL_S,
    ) -> None:
        self._evaluator = evaluator
        self._console = console or Console()
        self._interval_s = REFRESH_S if self._console.is_terminal else plain_interval_s
        self._heading = heading
        self._window = evaluator.config.windows[0]
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]} events  {task.fields[rate]} ev/s  ETA"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task(
            heading, total=None, completed=evaluator.events, count="0", rate="-"
        )
        # A resumed run starts its clock where it resumes.
        self._events_at_start = evaluator.events
        self._started_s = time.monotonic()
        self._shown_s = self._started_s
        self._shown_events = -1
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            # Refreshed by `update` alone: another thread would read figures that are being changed.
            self._live = Live(self._render(), console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._console.print(self._heading, markup=False, highlight=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None or self._evaluator.events != self._shown_events:
            self.update(now=True)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, *, now: bool = False) -> None:
        """Show the figures of this moment, if the last ones are old enough or `now`."""
        time_s = time.monotonic()
        if not now and time_s - self._shown_s < self._interval_s:
            return
        self._shown_s = time_s
        elapsed_s = time_s - self._started_s
        events = self._shown_events = self._evaluator.events
        speed = (events - self._events_at_start) / elapsed_s if elapsed_s > 0 else None
        if self._live is None:
            self._console.print(self._plain(speed), markup=False, highlight=False, soft_wrap=True)
            return
        self._progress.update(
            self._task,
            completed=events,
            total=self._evaluator.total_events,
            count=f"{events:,}",
            rate=rate(speed),
        )
        self._live.update(self._render(), refresh=True)

    def _plain(self, speed: float | None) -> str:
        """Write one line: progress, then the first window's Recall@10 of each model."""
        events, total = self._evaluator.events, self._evaluator.total_events
        share = f" of {total:,} ({events / total:.0%})" if total else ""
        eta = ""
        if total and speed and events < total:
            eta = f", {(total - events) / speed:,.0f} s left"
        models = ", ".join(
            f"{name} {_figure(spans[window_span(self._window)], 'recall@10')}"
            for name, spans in self._evaluator.figures().items()
        )
        line = f"{events:,}{share} events, {rate(speed)} ev/s{eta}"
        line = f"{line}; Recall@10 of the last {self._window:,}: {models}" if models else line
        return f"{line}; {drifted}" if (drifted := self._drifted()) else line

    def _drifted(self) -> str:
        """The newest drifts, "" where there are none."""
        newest = self._evaluator.drifts()[-_DRIFTS_SHOWN:]
        said = (f"{one.model} {one.before:.3f} to {one.after:.3f} at {one.at:,}" for one in newest)
        return f"drift: {', '.join(said)}" if newest else ""

    def _render(self) -> RenderableType:
        table = Table(expand=False)
        table.add_column("model", style="bold")
        spans = (
            (f"last {self._window:,}", window_span(self._window)),
            ("all", ALL),
            ("last 70 %", LAST_70),
        )
        for name, _ in spans:
            for measure in ("Recall@10", "NDCG@10"):
                table.add_column(f"{measure}\n{name}", justify="right")
        figures = self._evaluator.figures()
        for model in sorted(figures, key=lambda name: (-_recall(figures[name][ALL]), name)):
            table.add_row(
                model,
                *(
                    _figure(figures[model][span], measure)
                    for _, span in spans
                    for measure in ("recall@10", "ndcg@10")
                ),
            )
        return Group(self._progress, table, Text(self._drifted(), style="yellow"))


class FinalTable:
    """The final table of a result (the content of result.json); a narrow console gets the last 70 % alone."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self._result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if warning := floor_warning(self._result):
            yield Text(warning, style="bold red")
        wide = self._table(COLUMNS)
        narrow = [column for column in COLUMNS if column not in ONLY_WIDE]
        natural = Measurement.get(console, options.update(max_width=1_000), wide).maximum
        fits = natural <= options.max_width
        yield wide if fits or self._result["last_70_from"] is None else self._table(narrow)
        if rated := rating_rows(self._result):
            yield _of_rows("Rating prediction", RATING_COLUMNS, rated)
        if compared := champion_rows(self._result):
            yield _of_rows("Differences of recall, by session", CHAMPION_COLUMNS, compared)

    def _table(self, columns: Sequence[str]) -> Table:
        shown = [COLUMNS.index(column) for column in columns]
        cells = [tuple(row[index] for index in shown) for row in rows(self._result)]
        return _of_rows(title(self._result), columns, cells)


def _of_rows(heading: str, columns: Sequence[str], cells: Sequence[tuple[str, ...]]) -> Table:
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(
            column.replace(" last", "\nlast"),
            justify="right" if number else "left",
            style="" if number else "bold",
            no_wrap=True,
        )
    for row in cells:
        table.add_row(*row)
    return table


def _figure(figures: Figures | None, measure: str) -> str:
    return ratio(None if figures is None else figures[measure])


def _recall(figures: Figures | None) -> float:
    return 0.0 if figures is None else figures["recall@10"]
