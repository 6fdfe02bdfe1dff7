"""One frozen settings object a process: defaults < TOML file < `ENGRAM_*` environment < flags.

The TOML file is flat, `batch_size = 4096`; it is the one given, or `engram.toml` in the working folder. The
environment variable of a setting is its name in capitals: `ENGRAM_BATCH_SIZE=4096`; lists are separated by commas.
Models' parameters are tables, `[model.isgd]` with `rate = 0.05`, or the list `params = ["isgd.rate=0.05"]`; each
parameter is found by itself in file, environment and flags. An unknown name is an error, for a mistyped setting that is
ignored costs a run. Passwords may stand in files: see `engram.environment`.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from engram import model_parameters
from engram.environment import ENVIRONMENT_PREFIX, MASK, SECRET_FILE, SECRETS, variable_name, with_secrets
from eventlog.errors import SettingsError
from online_models.registry import DEFAULT_MODELS

DEFAULT_FILE = "engram.toml"
# Read elsewhere, for they concern the process and not the work: no settings of a run.
OTHER_VARIABLES = frozenset(
    {
        "ENGRAM_API_KEY",
        "ENGRAM_API_URL",
        "ENGRAM_CACHE_DIR",
        "ENGRAM_DEBUG",
        "ENGRAM_FAILPOINT",
        "ENGRAM_FAULTS_OUT",
        "ENGRAM_TEST_KAFKA",
    }
)

Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
Address = Annotated[str, Meta(pattern=r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$")]
Prefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?$")]
Delimiter = Annotated[str, Meta(pattern=r"^(tab|[^\r\n\"])$")]


# What the patterns above mean, in words.
PATTERNS = {
    "kafka": "HOST:PORT, several separated by commas",
    "topic_prefix": "letters, digits, '.', '_', '-'",
    "delimiter": "one character, or tab",
    "from_time": "a time such as 2000-01-31 or 2000-01-31T12:00:00Z",
    "to_time": "a time such as 2000-01-31 or 2000-01-31T12:00:00Z",
}


def _is(description: str) -> Meta:
    return Meta(description=description)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with its range; the description is also the help text of its flag."""

    # The log
    log: Annotated[Literal["embedded", "kafka"], _is("which log: embedded (SQLite) or kafka")] = "embedded"
    log_path: Annotated[str, _is("file of the embedded log")] = "engram.sqlite"
    kafka: Annotated[Address | None, _is("bootstrap address of Kafka, HOST:PORT")] = None
    topic_prefix: Annotated[Prefix, _is("prefix of the topic names: letters, digits, '.', '_', '-'")] = (
        "engram"
    )
    output_prefix: Annotated[
        Prefix | None,
        _is(
            "prefix of the topics that a learner writes; topic_prefix without one. For one that learns the log anew"
        ),
    ] = None
    partitions: Annotated[int, Meta(ge=1, le=1024, description="partitions of the ratings topic")] = 1
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], _is("how to speak to the brokers")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[str | None, _is("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = None
    sasl_plain_username: Annotated[str | None, _is("user name for SASL")] = None
    sasl_plain_password: Annotated[str | None, _is("password for SASL")] = None
    ssl_cafile: Annotated[str | None, _is("file of the authorities of the brokers' certificates")] = None
    ssl_certfile: Annotated[str | None, _is("file of the client's certificate")] = None
    ssl_keyfile: Annotated[str | None, _is("file of the client's private key")] = None
    ssl_password: Annotated[str | None, _is("password of the client's private key")] = None
    ssl_check_hostname: Annotated[bool, _is("check the brokers' names against their certificates")] = True

    # What is replayed
    dataset: Annotated[
        str | None, _is("data set to replay (`engram data list`), or a .csv, .tsv or .parquet file")
    ] = None
    data_dir: Annotated[str | None, _is("folder that holds the data sets")] = None
    columns: Annotated[
        str | None, _is("columns of a file of ratings: user=NAME,item=NAME,rating=NAME,time=NAME")
    ] = None
    time_unit: Annotated[
        Literal["s", "ms", "iso"] | None, _is("unit of a file's times; s when none is given")
    ] = None
    delimiter: Annotated[
        Delimiter | None,
        _is("what separates a file's fields: one character, or tab; by its name when none is given"),
    ] = None
    min_rating: Annotated[float | None, _is("leave out ratings below this, before the log")] = None
    tie_order: Annotated[
        Literal["hash", "file"], _is("order of equal event times: by hash, or as in the file")
    ] = "hash"
    limit: Annotated[Count | None, _is("stop after this many events")] = None
    num_users: Annotated[Count | None, _is("replay so many users only, drawn with the seed")] = None
    reviews_per_user: Annotated[
        Count | None, _is("replay the first N ratings of each user only, and no user with fewer")
    ] = None
    top_percentile: Annotated[
        float | None,
        Meta(gt=0, le=100, description="replay the most rated items only, so many per cent of them"),
    ] = None
    speed: Annotated[Positive | None, _is("replay at so many times real time")] = None
    rate: Annotated[Positive | None, _is("replay at so many events a second")] = None
    from_time: Annotated[Time | None, _is("leave out events before this time (ISO 8601, UTC)")] = None
    to_time: Annotated[Time | None, _is("leave out events at or after this time (ISO 8601, UTC)")] = None
    pack: Annotated[int, Meta(ge=1, le=4096, description="events packed in a message on replay")] = 256
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1, description="seed of everything that is drawn")] = 0

    # The learner
    models: Annotated[
        tuple[str, ...], _is("model to learn, repeatable; a few that rank when none is named")
    ] = ()
    params: Annotated[tuple[str, ...], _is("parameter of a model, such as isgd.rate=0.05, repeatable")] = ()
    ties: Annotated[
        Literal["against", "for"], _is("equal scores count against the model, or for it (as in some papers)")
    ] = "against"
    clock: Annotated[Literal["event_count", "event_time"], _is("the clock that memories decay on")] = (
        "event_count"
    )
    merge: Annotated[
        bool, _is("merge all partitions by event time (a replay), or learn each as it arrives (live)")
    ] = True
    group: Annotated[bool, _is("share the partitions with others in a Kafka consumer group")] = False
    share: Annotated[bool, _is("let lanes teach each other what they learn of items")] = False
    share_every_events: Annotated[Count, _is("events of a lane between exchanges with the others")] = 4096
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000, description="events a poll")] = 4096
    max_users: Annotated[
        int, Meta(ge=16, description="users that are kept; the least recently active are evicted")
    ] = 1_000_000
    max_items: Annotated[
        int, Meta(ge=16, description="items that are kept; the least recently active are evicted")
    ] = 250_000
    top_every: Annotated[
        int, Meta(ge=0, description="events between noted top lists, for coverage and diversity; 0: none")
    ] = 256
    drift: Annotated[
        Literal["adwin", "page_hinkley", "none"], _is("what looks for drift, in blocks of 256 events")
    ] = "adwin"
    registry: Annotated[str, _is("folder, or fsspec address, of the versions of batch models")] = "registry"
    batch_model: Annotated[
        str, Meta(min_length=1, description="batch model whose versions the model batch adopts")
    ] = "item_factors"
    retrain_every: Annotated[
        int,
        Meta(
            ge=0, description="events between versions of the batch model, trained and adopted there; 0: none"
        ),
    ] = 0
    checkpoint_dir: Annotated[str, _is("folder of the checkpoints")] = "checkpoints"
    checkpoint_every_events: Annotated[Count, _is("events between checkpoints")] = 100_000
    checkpoint_every_s: Annotated[Positive, _is("seconds between checkpoints")] = 10.0
    rating_min: Annotated[
        float | None, _is("least rating that is accepted; else that of the data set, or 0")
    ] = None
    rating_max: Annotated[
        float | None, _is("greatest rating that is accepted; else that of the data set, or 10")
    ] = None
    max_future_s: Annotated[
        float, Meta(ge=0, description="seconds that an event time may lie ahead of the log's clock")
    ] = 86_400.0
    max_message_bytes: Annotated[int, Meta(ge=1024, description="larger messages are dead letters")] = 1 << 20

    # Every process
    metrics_port: Annotated[Port | None, _is("port of the Prometheus metrics (0: any free one)")] = None
    metrics_address: Annotated[str, _is("address that the metrics listen on; 0.0.0.0 in a container")] = (
        "127.0.0.1"
    )
    metrics_targets: Annotated[
        str | None,
        _is("folder in which each process says where it is scraped, for Prometheus's file_sd_configs"),
    ] = None
    metrics_linger_s: Annotated[
        float,
        Meta(ge=0, le=600, description="seconds that a process which has finished waits for a last scrape"),
    ] = 0.0
    log_format: Annotated[
        Literal["auto", "text", "json"],
        _is("what is said on standard error: text, json, or auto (text on a terminal)"),
    ] = "auto"


