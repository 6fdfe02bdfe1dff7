"""A recipe's settings with some of them changed by text: `neumf.gmf.rate=0.01`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from batch_models.names import BATCH_MODELS
from batch_models.recipes import RECIPES
from eventlog.errors import SettingsError


def settings_of(
    names: Iterable[str], changes: Iterable[str], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Settings of each of the named models: the shipped defaults, or others in their place, changed.

    changes: texts MODEL.NAME=VALUE or MODEL.PART.NAME=VALUE; a tuple's values are joined by commas. Raises
    `SettingsError` for an unknown name and for a value of another type.
    """
    found = {}
    for name in names:
        if name not in (RECIPES if defaults is None else defaults):
            expected = ", ".join(BATCH_MODELS if defaults is None else defaults)
            raise SettingsError(f"model is {name!r}, expected one of {expected}")
        found[name] = RECIPES[name].settings() if defaults is None else defaults[name]
    for change in changes:
        path, equals, value = change.partition("=")
        model, *parts = path.split(".")
        if not equals or not parts:
            raise SettingsError(f"param is {change!r}, expected MODEL.NAME=VALUE")
        if model not in found:
            raise SettingsError(f"param is {change!r}, expected a parameter of {', '.join(found)}")
        found[model] = _changed(found[model], parts, value, change)
    return found


def described(settings: Any) -> Mapping[str, Any]:
    """Settings as plain values, JSON-able; infinity as text."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            plain[field.name] = described(value)
        else:
            plain[field.name] = str(value) if value == float("inf") else value
    return plain


def _changed(settings: Any, parts: list[str], value: str, change: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(settings)}
    name, *rest = parts
    if name not in fields:
        raise SettingsError(f"param is {change!r}: {name!r} is not one of {', '.join(fields) or 'none'}")
    now = getattr(settings, name)
    if dataclasses.is_dataclass(now):
        if not rest:
            names = ", ".join(field.name for field in dataclasses.fields(now))
            raise SettingsError(f"param is {change!r}, expected {name}.NAME with one of {names}")
        return dataclasses.replace(settings, **{name: _changed(now, rest, value, change)})
    if rest:
        raise SettingsError(f"param is {change!r}: {name!r} has no parts")
    kind: Any = tuple[int, ...] if isinstance(now, tuple) else int | None if now is None else type(now)
    text: Any = value.split(",") if isinstance(now, tuple) else value
    try:
        new = float(value) if kind is float else msgspec.convert(text, kind, strict=False)
        return dataclasses.replace(settings, **{name: new})
    except (ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"param is {change!r}: {error}") from None
