"""The times between which events are replayed."""

from __future__ import annotations

from datetime import UTC, datetime

from engram.settings import PATTERNS, Settings
from eventlog.errors import SettingsError


def time_range_ms(settings: Settings) -> tuple[int | None, int | None]:
    """`from_time` and `to_time` in milliseconds since 1970 (UTC); None where there is no bound.

    Raises `SettingsError` for a date that does not exist, or a range that ends before it starts.
    """
    bounds: list[int | None] = []
    for name in ("from_time", "to_time"):
        text = getattr(settings, name)
        try:
            moment = datetime.fromisoformat(text) if text else None
        except ValueError as error:
            raise SettingsError(f"{name} is {text!r}, expected {PATTERNS[name]}: {error}") from None
        if moment is None:
            bounds.append(None)
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        bounds.append(round(moment.timestamp() * 1000))
    start, end = bounds
    if start is not None and end is not None and start >= end:
        raise SettingsError(
            f"to_time is {settings.to_time!r}, expected a time after from_time, {settings.from_time!r}"
        )
    return start, end
