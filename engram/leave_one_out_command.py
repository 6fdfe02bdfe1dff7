"""`engram evaluate leave-one-out`: the protocol of He et al. (2017), sampled figures and those among all items."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from engram.figures_table import rate, ratio, size
from engram.leave_one_out import check_models, item_facts, leave_one_out
from engram.options import settings_command
from engram.parts import lane_config
from engram.settings import Settings
from eventlog.errors import SettingsError
from producers.leave_one_out import find_leave_one_out, hold_out_last, read_leave_one_out

FILE: Final = "leave_one_out.json"
_WIDTH: Final = 120


class Question(enum.StrEnum):
    """Which item is left out: `test`, the authors' own; `validation`, each user's last of training."""

    TEST = "test"
    VALIDATION = "validation"


On = Annotated[
    Question,
    typer.Option(
        "--on",
        help="Which item is left out: the authors' test item, or (to choose settings by) each user's last item of "
        "training, against 99 negatives drawn with --seed.",
    ),
]
Out = Annotated[
    Path | None, typer.Option(help=f"Folder to write {FILE} into.", show_default="none is written")
]


@settings_command("data_dir", "models", "params", "clock", "seed")
def leave_one_out_command(settings: Settings, on: On = Question.TEST, out: Out = None) -> None:
    """Leave one out (He et al. 2017, MovieLens 1M): learn once, then find each user's last item among 99 others.

    The data folder holds ncf-ml-1m. A question is asked at the event time of the user's last training event, after
    all of training has been learned. Choose settings with --on validation.
    """
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    check_models(settings.models)
    lane_config(settings).build()
    data_dir = Path(settings.data_dir) if settings.data_dir else None
    folder = find_leave_one_out(data_dir)
    if out is not None and out.exists() and not out.is_dir():
        raise SettingsError(f"out is {str(out)!r}, expected a folder")
    console.print(f"REAL DATA: {folder}", markup=False, highlight=False, style="bold")
    data = read_leave_one_out(folder)
    if on is Question.VALIDATION:
        data = hold_out_last(data, settings.seed)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done)

        result = {"on": str(on)} | leave_one_out(settings, data, item_facts(folder, data_dir), progress)
    console.print(_table(result))
    for line in _explained(result):
        console.print(line, markup=False, highlight=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        part = out / f"{FILE}.part"
        part.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")
        part.replace(out / FILE)
        console.print(f"report {out / FILE}", markup=False, highlight=False)


def _table(result: dict[str, Any]) -> Table:
    title = f"Leave one out ({result['on']}): {result['users']:,} users, {result['train_events']:,} training events"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", style="bold", no_wrap=True)
    for column in (
        "HR@10\nof 100", "NDCG@10\nof 100", "HR@10\nall items", "NDCG@10\nall items", "ev/s", "learn s", "ask s", "state",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    models = result["models"]
    for name in sorted(models, key=lambda name: (-models[name]["sampled"]["hr@10"], name)):
        model = models[name]
        table.add_row(
            name,
            *(
                ratio(model[of][measure])
                for of in ("sampled", "all_items")
                for measure in ("hr@10", "ndcg@10")
            ),
            rate(model["events_per_second"]),
            f"{model['learn_seconds']:.1f}",
            f"{model['ask_seconds']:.1f}",
            size(model["state_bytes"]),
        )
    return table


def _explained(result: dict[str, Any]) -> list[str]:
    drawn = "the authors'" if result["on"] == Question.TEST else f"drawn with seed {result['seed']}"
    return [
        f"The item left out against 99 negatives ({drawn}; {result['negatives_equal_to_target']} of "
        f"{result['negatives']:,} are the item itself, and count once) and against all {result['items']:,} items that "
        "the user has not had; equal scores count against the model.",
        "One pass over training in the order of event time. Questions are asked after all of it, at the event time of the "
        "user's own last training event.",
        f"Digest of the data {result['data_digest'][:16]}, seed {result['seed']}, engram "
        f"{result['versions']['engram-stream']}.",
    ]
