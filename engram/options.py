"""Flags of commands, made from the settings: each setting has one name, one range and one help text everywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from engram.settings import FIELDS, Settings, choices_of, description, flag_name, is_repeatable, kind_of, load
from online_models.registry import DEFAULT_MODELS, MODELS

POSITIONAL = "dataset"

LOG = (
    "log",
    "log_path",
    "kafka",
    "topic_prefix",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
)
SOURCE = (
    "dataset",
    "data_dir",
    "columns",
    "time_unit",
    "delimiter",
    "min_rating",
    "tie_order",
    "limit",
    "num_users",
    "reviews_per_user",
    "top_percentile",
    "speed",
    "rate",
    "from_time",
    "to_time",
    "pack",
    "partitions",
    "seed",
)
LEARNING = (
    "models",
    "params",
    "ties",
    "clock",
    "max_users",
    "max_items",
    "top_every",
    "drift",
    "batch_model",
    "retrain_every",
    "batch_size",
    "checkpoint_every_events",
    "checkpoint_every_s",
    "rating_min",
    "rating_max",
    "max_future_s",
    "max_message_bytes",
)
SHARING = ("group", "share", "share_every_events")

Command = Callable[..., None]


def settings_command(
    *names: str, unnamed_models: Sequence[str] = DEFAULT_MODELS
) -> Callable[[Command], Command]:
    """Give a command a flag for each of these settings; it gets the loaded `Settings` as its first argument.

    unnamed_models: those that the command takes when none is named.

    Passwords are in no tuple of names on purpose: a command line is seen by every user of a machine.
    """

    def decorate(command: Command) -> Command:
        parameters = [_parameter(name) for name in names] + [_CONFIG]
        for own in list(inspect.signature(command, eval_str=True).parameters.values())[1:]:
            parameters.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            # No value of a repeatable flag is [], not None.
            flags = {name: arguments.pop(name) or None for name in names}
            settings: Settings = load(flags, arguments.pop("config"), unnamed_models=unnamed_models)
            command(settings, **arguments)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del run.__wrapped__
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    """One flag: text, or several texts for a repeatable one; `settings.load` checks and converts, whatever the origin."""
    if name == POSITIONAL:
        info: Any = typer.Argument(help=_sentence(name), show_default=False)
    else:
        info = typer.Option(flag_name(name), help=_sentence(name), metavar=_metavar(name), show_default=False)
    kind = list[str] | None if is_repeatable(name) else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, info]
    )


_CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None, typer.Option(help="TOML file of settings; engram.toml here when there is one.")
    ],
)


def _sentence(name: str) -> str:
    text, default = description(name), FIELDS[name].default
    sentence = f"{text[0].upper()}{text[1:]}."
    if name == "models":
        return f"{sentence} [{', '.join(MODELS)}]"
    if default in {None, ()}:
        return sentence
    return f"{sentence} [default: {str(default).lower() if isinstance(default, bool) else default}]"


def _metavar(name: str) -> str:
    if name == "params":
        return "MODEL.NAME=VALUE"
    words = {int: "N", float: "X", bool: "true|false"}
    return "|".join(choices_of(name)) or words.get(kind_of(name), "TEXT")