FIELDS: dict[str, msgspec.structs.FieldInfo] = {
    field.name: field for field in msgspec.structs.fields(Settings)
}


def load(
    flags: Mapping[str, object],
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    unnamed_models: Sequence[str] = DEFAULT_MODELS,
) -> Settings:
    """Put a process's settings together; `flags` that are None were not given.

    unnamed_models: those that may have parameters when no model is named.

    Raises `SettingsError` naming the setting, its value, where it came from, and what was expected.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}

    def take(name: str, value: object, origin: str, *, lax: bool = False) -> None:
        _check_name(name, origin)
        converted = _convert(name, value, origin, lax=lax)
        if name == "params":
            converted = model_parameters.join(values.get(name, ()), converted, origin)
        values[name] = converted

    origin = f"file {config or DEFAULT_FILE}"
    for name, value in _read_file(config).items():
        if name == "model" and isinstance(value, Mapping):
            take("params", model_parameters.texts_of_tables(value, origin), origin)
        else:
            take(name, value, origin)
    for variable, text in with_secrets(environment).items():
        if text and variable.startswith(ENVIRONMENT_PREFIX) and variable not in OTHER_VARIABLES:
            name = variable[len(ENVIRONMENT_PREFIX) :].lower()
            parts = [part.strip() for part in text.split(",") if part.strip()]
            several = name in FIELDS and is_repeatable(name)
            take(name, parts if several else text, f"environment variable {variable}", lax=True)
    for name, value in flags.items():
        if value is not None:
            take(name, value, f"flag {flag_name(name)}", lax=True)
    settings = Settings(**values)
    # A file or an environment may serve several commands; a flag is of this one.
    model_parameters.check_used(
        flags.get("params") or (), settings.models or unnamed_models, f"flag {flag_name('params')}"
    )
    if settings.rating_min is not None and settings.rating_max is not None:
        check_scale(settings.rating_min, settings.rating_max)
    if settings.speed is not None and settings.rate is not None:
        raise SettingsError(
            f"rate is {settings.rate:g} and speed is {settings.speed:g}, expected one of them"
        )
    return settings


def check_scale(least: float, greatest: float) -> None:
    """Raise `SettingsError` unless the least rating is below the greatest."""
    if least >= greatest:
        raise SettingsError(f"rating_max is {greatest:g}, expected more than rating_min, {least:g}")


def description(name: str) -> str:
    """What the setting `name` means, in one line."""
    # Nested annotations are flattened: the description is the outermost.
    return str(FIELDS[name].type.__metadata__[-1].description)


def load_saved(path: Path) -> Settings:
    """Read what `to_toml` wrote, with secrets from the environment and nothing else from there.

    Raises `SettingsError`.
    """
    variables = [variable_name(name) + end for name in SECRETS for end in ("", SECRET_FILE)]
    return load({}, path, {name: os.environ[name] for name in variables if name in os.environ})


def kind_of(name: str) -> Any:
    """The type of the setting `name` where it is given: int, float, bool, str, a tuple or a Literal."""
    kind: Any = FIELDS[name].type
    while get_origin(kind) in {Annotated, Union, UnionType}:
        # Annotated[kind, Meta] and kind | None both have the kind first.
        kind = get_args(kind)[0]
    return kind


def is_repeatable(name: str) -> bool:
    """Whether the setting `name` is a list."""
    return get_origin(kind_of(name)) is tuple


def choices_of(name: str) -> tuple[str, ...]:
    """The values that the setting `name` can take, () where they are not a few words."""
    kind = kind_of(name)
    return get_args(kind) if get_origin(kind) is Literal else ()


def describe(settings: Settings, *, changed_only: bool = False) -> str:
    """Settings as lines `name = value`, secrets masked."""
    return "\n".join(
        f"{name} = {json.dumps(MASK if name in SECRETS and value else value)}"
        for name, value in msgspec.structs.asdict(settings).items()
        if not changed_only or value != FIELDS[name].default
    )


def to_toml(settings: Settings) -> str:
    """Settings as a TOML file for a child process, without secrets (see `child_environment`)."""
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
        for name, value in msgspec.structs.asdict(settings).items()
        if value is not None and name not in SECRETS
    )


def child_environment(settings: Settings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child that reads `to_toml`: no setting but the secrets, which no file holds."""
    environment = os.environ if environment is None else environment
    names = {variable_name(name) for name in FIELDS} | {variable_name(name) + SECRET_FILE for name in SECRETS}
    secrets = {variable_name(name): getattr(settings, name) for name in SECRETS if getattr(settings, name)}
    return {name: value for name, value in environment.items() if name not in names} | secrets


