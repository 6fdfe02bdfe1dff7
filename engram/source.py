"""Where a run's events come from, and the stream of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engram.settings import Settings, time_range_ms
from eventlog.errors import DataMissingError, SettingsError
from producers.datasets import DATASETS
from producers.event_order import TieOrder
from producers.stream import Cut, DatasetStream, EventStream
from producers.synthetic import SyntheticConfig, SyntheticStream

SYNTHETIC = "synthetic"
_SYNTHETIC_EVENTS = 100_000
_SYNTHETIC_FLIP_EVERY = 25_000


class Source(NamedTuple):
    """Where a data set was found: `folder` is None for the synthetic stream; `description` is a sentence."""

    dataset: str
    description: str
    folder: Path | None


def find_source(settings: Settings) -> Source:
    """Find the data set that the settings name; says in capital letters where.

    Raises `SettingsError` for an unknown name, `DataMissingError` when no place has it.
    """
    name = settings.dataset
    if name == SYNTHETIC:
        return Source(SYNTHETIC, "DATA: THE SYNTHETIC STREAM. These are not real ratings.", None)
    if name not in DATASETS:
        raise SettingsError(f"dataset is {name!r}, expected one of {', '.join([*DATASETS, SYNTHETIC])}")
    folder = Path(settings.data_dir or ".") / name
    if not folder.is_dir():
        raise DataMissingError(str(folder))
    return Source(name, f"DATA: REAL, {name} FROM THE FOLDER {folder}.", folder)


def open_stream(settings: Settings, source: Source) -> EventStream:
    """Open the stream of a source; a data set is read whole, and strictly.

    Raises `DataFormatError` for a malformed line, `SettingsError` for a setting that the source cannot follow.
    """
    from_ms, to_ms = time_range_ms(settings)
    if source.folder is None:
        for field in ("min_rating", "from_time", "to_time"):
            if getattr(settings, field) is not None:
                raise SettingsError(
                    f"{field} is {getattr(settings, field)}, expected none for the synthetic stream"
                )
        return SyntheticStream(
            SyntheticConfig(
                events=settings.limit or _SYNTHETIC_EVENTS,
                flip_every=_SYNTHETIC_FLIP_EVERY,
                seed=settings.seed,
            )
        )
    cut = Cut(settings.min_rating or 0.0, TieOrder(settings.tie_order), from_ms, to_ms, settings.limit)
    return DatasetStream(DATASETS[source.dataset], source.folder, cut)
