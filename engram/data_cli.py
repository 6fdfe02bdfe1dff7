"""`engram data list|get|verify|describe`: the data sets, where they are, whether they are whole, what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich import progress as bars
from rich.console import Console
from rich.table import Column, Table

from engram.figures_table import size
from eventlog.metadata import MAX_TAGS, ItemMetadata
from producers.columns import RatingColumns
from producers.datasets import DATASETS, PUBLISHER, Dataset
from producers.download import download
from producers.sources import Found, dataset_named, default_cache_dir, find_dataset, locate_dataset

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(help="Data sets: list, get, verify, describe.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help=f"Name of the data set: {', '.join(DATASETS)}.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="ENGRAM_DATA_DIR", help="Folder that holds the data sets, looked at before the cache."
    ),
]

_QUANTILES = {"least": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "most": 1.0}


@app.command("list")
def list_command(data_dir: DataDir = None) -> None:
    """List the data sets, with the publisher's counts and where each is on this machine."""
    table = Table(Column("name", no_wrap=True), "title", "ratings", "users", "items", "scale")
    table.add_column("where", overflow="fold")
    for dataset in DATASETS.values():
        place = locate_dataset(dataset, data_dir)
        table.add_row(
            dataset.name,
            dataset.title,
            *(
                "-" if count is None else f"{count:,}"
                for count in (dataset.ratings, dataset.users, dataset.items)
            ),
            f"{dataset.rating_min:g} to {dataset.rating_max:g}",
            f"{place[1].value} {place[0]}" if place else _how_to_get(dataset),
        )
    _console().print(table)


def _how_to_get(dataset: Dataset) -> str:
    return (
        f"not here: engram data get {dataset.name}"
        if dataset.archive
        else "not here: give its folder with --data-dir"
    )


@app.command()
def get(
    name: Name,
    url: Annotated[str, typer.Option(help="Where the archives are, for a mirror.")] = PUBLISHER,
) -> None:
    """Download a data set into the cache, checked against the publisher's checksum; what is there is kept."""
    dataset = dataset_named(name)
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.DownloadColumn())
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(dataset.archive or dataset.name, total=None)

        def show(received_bytes: int, total_bytes: int | None) -> None:
            shown.update(task, completed=received_bytes, total=total_bytes)

        folder = download(dataset, default_cache_dir(), url, show)
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    typer.echo(f"{dataset.title} is in {folder} ({size(total)}).")


@app.command()
def verify(name: Name, data_dir: DataDir = None) -> None:
    """Read every line of a data set, strictly; exit code 1 when one is malformed.

    Also says how the ratings differ from the publisher's counts.
    """
    found = find_dataset(name, data_dir, download=False)
    items = list(found.dataset.reader.items(found.folder))
    users = list(found.dataset.reader.users(found.folder))
    rated = RatingColumns.concat(list(found.dataset.reader.ratings(found.folder)))
    console = _console()
    console.print(found.sentence)
    console.print(
        f"Every line is well formed: {rated.size:,} ratings; metadata of {len(items):,} items"
        + (f" with {tags:,} tags" if (tags := sum(len(item.tags) for item in items)) else "")
        + (f" and {len(users):,} users." if users else ".")
    )
    console.print(_without_metadata(rated, items))
    for difference in found.differences:
        console.print(f"differs: {difference}")
    if not found.differences:
        console.print("Ratings, users, items and scale are as the publisher counts them.")


@app.command()
def describe(
    name: Name,
    data_dir: DataDir = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the best rated items to show.")] = 10,
    min_count: Annotated[int, typer.Option(min=1, help="Ratings that such an item must have.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures of all that (PNG).")] = None,
) -> None:
    """Describe a data set: counts, times, ratings, how active users are, and the best rated items."""
    found = find_dataset(name, data_dir, download=False)
    frame = rating_frame(found)
    known = {item.item: item for item in found.dataset.reader.items(found.folder)}
    best = best_rated(frame, top, min_count)
    console = _console()
    console.print(found.sentence)
    for table in (
        _counts(frame, known),
        _histogram(frame, found.dataset),
        _activity(frame),
        _best_table(best, known, min_count),
    ):
        console.print(table)
    if out is not None:
        from engram.data_pictures import draw_pictures  # here, for the other commands need no plotting

        title = ", not whole: ".join((found.dataset.title, *found.differences[:1]))
        for path in draw_pictures(out, frame, known, best, title=title, min_count=min_count):
            console.print(f"picture {path}")


