"""`engram recommend USER`: what a run would show a user, from a checkpoint of its learner."""

from __future__ import annotations

import contextlib
import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from engram.deployment import open_deployment, settings_of
from engram.graph_names import Name, read_names, unnamed
from engram.recommendations import Answer, answer, load_reader
from engram.settings import Settings
from eventlog.errors import EngramError, SettingsError
from online_models.recommend import Order


class Asked(enum.StrEnum):
    """When the question is asked: `now`, at the lane's newest event; `last-event`, at the user's own last one."""

    NOW = "now"
    LAST_EVENT = "last-event"


User = Annotated[str, typer.Argument(help="Id of a user; one that is not known is a newcomer.")]
Run = Annotated[Path | None, typer.Option("--run", help="Folder of a run, finished or running.")]
Checkpoints = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="Folder of a learner's checkpoints, without a run's folder."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="A ranking model of the run.", show_default="the first that is more than popularity"
    ),
]
Version = Annotated[
    int | None, typer.Option("--checkpoint", help="Version of the checkpoint.", show_default="the newest")
]
Lane = Annotated[
    int | None, typer.Option("--lane", min=0, help="Lane.", show_default="the first that knows the user")
]
K = Annotated[int, typer.Option("-k", min=1, max=1_000, help="How many items.")]
Candidates = Annotated[
    int, typer.Option(min=1, max=10_000, help="How many of the best the list is made of, at least k.")
]
Diversity = Annotated[
    float,
    typer.Option(min=0, max=1, help="Maximal marginal relevance: 0 relevance alone, 1 diversity alone."),
]
Coverage = Annotated[
    bool, typer.Option("--genre-coverage", help="Each pick after the first half adds a genre, while one can.")
]
Session = Annotated[
    float, typer.Option(min=0, max=1, help="Pull to what is like the items of the user's running session.")
]
Genre = Annotated[
    list[str] | None, typer.Option("--genre", help="Only items of this genre; repeatable: of one of them.")
]
YearFrom = Annotated[int | None, typer.Option("--year-from", help="Only items from this year on.")]
YearTo = Annotated[int | None, typer.Option("--year-to", help="Only items up to this year.")]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="Leave this item out, as one that was shown and passed over; repeatable."),
]
IncludeSeen = Annotated[bool, typer.Option("--include-seen", help="Items that the user has had, too.")]
At = Annotated[Asked, typer.Option("--at", help="At the lane's newest event, or at the user's own last one.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def recommend_command(
    user: User,
    run: Run = None,
    checkpoints: Checkpoints = None,
    model: ModelOption = None,
    checkpoint: Version = None,
    lane: Lane = None,
    k: K = 10,
    candidates: Candidates = 100,
    diversity: Diversity = 0.0,
    genre_coverage: Coverage = False,
    session: Session = 0.0,
    genre: Genre = None,
    year_from: YearFrom = None,
    year_to: YearTo = None,
    without: Without = None,
    include_seen: IncludeSeen = False,
    at: At = Asked.NOW,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, from the state of a run's learner at a checkpoint."""
    if (run is None) == (checkpoints is None):
        raise SettingsError("expected --run DIR or --checkpoints DIR, one of them")
    settings = settings_of(Settings(), run) if run is not None else None
    folder = run / "checkpoints" if run is not None else checkpoints
    assert folder is not None
    reader = load_reader(folder, user, lane=lane, version=checkpoint, model=model)
    found = answer(
        reader,
        user,
        k=k,
        candidates=candidates,
        order=Order(diversity, genre_coverage, session),
        genres=genre or (),
        years=(year_from, year_to),
        without=without or (),
        include_seen=include_seen,
        at_last_event=at is Asked.LAST_EVENT,
    )
    names = _names(settings, [item.item for item in found.items])
    if as_json:
        typer.echo(json.dumps(_described(found, names), ensure_ascii=False, allow_nan=False, indent=1))
    else:
        _show(found, names)


def _names(settings: Settings | None, ids: list[str]) -> dict[str, Name]:
    """Titles from the run's log; ids where there is none."""
    if settings is not None:
        with contextlib.suppress(EngramError), open_deployment(settings) as (log, topics):
            return read_names(log, topics, "item", ids)
    return dict(unnamed(ids))


def _described(found: Answer, names: dict[str, Name]) -> dict[str, Any]:
    return {
        "user": found.user,
        "known": found.known,
        "model": found.model,
        "events": found.events,
        "lane": found.lane,
        "items": [item._asdict() | {"title": names[item.item].title} for item in found.items],
    }


def _show(found: Answer, names: dict[str, Name]) -> None:
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, 140)
    who = f"user {found.user}" if found.known else f"{found.user}, who is new here"
    table = Table(
        title=f"For {who}, by {found.model} after {found.events:,} events",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "item", "title", "year", "genres", "score", "model's place", "most like one above"):
        table.add_column(heading, justify="left" if heading in {"item", "title", "genres"} else "right")
    for place, item in enumerate(found.items, 1):
        table.add_row(
            str(place),
            item.item,
            names[item.item].title,
            str(item.year or ""),
            ", ".join(item.genres),
            f"{item.score:.4g}",
            str(item.rank),
            "" if place == 1 else f"{item.nearest:.2f}",
        )
    console.print(table)
    if not found.items:
        console.print("Nothing is left: other filters, or --include-seen, leave more.")