def kafka_security(settings: Settings) -> dict[str, Any]:
    """The security settings that differ from their defaults, as a Kafka client takes them."""
    names = [name for name in FIELDS if name.startswith(("security_", "sasl_", "ssl_"))]
    return {
        name: getattr(settings, name) for name in names if getattr(settings, name) != FIELDS[name].default
    }


def flag_name(name: str) -> str:
    """The flag of a setting; a few are shorter than the setting's name."""
    short = {
        "kafka": "bootstrap",
        "models": "model",
        "params": "param",
        "from_time": "from",
        "to_time": "to",
        "checkpoint_every_events": "checkpoint-every",
    }
    return "--" + short.get(name, name).replace("_", "-")


def _read_file(config: Path | None) -> dict[str, Any]:
    path = config or Path(DEFAULT_FILE)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise SettingsError(f"config is {str(config)!r}, expected a TOML file; there is none") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"config is {str(path)!r}, expected a TOML file: {error}") from None


def _check_name(name: str, origin: str) -> None:
    if name not in FIELDS:
        close = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else f", expected one of {', '.join(FIELDS)}"
        raise SettingsError(f"unknown setting {name} ({origin}){hint}")


def _convert(name: str, value: object, origin: str, *, lax: bool) -> Any:
    """Check one value against its field's type and range."""
    shown = MASK if name in SECRETS else repr(value)
    try:
        if isinstance(value, Path):
            value = str(value)
        converted = msgspec.convert(value, FIELDS[name].type, strict=not lax)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name} is {shown} ({origin}), {_expected(name, str(error))}") from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise SettingsError(f"{name} is {shown} ({origin}), expected a finite number")
    return converted


def _expected(name: str, message: str) -> str:
    """What a field takes, in words: msgspec's own message does not list choices and shows patterns raw."""
    if choices := choices_of(name):
        return f"expected one of {', '.join(choices)}"
    if "matching regex" in message:
        return f"expected {PATTERNS[name]}"
    return message[:1].lower() + message[1:].replace("`", "")
