"""`engram train --protocol`: batch models (extra `batch`), fitted and tested by leave-one-out or a split by time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from batch_models.content_features import ContentConfig
from batch_models.names import BATCH_MODELS
from engram.leave_one_out import item_metadata
from engram.settings import Settings
from engram.source import find_source, open_stream, rating_scale
from engram.train_leave_one_out import COLUMNS, table_rows, train_leave_one_out
from engram.train_ratings import COLUMNS as RATING_COLUMNS
from engram.train_ratings import table_rows as rating_rows
from engram.train_ratings import train_ratings
from engram.train_runs import RESULT_FILE, TABLE_FILE, Kept, write_result
from engram.train_time_split import COLUMNS as SPLIT_COLUMNS
from engram.train_time_split import band_rows, train_time_split
from engram.train_time_split import table_rows as split_rows
from eventlog.errors import DataMissingError, SettingsError
from eventlog.metadata import ItemMetadata
from producers.columns import RatingColumns
from producers.leave_one_out import find_leave_one_out, leave_out_last, read_leave_one_out

if TYPE_CHECKING:
    from batch_models.trainer import Epoch

_WIDTH: Final = 150
LEAVE_ONE_OUT, TIME_SPLIT, RATINGS = "leave-one-out", "time-split", "ratings"
# Their tables: columns, and rows of a result.
PROTOCOLS: Final[dict[str, tuple[Sequence[str], Callable[[dict[str, Any]], Sequence[tuple[str, ...]]]]]] = {
    LEAVE_ONE_OUT: (COLUMNS, table_rows),
    TIME_SPLIT: (SPLIT_COLUMNS, split_rows),
    RATINGS: (RATING_COLUMNS, rating_rows),
}


def fit_and_test(
    settings: Settings,
    models: list[str],
    *,
    protocol: str,
    data: str | None,
    relevant: float,
    param: Sequence[str],
    seeds: int,
    device: str,
    threads: int | None,
    out: Path,
    resume: bool,
    content: ContentConfig,
) -> None:
    """Train batch models by a protocol: choose epochs on events of training, refit on all of training, test once.

    data: a data set's name; None for ncf-ml-1m (He et al. 2017), which is for leave-one-out alone. protocol: one of
    `PROTOCOLS`; relevant: the rating from which on it counts in a split by time. Raises `SettingsError` for an unknown model, parameter or
    data set, and `DataMissingError` without torch or the data.
    """
    _check(models)
    from batch_models import distributed

    with distributed.group() as rank:
        _fit_and_test(
            settings,
            models,
            first=rank == 0,
            protocol=protocol,
            data=data,
            relevant=relevant,
            param=param,
            seeds=seeds,
            device=device,
            threads=threads,
            out=out,
            resume=resume,
            content=content,
        )


def _fit_and_test(
    settings: Settings,
    models: list[str],
    *,
    first: bool,
    protocol: str,
    data: str | None,
    relevant: float,
    param: Sequence[str],
    seeds: int,
    device: str,
    threads: int | None,
    out: Path,
    resume: bool,
    content: ContentConfig,
) -> None:
    """The same. first: of several processes, the one that says and writes what comes of it."""
    if data is None and protocol != LEAVE_ONE_OUT:
        raise SettingsError(
            "data is not set, expected a data set to split by time, such as --data ml-latest-small"
        )
    if out.exists() and not out.is_dir():
        raise SettingsError(f"out is {str(out)!r}, expected a folder")
    data_dir = Path(settings.data_dir) if settings.data_dir else None
    console = Console(soft_wrap=True, quiet=not first)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    progress_columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *progress_columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task("reading", total=None)

        def told(model: str, phase: str, stage: str, epoch: Epoch) -> None:
            measure, sign = ("RMSE", -1.0) if protocol == RATINGS else ("NDCG@10", 1.0)
            figure = "" if epoch.validation is None else f", {measure} {sign * epoch.validation:.4f}"
            said = f"{model}: {phase} {stage}, epoch {epoch.number}, {epoch.seconds:.1f} s{figure}"
            if console.is_terminal:
                shown.update(task, description=said)
            else:
                console.print(said, markup=False, highlight=False)

        def done(result: dict[str, Any]) -> None:
            """What is done is not lost with what fails."""
            if not first:
                return
            columns, rows = PROTOCOLS[protocol]
            write_result(out, result, columns, rows(result))

        kept = Kept(out, resume)
        of_seeds = range(settings.seed, settings.seed + seeds)
        if data is None:
            folder = find_leave_one_out(data_dir)
            console.print(f"REAL DATA: {folder}", markup=False, highlight=False, style="bold")
            questions, known = read_leave_one_out(folder), item_metadata(folder, data_dir)
        else:
            columns, known, scale, sentence = _read(settings, data)
            console.print(sentence, markup=False, highlight=False, style="bold")
            if protocol == LEAVE_ONE_OUT:
                questions = leave_out_last(columns)
        if protocol == RATINGS:
            result = train_ratings(models, param, columns, scale, of_seeds, device, threads, told, done, kept)
        elif protocol == TIME_SPLIT:
            result = train_time_split(
                models, param, columns, known, content, relevant, of_seeds, device, threads, told, done, kept
            )
        else:
            result = train_leave_one_out(
                models, param, questions, known, content, of_seeds, device, threads, told, done, kept
            )
    if protocol == TIME_SPLIT:
        _print_split(console, result)
    elif protocol == RATINGS:
        _print_ratings(console, result)
    else:
        console.print(_table(result))
        for line in _explained(result, of_authors=data is None):
            console.print(line, markup=False, highlight=False)
    console.print(f"result {out / RESULT_FILE}, table {out / TABLE_FILE}", markup=False, highlight=False)


def _read(
    settings: Settings, data: str
) -> tuple[RatingColumns, list[ItemMetadata], tuple[float, float], str]:
    """Ratings of a data set in replay order, what is known of its items, its scale, and what it is."""
    chosen = msgspec.structs.replace(settings, dataset=data)
    source = find_source(chosen)
    stream = open_stream(chosen, source.folder)
    block = stream.block(0, stream.total_events)
    return block, list(stream.items()), rating_scale(chosen), source.description


def _print_split(console: Console, result: dict[str, Any]) -> None:
    title = (
        f"Split by time, all items: {result['users']:,} users, {result['relevant_pairs']:,} relevant pairs, "
        f"{result['train_events']:,} training events, {result['device']}"
    )
    by_user = band_rows(result, "by_user_band", "ndcg@10")
    by_item = band_rows(result, "by_item_band", "found@10")
    for of, header, rows in (
        (title, SPLIT_COLUMNS, split_rows(result)),
        ("NDCG@10 by how many events a user has in training", by_user[0], by_user[1:]),
        (
            "Relevant pairs found in the first 10, by how many events the item has in training",
            by_item[0],
            by_item[1:],
        ),
    ):
        table = Table(title=of, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(header):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(
        f"Relevant: rated {result['relevant_rating']:g} or better after the cut. {result['users_without_training']:,} of the "
        "users have no event before it. Equal scores count against the model.",
        markup=False,
        highlight=False,
    )


def _print_ratings(console: Console, result: dict[str, Any]) -> None:
    title = f"Ratings by time: {result['test_events']:,} after {result['train_events']:,} of training, {result['device']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(RATING_COLUMNS):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rating_rows(result):
        table.add_row(*row)
    console.print(table)
    console.print(
        "Predictions are clipped to the scale. Both known: user and item have a rating in training. Peers learn the same "
        "training, once and in order, and nothing afterwards.",
        markup=False,
        highlight=False,
    )


def _check(models: list[str]) -> None:
    for name in models:
        if name not in BATCH_MODELS:
            raise SettingsError(f"model is {name!r}, expected one of {', '.join(BATCH_MODELS)}")
    if len(set(models)) < len(models):
        raise SettingsError(f"models are {', '.join(models)}, expected each once")
    if importlib.util.find_spec("torch") is None:
        raise DataMissingError("training needs torch: pip install 'engram-stream[batch]'")


def _table(result: dict[str, Any]) -> Table:
    title = f"Leave one out: {result['users']:,} users, {result['train_events']:,} training events, {result['device']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(COLUMNS):
        # "HR@10 of 100": two lines.
        table.add_column(column.replace(" ", "\n", 1), justify="right" if number else "left", no_wrap=True)
    for row in table_rows(result):
        table.add_row(*row)
    return table


def _explained(result: dict[str, Any], *, of_authors: bool) -> list[str]:
    seeds = result["seeds"]
    several = (
        f"Means of {len(seeds)} seeds, with the half-width of the 95 % interval (Student's t). "
        if len(seeds) > 1
        else f"One seed, {seeds[0]}. "
    )
    return [
        "Epochs are chosen by NDCG@10 on each user's last item of training, against 99 negatives drawn with the seed; the "
        "model is then fitted anew to all of training and tested once.",
        f"The test item against 99 negatives{' of the authors' if of_authors else ''} ({result['negatives_equal_to_target']} of "
        f"{result['negatives']:,} are the item itself, and count once) and against all {result['items']:,} items that "
        "the user has not had; equal scores count against the model.",
        f"{several}Digest of the data {result['data_digest'][:16]}, engram {result['versions']['engram-stream']}, "
        f"{result['threads']} threads.",
    ]
