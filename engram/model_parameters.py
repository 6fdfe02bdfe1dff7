"""Models' parameters among the settings: `isgd.rate=0.05` as text, `[model.isgd]` and `rate = 0.05` in a TOML file."""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from eventlog.errors import SettingsError
from online_models.model import ModelConfig
from online_models.registry import MODELS

_WORDS = {int: "a whole number", float: "a finite number", bool: "true or false"}


def texts_of_tables(tables: Mapping[str, Any], origin: str) -> list[str]:
    """Turn `{"isgd": {"rate": 0.05}}` into `["isgd.rate=0.05"]`.

    Raises `SettingsError` for what is no table of values; names and values are checked by `join`.
    """
    texts = []
    for model, table in tables.items():
        if not isinstance(table, Mapping):
            raise SettingsError(f"model.{model} is {table!r} ({origin}), expected a table of parameters")
        for name, value in table.items():
            if not isinstance(value, bool | int | float | str):
                raise SettingsError(f"{model}.{name} is {value!r} ({origin}), expected one value")
            texts.append(f"{model}.{name}={_text(value)}")
    return texts


def join(earlier: Iterable[str], later: Iterable[str], origin: str) -> tuple[str, ...]:
    """Return both as one, sorted, each parameter once: what is said later counts.

    Raises `SettingsError` naming the parameter, its value, `origin`, and what was expected.
    """
    said = dict(text.split("=", 1) for text in earlier)
    for text in later:
        key, value = _parsed(text, origin)
        said[key] = _text(value)
    joined = tuple(f"{key}={value}" for key, value in sorted(said.items()))
    try:
        configs(joined)
    except ValueError as error:
        raise SettingsError(f"{error} ({origin})") from None
    return joined


def configs(texts: Iterable[str]) -> dict[str, ModelConfig]:
    """Return the configuration of each model that `texts`, as `join` gives them, have a parameter of.

    Raises `ValueError` for a value that is out of its range.
    """
    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, value = _parsed(text, "")
        model, name = key.split(".", 1)
        given.setdefault(model, {})[name] = value
    made = {}
    for model, values in given.items():
        try:
            made[model] = MODELS[model].config_type(**values)
        except ValueError as error:
            raise ValueError(f"{model}.{error}") from None
    return made


def check_used(texts: Any, models: Sequence[str], origin: str) -> None:
    """Raise `SettingsError` for a parameter of a model that is not among `models`: it would change nothing."""
    for text in texts:
        model = text.split(".", 1)[0].strip()
        if model not in models:
            raise SettingsError(
                f"param is {text!r} ({origin}), but {model} is not among the models, {', '.join(models)}: "
                f"expected --model {model} too"
            )


def _parsed(text: str, origin: str) -> tuple[str, Any]:
    """Take MODEL.NAME=VALUE apart: the key MODEL.NAME, and the value, of the parameter's type."""
    key, equals, value = (part.strip() for part in text.partition("="))
    model, dot, name = key.partition(".")
    if not (equals and dot and value):
        raise SettingsError(
            f"param is {text!r} ({origin}), expected MODEL.NAME=VALUE, such as isgd.rate=0.05"
        )
    _check_known(model, list(MODELS), f"param is {text!r} ({origin}): there is no model {model}")
    kinds = typing.get_type_hints(MODELS[model].config_type)
    _check_known(name, list(kinds), f"param is {text!r} ({origin}): {model} has no parameter {name}")
    kind = kinds[name]
    try:
        # Python's own numbers are as people write them; msgspec takes no ".5".
        if typing.get_origin(kind) is tuple:
            converted = _numbers(value, typing.get_args(kind))
        else:
            converted = kind(value) if kind in {int, float} else msgspec.convert(value, kind, strict=False)
        # As numbers, "nan" and "inf" are none.
        json.dumps(converted, allow_nan=False)
    except (msgspec.ValidationError, ValueError):
        expected = _WORDS.get(kind, "numbers in brackets, such as [0.5, 0.25]")
        raise SettingsError(f"{key} is {value!r} ({origin}), expected {expected}") from None
    return key, converted


def _numbers(text: str, kinds: tuple[Any, ...]) -> tuple[float, ...]:
    """Read "[0.5, 0.25]"; kinds: of the members, the last one `...` where any number of them may come.

    Raises `ValueError`.
    """
    found = tuple(float(part) for part in text.strip("()[] ").split(","))
    if kinds[-1] is not ... and len(found) != len(kinds):
        raise ValueError(f"expected {len(kinds)} numbers")
    return found


def _check_known(name: str, known: list[str], problem: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f", expected one of {', '.join(known) or '(none)'}"
    raise SettingsError(f"{problem}{hint}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
