"""`engram train --protocol leave-one-out`: batch models (extra `batch`), fitted and tested by a protocol."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from batch_models.names import BATCH_MODELS
from engram.leave_one_out import item_facts
from engram.settings import Settings
from engram.train_leave_one_out import (
    COLUMNS,
    RESULT_FILE,
    TABLE_FILE,
    table_rows,
    train_leave_one_out,
    write_result,
)
from eventlog.errors import DataMissingError, SettingsError
from producers.leave_one_out import find_leave_one_out, read_leave_one_out

if TYPE_CHECKING:
    from batch_models.trainer import Epoch

_WIDTH: Final = 150


def fit_and_test(
    settings: Settings,
    models: list[str],
    *,
    param: Sequence[str],
    seeds: int,
    device: str,
    threads: int | None,
    out: Path,
) -> None:
    """Train batch models: choose epochs on each user's second to last item, refit on all of training, test once.

    The data folder holds ncf-ml-1m (He et al. 2017, MovieLens 1M). Raises `SettingsError` for an unknown model or
    parameter, and `DataMissingError` without torch or the data.
    """
    _check(models)
    data_dir = Path(settings.data_dir) if settings.data_dir else None
    folder = find_leave_one_out(data_dir)
    if out.exists() and not out.is_dir():
        raise SettingsError(f"out is {str(out)!r}, expected a folder")
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    console.print(f"REAL DATA: {folder}", markup=False, highlight=False, style="bold")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("reading", total=None)

        def told(model: str, phase: str, stage: str, epoch: Epoch) -> None:
            figure = "" if epoch.validation is None else f", NDCG@10 {epoch.validation:.4f}"
            said = f"{model}: {phase} {stage}, epoch {epoch.number}, {epoch.seconds:.1f} s{figure}"
            if console.is_terminal:
                shown.update(task, description=said)
            else:
                console.print(said, markup=False, highlight=False)

        result = train_leave_one_out(
            models,
            param,
            read_leave_one_out(folder),
            item_facts(folder, data_dir),
            range(settings.seed, settings.seed + seeds),
            device,
            threads,
            told,
            # What is done is not lost with what fails.
            lambda so_far: write_result(out, so_far),
        )
    console.print(_table(result))
    for line in _explained(result):
        console.print(line, markup=False, highlight=False)
    console.print(f"result {out / RESULT_FILE}, table {out / TABLE_FILE}", markup=False, highlight=False)


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


def _explained(result: dict[str, Any]) -> list[str]:
    seeds = result["seeds"]
    several = (
        f"Means of {len(seeds)} seeds, with the half-width of the 95 % interval (Student's t). "
        if len(seeds) > 1
        else f"One seed, {seeds[0]}. "
    )
    return [
        "Epochs are chosen by NDCG@10 on each user's last item of training, against 99 negatives drawn with the seed; the "
        "model is then fitted anew to all of training and tested once.",
        f"The test item against the authors' 99 negatives ({result['negatives_equal_to_target']} of "
        f"{result['negatives']:,} are the item itself, and count once) and against all {result['items']:,} items that "
        "the user has not had; equal scores count against the model.",
        f"{several}Digest of the data {result['data_digest'][:16]}, engram {result['versions']['engram-stream']}, "
        f"{result['threads']} threads.",
    ]
