"""Where a data set comes from: the folder given, the cache of earlier downloads, the publisher, in this order.

What a folder holds is counted and compared with what the publisher says of the data set; whatever prints figures
prints `Found.sentence` first.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventlog.errors import DataError, DataMissingError
from producers.columns import RatingColumns
from producers.datasets import DATASETS, PUBLISHER, Dataset
from producers.download import Progress, missing_files
from producers.download import download as download_dataset


class Origin(enum.StrEnum):
    """Where a data set was found."""

    FOLDER = "folder"
    CACHE = "cache"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Found:
    """A data set, and the folder that has its files.

    differences: how its ratings differ from the publisher's, see `differences`. sentence: all of that in capital
    letters (paths as they are), for terminal and report.
    """

    dataset: Dataset
    folder: Path
    origin: Origin
    differences: tuple[str, ...]
    sentence: str


def default_cache_dir() -> Path:
    """Folder of downloaded data sets: `ENGRAM_CACHE_DIR`, else engram/datasets in the user's cache (XDG)."""
    if own := os.environ.get("ENGRAM_CACHE_DIR"):
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG specification a relative path is to be ignored.
    base = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache"
    return base / "engram" / "datasets"


def dataset_named(name: str) -> Dataset:
    """Return the data set `name`. Raises `DataError` that lists those known."""
    if name not in DATASETS:
        raise DataError(f"data set is {name!r}, expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def locate_dataset(
    dataset: Dataset, data_dir: Path | None, cache_dir: Path | None = None
) -> tuple[Path, Origin] | None:
    """Return where on this machine `dataset` is, or None; nothing is read of it, or downloaded."""
    if data_dir is not None and isinstance(folder := _folder_within(dataset, data_dir), Path):
        return folder, Origin.FOLDER
    cached = (cache_dir or default_cache_dir()) / dataset.name
    return (cached, Origin.CACHE) if not missing_files(dataset, cached) else None


def find_dataset(
    name: str,
    data_dir: Path | None,
    cache_dir: Path | None = None,
    *,
    download: bool = True,
    base_url: str = PUBLISHER,
    progress: Progress | None = None,
) -> Found:
    """Find the data set `name`, and count its ratings.

    data_dir: holds the data set's folder by its name, or is it. cache_dir: `default_cache_dir()` if None.
    Raises `DataError` for an unknown name, `DataFormatError` for a malformed line in what was found,
    `DataMissingError` when no place has it; the message lists what was tried.
    """
    dataset = dataset_named(name)
    cache_dir = cache_dir or default_cache_dir()
    tried: list[str] = []
    if data_dir is not None:
        folder = _folder_within(dataset, data_dir)
        if isinstance(folder, Path):
            return _found(dataset, folder, Origin.FOLDER, f"FROM THE FOLDER {folder}")
        tried.append(f"folder {data_dir}: {folder}")
    not_there = f" (NOT FROM THE FOLDER {data_dir}: {_shout(folder)})" if data_dir is not None else ""
    cached = cache_dir / dataset.name
    problem = _problem(dataset, cached)
    if problem is None:
        return _found(dataset, cached, Origin.CACHE, f"FROM THE CACHE {cached}{not_there}")
    tried.append(f"cache {cached}: {problem}")
    if download:
        try:
            folder = download_dataset(dataset, cache_dir, base_url, progress)
        except DataError as error:
            tried.append(f"publisher: {error}")
        else:
            how = f"DOWNLOADED FROM ITS PUBLISHER INTO {folder}{not_there}"
            return _found(dataset, folder, Origin.DOWNLOAD, how)
    else:
        tried.append(f"publisher: not asked (engram data get {name})")
    listed = "".join(f"\n  {line}" for line in tried)
    raise DataMissingError(f"no place has the data set {name}; tried, in this order:{listed}")


def differences(dataset: Dataset, chunks: Iterable[RatingColumns]) -> list[str]:
    """Say how all ratings of a folder differ from the publisher's counts; nothing when they do not."""
    size = 0
    unique = [np.zeros(0, "S1"), np.zeros(0, "S1"), np.zeros(0)]
    for chunk in chunks:
        size += chunk.size
        columns = (chunk.users, chunk.items, chunk.ratings)
        unique = [np.union1d(seen, column) for seen, column in zip(unique, columns, strict=True)]
    users, items, ratings = unique
    said = []
    for found, expected, what in (
        (size, dataset.ratings, "ratings"),
        (len(users), dataset.users, "users"),
        (len(items), dataset.items, "items"),
    ):
        if expected is not None and found != expected:
            said.append(f"{found:,} of {expected:,} {what}")
    if dataset.ratings is not None:
        steps = round((dataset.rating_max - dataset.rating_min) / dataset.rating_step)
        scale = dataset.rating_min + dataset.rating_step * np.arange(steps + 1)
        if len(absent := np.setdiff1d(scale, ratings)):
            said.append(f"no ratings of {', '.join(f'{rating:g}' for rating in absent)}")
    return said


def _problem(dataset: Dataset, folder: Path) -> str | None:
    """Why `folder` is not one of `dataset`; None when it is."""
    if not folder.is_dir():
        return "there is no such folder"
    missing = missing_files(dataset, folder)
    return f"it has no {', '.join(missing)}" if missing else None


def _folder_within(dataset: Dataset, data_dir: Path) -> Path | str:
    """The folder of `dataset` in `data_dir`, which may be that folder itself; else, why there is none."""
    inside = data_dir / dataset.name
    for folder in (inside, data_dir):
        if _problem(dataset, folder) is None:
            return folder
    if inside.is_dir():
        return f"{dataset.name} in it: {_problem(dataset, inside)}"
    if data_dir.is_dir():
        return f"it holds no {dataset.name}, nor {', '.join(dataset.files)}"
    return "there is no such folder"


def _found(dataset: Dataset, folder: Path, origin: Origin, where: str) -> Found:
    differs = tuple(differences(dataset, dataset.reader.ratings(folder)))
    sentence = f"REAL DATA: {_shout(dataset.title)} {where}"
    if differs:
        sentence += f"; IT DIFFERS FROM THE PUBLISHER'S: {_shout(', '.join(differs))}"
    return Found(dataset, folder, origin, differs, sentence)


def _shout(text: object) -> str:
    return str(text).upper()
