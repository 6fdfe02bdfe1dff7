"""From boards to the JSON that Grafana provisions: `python -m dashboards.grafana_json` writes `dashboards/grafana/boards/`.

Built with the Grafana Foundation SDK, so that names and types of options are Grafana's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards.boards import BOARDS
from dashboards.panels import Board, Panel, Row, Variable, at

FOLDER: Final = Path(__file__).parent / "grafana" / "boards"
TAG: Final = "engram"
COLUMNS: Final = 24
_FIRST_ROW: Final = 1000  # numbers of rows are above those of panels
_DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_FLOOR_SERIES: Final = "^(popularity|decayed_popularity)$"
_PanelBuilder = timeseries.Panel | stat.Panel | bargauge.Panel


def board_json(board: Board) -> str:
    """Return the JSON of a board, as committed."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.question)
        .tags([TAG])
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("Engram")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    builder.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for variable in (*_PLACE, *board.variables):
        builder.with_variable(_variable(variable))
    for annotation in _annotations():
        builder.annotation(annotation)
    number, top = 0, 0
    for place, row in enumerate(board.rows):
        builder.with_row(dashboard.Row(row.title).id(_FIRST_ROW + place))
        top += 1
        for panel, x, y in placed(row):
            number += 1
            builder.with_panel(_panel(panel, number, x, top + y))
        top += max((y + panel.height for panel, _, y in placed(row)), default=0)
    built = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    for variable in built["templating"]["list"]:
        for name in ("auto", "auto_count", "auto_min"):  # of interval variables; the SDK gives them to all
            variable.pop(name, None)
    return json.dumps(built, indent=2, sort_keys=True) + "\n"


_PLACE: Final = (
    Variable(name="job", label_shown="Job", metric="up", label="job"),
    Variable(name="instance", label_shown="Instance", metric='up{job=~"$job"}', label="instance"),
)


def placed(row: Row) -> Iterator[tuple[Panel, int, int]]:
    """Each panel with its place in the row: from left to right, and on a new line where it does not fit."""
    x, y, tallest = 0, 0, 0
    for panel in row.panels:
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel, x, y
        x, tallest = x + panel.width, max(tallest, panel.height)


def _variable(variable: Variable) -> dashboard.QueryVariable:
    names = "engram.*" if variable.name == "job" else None
    builder = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label_shown)
        .datasource(_DATASOURCE)
        .query(f"label_values({variable.metric}, {variable.label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(variable.several)
        .include_all(variable.several)
    )
    if names is not None:
        builder.regex(f"/{names}/")
    if variable.several:
        # Without a value of its own, "all" becomes a list of every value, which is too long for a query one day.
        builder.all_value(names or ".*")
        builder.current(models.VariableOption(text="All", value="$__all", selected=True))
    elif variable.first is not None:
        builder.current(models.VariableOption(text=variable.first, value=variable.first, selected=True))
    return builder


def _annotations() -> Iterator[dashboard.AnnotationQuery]:
    marks = (
        (
            "Drift",
            "orange",
            f"sum by (model, detector) (increase({at('engram_drift_detected_total')}[$__interval])) > 0",
        ),
        (
            "Batch model",
            "purple",
            f"sum by (step) (increase({at('engram_batch_steps_total')}[$__interval])) > 0",
        ),
        (
            "Rebalance",
            "yellow",
            f"sum by (change) (increase({at('engram_rebalances_total')}[$__interval])) > 0",
        ),
        ("Start of a process", "blue", f"changes({at('process_start_time_seconds')}[$__interval]) > 0"),
    )
    for name, colour, expr in marks:
        yield (
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(_DATASOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(expr)
        )


def _panel(panel: Panel, number: int, x: int, y: int) -> _PanelBuilder:
    builder = _KINDS[panel.kind](panel)
    (
        builder.id(number)
        .title(panel.title)
        .description(panel.question)
        .datasource(_DATASOURCE)
        .unit(panel.unit)
        .grid_pos(models.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    )
    if panel.decimals is not None:
        builder.decimals(panel.decimals)
    if panel.least is not None:
        builder.min(panel.least)
    if panel.greatest is not None:
        builder.max(panel.greatest)
    if panel.steps:
        steps = [models.Threshold(value=value, color=colour) for value, colour in panel.steps.items()]
        builder.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    for place, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + place))
            .datasource(_DATASOURCE)
            .expr(query.expr)
            .legend_format(query.legend)
        )
        if panel.kind == "timeseries":
            target.range()
        else:
            target.instant()
        builder.with_target(target)
    return builder


def _timeseries(panel: Panel) -> timeseries.Panel:
    builder = (
        timeseries.Panel()
        .line_width(2)
        .fill_opacity(30 if panel.stacked else 0)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(
                common_models.LegendPlacement.RIGHT
                if panel.width > 12
                else common_models.LegendPlacement.BOTTOM
            )
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if panel.floor:
        builder.override_by_regexp(
            _FLOOR_SERIES,
            [
                models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "#8A8A8A"}),
                models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
            ],
        )
    return builder


def _stat(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _bargauge(panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


_KINDS: Final[Mapping[str, Callable[[Panel], _PanelBuilder]]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "bargauge": _bargauge,
}


def committed() -> dict[str, Any]:
    """{uid: board} as the committed files say."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def main() -> None:
    """Write one file a board, and remove those of boards that are no more."""
    wanted = {FOLDER / f"{board.uid}.json": board_json(board) for board in BOARDS}
    for path in FOLDER.glob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text, "utf-8")
        print(path.relative_to(FOLDER.parent), file=sys.stderr)


if __name__ == "__main__":
    main()