def rating_frame(found: Found) -> pd.DataFrame:
    """Return all ratings as columns user, item (categories of str), rating (float64), time (datetime64, UTC)."""
    import pandas as pd

    columns = RatingColumns.concat(list(found.dataset.reader.ratings(found.folder)))
    return pd.DataFrame(
        {
            "user": pd.Categorical(columns.users.astype(str)),
            "item": pd.Categorical(columns.items.astype(str)),
            "rating": columns.ratings,
            "time": pd.to_datetime(columns.event_time_ms, unit="ms", utc=True),
        }
    )


def _without_metadata(rated: RatingColumns, items: list[ItemMetadata]) -> str:
    """Say how many ratings are of items that nothing is known of."""
    ids, counts = np.unique(rated.items, return_counts=True)
    unknown = ~np.isin(ids, np.array([item.item.encode() for item in items] or [b""]))
    return f"{int(counts[unknown].sum()):,} ratings are of {int(unknown.sum()):,} items without metadata."


def _counts(frame: pd.DataFrame, known: dict[str, ItemMetadata]) -> Table:
    users, items = frame["user"].nunique(), frame["item"].nunique()
    table = Table("events", title="Counts and times", show_header=False)
    table.add_column(justify="right")
    for label, value in (
        ("ratings", f"{len(frame):,}"),
        ("users", f"{users:,}"),
        ("items", f"{items:,}"),
        ("density", f"{len(frame) / (users * items):.2%}"),
        ("first (UTC)", f"{frame['time'].min():%Y-%m-%d %H:%M:%S}"),
        ("last (UTC)", f"{frame['time'].max():%Y-%m-%d %H:%M:%S}"),
        ("share with a time that another rating has", f"{frame['time'].duplicated(keep=False).mean():.1%}"),
        ("mean rating", f"{frame['rating'].mean():.3f}"),
        ("items with tags", f"{sum(bool(item.tags) for item in known.values()):,}"),
        (f"tags (of an item the first {MAX_TAGS})", f"{sum(len(item.tags) for item in known.values()):,}"),
    ):
        table.add_row(label, value)
    return table


def _histogram(frame: pd.DataFrame, dataset: Dataset) -> Table:
    counts = frame["rating"].value_counts().sort_index()
    table = Table("rating", "count", "share", "", title=f"Ratings ({dataset.title})")
    for rating, count in counts.items():
        bar = "█" * round(30 * count / counts.max())
        table.add_row(f"{rating:g}", f"{count:,}", f"{count / len(frame):.1%}", bar)
    return table


def _activity(frame: pd.DataFrame) -> Table:
    table = Table("ratings per", *_QUANTILES, title="Activity")
    for side in ("user", "item"):
        quantiles = frame[side].value_counts().quantile(list(_QUANTILES.values()))
        table.add_row(side, *(f"{value:,.1f}" for value in quantiles))
    return table


def best_rated(frame: pd.DataFrame, top: int, min_count: int) -> pd.DataFrame:
    """Return item, mean, count of items of at least `min_count` ratings by mean, then by count, then by id."""
    by_item = frame.groupby("item", observed=True)["rating"].agg(["mean", "count"]).reset_index()
    by_item = by_item[by_item["count"] >= min_count]
    return by_item.sort_values(["mean", "count", "item"], ascending=[False, False, True]).head(top)


def _best_table(best: pd.DataFrame, known: Mapping[str, ItemMetadata], min_count: int) -> Table:
    table = Table(
        "mean", "ratings", "item", "title", title=f"Best rated, of those with {min_count:,} ratings or more"
    )
    for item, mean, count in best.itertuples(index=False):
        title = known[item].title if item in known else "(unknown)"
        table.add_row(f"{mean:.3f}", f"{count:,}", item, title)
    return table


def _console() -> Console:
    # Titles may hold square brackets, which are no markup; paths stay whole.
    return Console(markup=False, highlight=False, soft_wrap=True)
