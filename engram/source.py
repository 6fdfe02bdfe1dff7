"""Where a run's events come from, and the stream of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from engram.settings import Settings, check_scale
from engram.time_range import time_range_ms
from eventlog.errors import SettingsError
from eventlog.event_checks import Limits
from producers.datasets import DATASETS, Dataset
from producers.event_order import TieOrder
from producers.readers.mapped_file import SUFFIXES, ColumnMap, MappedFileReader, parse_columns
from producers.sources import find_dataset, locate_dataset
from producers.stream import Cut, DatasetStream, EventStream
from producers.synthetic import ITEMS, RATING_MAX, RATING_MIN, TASTE, SyntheticConfig, SyntheticStream

SYNTHETIC = "synthetic"
_SYNTHETIC_EVENTS = 100_000
# Each user lives through one flip at most, so that before one all histories are of one taste.
_SYNTHETIC_FLIP_EVERY = 25_000
_SYNTHETIC_USERS = 400
_SYNTHETIC_USER_EVENTS = 50
_SYNTHETIC_ITEMS = 800


class Source(NamedTuple):
    """Where a data set is: `folder` is None for the synthetic stream; `description` says it in capital letters."""

    dataset: str
    description: str
    folder: Path | None


def find_source(settings: Settings, *, download: bool = True) -> Source:
    """Find the data set that the settings name: in the data folder, in the cache, at its publisher.

    Raises `SettingsError` for an unknown name, `DataFormatError` for a malformed line in what was found, and
    `DataMissingError`, which lists what was tried.
    """
    if path := ratings_file(settings):
        events = sum(chunk.size for chunk in _file_dataset(settings, path).reader.ratings(path.parent))
        return Source(path.name, f"RATINGS OF THE FILE {path}: {events:,}", path.parent)
    name = _checked_name(settings)
    if name == SYNTHETIC:
        return Source(SYNTHETIC, "SYNTHETIC DATA: A GENERATED STREAM, NOT REAL RATINGS", None)
    found = find_dataset(name, _data_dir(settings), download=download)
    return Source(name, found.sentence, found.folder)


def find_folder(settings: Settings) -> Path | None:
    """Find the same folder as `find_source`, without reading what is there already."""
    if path := ratings_file(settings):
        return path.parent
    name = _checked_name(settings)
    if name == SYNTHETIC:
        return None
    located = locate_dataset(DATASETS[name], _data_dir(settings))
    return located[0] if located else find_source(settings).folder


def ratings_file(settings: Settings) -> Path | None:
    """Return the file of ratings that `dataset` is the path of, None for the name of a data set.

    Raises `SettingsError` for settings that only a file has, and for a file that is not there.
    """
    path = Path(settings.dataset or "")
    if path.suffix not in SUFFIXES:
        for name in ("columns", "time_unit", "delimiter"):
            if getattr(settings, name) is not None:
                expected = f"none unless the data set is a {', '.join(SUFFIXES)} file"
                raise SettingsError(f"{name} is {getattr(settings, name)!r}, expected {expected}")
        return None
    if not path.is_file():
        raise SettingsError(f"dataset is {settings.dataset!r}, expected a file; there is none")
    return path


def _file_dataset(settings: Settings, path: Path) -> Dataset:
    """Make a data set of one file, as the settings map its columns."""
    if settings.columns is None:
        raise SettingsError(
            f"columns is absent, expected those of {path}: user=NAME,item=NAME,rating=NAME,time=NAME"
        )
    names = parse_columns(settings.columns)
    unit = settings.time_unit or "s"
    delimiter = settings.delimiter or ("tab" if path.suffix == ".tsv" else ",")
    least, greatest = rating_scale(settings)
    columns = ColumnMap(
        **names,
        time_unit=unit,
        delimiter="\t" if delimiter == "tab" else delimiter,
        rating_min=least,
        rating_max=greatest,
    )
    return Dataset(
        # The source's numbers depend on all of these, and its id is of a bounded length.
        name=f"{path.name[:100]}:{hashlib.sha256(repr(columns).encode()).hexdigest()[:8]}",
        title=path.name,
        archive=None,
        files=(path.name,),
        ratings=None,
        users=None,
        items=None,
        rating_min=least,
        rating_max=greatest,
        rating_step=0.0,
        reader=MappedFileReader(path.name, columns),
    )


def rating_scale(settings: Settings) -> tuple[float, float]:
    """Least and greatest rating: as set, else of the data set that is named, else what `Limits` accepts.

    Raises `SettingsError` where the least is not below the greatest.
    """
    if settings.dataset == SYNTHETIC:
        least, greatest = RATING_MIN, RATING_MAX
    else:
        known = DATASETS.get(settings.dataset or "", Limits())
        least, greatest = known.rating_min, known.rating_max
    least = least if settings.rating_min is None else settings.rating_min
    greatest = greatest if settings.rating_max is None else settings.rating_max
    check_scale(least, greatest)
    return least, greatest


def rating_limits(settings: Settings) -> Limits:
    """What a message may hold."""
    return Limits(*rating_scale(settings), settings.max_future_s, settings.max_message_bytes)


def _checked_name(settings: Settings) -> str:
    if settings.dataset not in {*DATASETS, SYNTHETIC}:
        known = ", ".join([*DATASETS, SYNTHETIC])
        raise SettingsError(f"dataset is {settings.dataset!r}, expected one of {known}")
    return settings.dataset


def _data_dir(settings: Settings) -> Path | None:
    return Path(settings.data_dir) if settings.data_dir else None


def open_stream(settings: Settings, folder: Path | None) -> EventStream:
    """Open the stream of the data set in `folder`, which is read whole, or the synthetic one for None.

    Raises `DataFormatError` for a malformed line, `SettingsError` for a setting that the stream cannot follow.
    """
    from_ms, to_ms = time_range_ms(settings)
    path = ratings_file(settings)
    if path is not None:
        dataset = _file_dataset(settings, path)
        least = min(0.0, dataset.rating_min) if settings.min_rating is None else settings.min_rating
        cut = _cut(settings, least, from_ms, to_ms)
        return DatasetStream(dataset, path.parent, cut)
    name = _checked_name(settings)
    if folder is None:
        for field in (
            "min_rating",
            "from_time",
            "to_time",
            "num_users",
            "reviews_per_user",
            "top_percentile",
        ):
            if getattr(settings, field) is not None:
                raise SettingsError(
                    f"{field} is {getattr(settings, field)}, expected none for the synthetic stream"
                )
        return SyntheticStream(
            SyntheticConfig(
                events=settings.limit or _SYNTHETIC_EVENTS,
                users=_SYNTHETIC_USERS,
                user_events=_SYNTHETIC_USER_EVENTS,
                items=_SYNTHETIC_ITEMS,
                flip_every=_SYNTHETIC_FLIP_EVERY,
                flips=(ITEMS, TASTE),
                seed=settings.seed,
            )
        )
    cut = _cut(settings, settings.min_rating or 0.0, from_ms, to_ms)
    return DatasetStream(DATASETS[name], folder, cut)


def _cut(settings: Settings, least: float, from_ms: int | None, to_ms: int | None) -> Cut:
    return Cut(
        min_rating=least,
        tie_order=TieOrder(settings.tie_order),
        from_ms=from_ms,
        to_ms=to_ms,
        limit=settings.limit,
        top_percentile=settings.top_percentile,
        reviews_per_user=settings.reviews_per_user,
        num_users=settings.num_users,
        seed=settings.seed,
    )
