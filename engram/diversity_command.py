"""`engram evaluate diversity`: what recall a more diverse list costs, on a stream, test then learn."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from engram.diversity import cost_of_diversity
from engram.figures_table import ratio, title
from engram.leave_one_out import check_models
from engram.options import settings_command
from engram.parts import lane_config
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.warm import warm_up_learner
from evaluation.list_measures import LIST_MEASURES
from eventlog.errors import SettingsError
from online_models.recommend import Order

_WIDTH: Final = 150  # of output that is no terminal
_COLUMNS: Final = {
    "recall@10": "Recall@10",
    "recall@10 difference": "difference",
    "ndcg@10": "NDCG@10",
    "diversity@10": "diversity@10",
    "genres@10": "genres@10",
    "coverage@10": "coverage@10",
    "novelty@10": "novelty@10",
}

Diversities = Annotated[
    str,
    typer.Option(
        "--diversity",
        metavar="X,...",
        help="Diversities of maximal marginal relevance, 0 to 1; the first is what the others are compared with.",
    ),
]
Sessions = Annotated[
    str, typer.Option("--session", metavar="X,...", help="Pulls to the running session, 0 to 1; '' for none.")
]
Candidates = Annotated[int, typer.Option(min=10, max=10_000, help="How many of the best a list is made of.")]
Every = Annotated[int, typer.Option(min=1, help="Events between two lists; 1: of every event.")]
Out = Annotated[Path, typer.Option(help="Folder of diversity.json, .csv, .md and .png.")]


@settings_command(
    "dataset", "data_dir", "columns", "time_unit", "delimiter", "min_rating", "limit", "from_time", "to_time", "tie_order",
    "models", "params", "clock", "max_users", "max_items", "seed",
)  # fmt: skip
def diversity_command(
    settings: Settings,
    diversity: Diversities = "0,0.1,0.2,0.3,0.5,0.7",
    session: Sessions = "0.1,0.3",
    candidates: Candidates = 100,
    every: Every = 16,
    out: Out = Path("runs/diversity"),
) -> None:
    """Measure lists of ten in several orders, test then learn: recall, diversity, coverage and novelty of each.

    Besides maximal marginal relevance: genre coverage, and the pull to the running session, each alone.
    """
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    orders = orders_of(diversity, session)
    config = lane_config(settings)
    check_models(config.models)
    config.build()
    if out.exists() and not out.is_dir():
        raise SettingsError(f"out is {str(out)!r}, expected a folder")
    source = find_source(settings)
    console.print(source.description, markup=False, highlight=False, style="bold")
    stream = open_stream(settings, source.folder)
    warm_up_learner(config, 1)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("learning", total=stream.total_events)
        result = cost_of_diversity(
            settings,
            stream,
            orders,
            candidates=candidates,
            every=every,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    result = {"dataset": source.dataset, "min_rating": settings.min_rating} | result
    console.print(_table(result))
    for line in (*_explained(result), *map(str, write(out, result))):
        console.print(line, markup=False, highlight=False)


def orders_of(diversity: str, session: str) -> list[Order]:
    """Return the orders that are compared. Raises `SettingsError` for what is no list of numbers from 0 to 1."""
    diversities, sessions = _numbers("diversity", diversity), _numbers("session", session)
    if not diversities:
        raise SettingsError("diversity is empty, expected numbers from 0 to 1, such as 0,0.1,0.3")
    first = diversities[0]
    return [
        *(Order(one) for one in diversities),
        Order(first, genre_coverage=True),
        *(Order(first, session=one) for one in sessions if one > 0),
    ]


def _numbers(name: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = [-1.0]
    if not all(0 <= number <= 1 for number in found):
        raise SettingsError(f"{name} is {text!r}, expected numbers from 0 to 1, such as 0,0.1,0.3")
    return list(dict.fromkeys(found))


def write(folder: Path, result: Mapping[str, Any]) -> list[Path]:
    """Write the result, its table as CSV and Markdown, and its chart; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"diversity.{suffix}" for suffix in ("json", "csv", "md", "png")]
    written[0].write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")
    rows = _rows(result)
    with written[1].open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    written[2].write_text(markdown(result), "utf-8")
    from engram.diversity_chart import draw_diversity  # here, for no other command needs plotting

    written[3].write_bytes(draw_diversity(result, title(result)))
    return written


def _rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a model, order and span, tidy."""
    return [
        {
            "model": name,
            **{key: order[key] for key in ("diversity", "genre_coverage", "session")},
            "span": span,
            "lists": order[span]["lists"],
            **{measure: order[span][measure] for measure in LIST_MEASURES},
            **{
                key: order[span][key]
                for key in ("recall@10 difference", "recall@10 margin", "gained", "lost")
            },
        }
        for name, model in result["models"].items()
        for order in model["orders"]
        for span in ("all", "last_70")
    ]


def _cells(figures: Mapping[str, Any], first: bool) -> list[str]:
    cells = []
    for measure in _COLUMNS:
        value = figures[measure]
        if value is None or (first and measure == "recall@10 difference"):
            cells.append("-")
        elif measure == "recall@10 difference":
            cells.append(f"{value:+.4f} ± {figures['recall@10 margin']:.4f}")
        elif measure in {"genres@10", "novelty@10"}:
            cells.append(f"{value:.2f}")
        else:
            cells.append(f"{value:.4f}")
    return cells


def markdown(result: Mapping[str, Any]) -> str:
    """Render the table of the last 70 % as Markdown, with what explains it."""
    lines = [
        f"| {' | '.join(('model', 'order', *_COLUMNS.values()))} |",
        "|---|---|" + "---:|" * len(_COLUMNS),
    ]
    for name, model in result["models"].items():
        for number, order in enumerate(model["orders"]):
            shown = name if number == 0 else ""
            lines.append(
                f"| {shown} | {order['label']} | {' | '.join(_cells(order['last_70'], number == 0))} |"
            )
    return "\n".join([f"**{title(result)}**", "", *lines, "", *_explained(result), ""])


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(title=title(result), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", style="bold", no_wrap=True)
    table.add_column("order", no_wrap=True)
    for label in _COLUMNS.values():
        table.add_column(label, justify="right", no_wrap=True)
    for name, model in result["models"].items():
        for number, order in enumerate(model["orders"]):
            table.add_row(name if number == 0 else "", order["label"], *_cells(order["last_70"], number == 0))
    return table


def _explained(result: Mapping[str, Any]) -> Sequence[str]:
    models: Mapping[str, Any] = result["models"]
    lists = max(model["orders"][0]["last_70"]["lists"] for model in models.values())
    ranked = "; ".join(
        f"{name} {ratio((model['all_events']['last_70'] or {}).get('recall@10'))}"
        for name, model in models.items()
    )
    return [
        f"{lists:,} lists of ten, out of the best {result['candidates']} by the model, each made just before every "
        f"{result['every']}th event of the last 70 % was learned (repeats left out; an item never seen before is a miss). "
        "difference: of Recall@10 to the first order of the model, with 1.96 standard errors of it over the same events.",
        f"Recall@10 by rank, over all events of the last 70 %: {ranked}.",
        f"{result['items_with_metadata']:,} items with metadata; diversity is of genres alone, similarity of genres and year.",
    ]
