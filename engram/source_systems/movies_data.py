"""The Movies Dataset for source system 5: ratings, and films by the right join and by the one that it used."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.source_systems.levels import Films, films_of
from online_models.catalogue import ItemFacts
from producers.columns import RatingColumns
from producers.readers.the_movies_dataset import FILMS, LINKS, TheMoviesDatasetReader

GENRE_BITS: Final = 10
_VOTE_STEPS: Final = (5.5, 6.5, 7.2)
_COUNT_STEPS: Final = tuple(float(10 ** (k / 2.5)) for k in range(1, 11))  # 2.5 to 10,000 votes
_LANGUAGES: Final = 3


class Joined(NamedTuple):
    """Films as a join has them. films: for the levels. bits: float32[films, 26]. facts: for online models."""

    films: Films
    bits: NDArray[np.float32]
    facts: tuple[ItemFacts, ...]
    found: int


class Movies(NamedTuple):
    """user, film: int64[n] rows, in order of user and time; rating: float64[n]; time_ms: int64[n].

    ids: `S<width>`[films], MovieLens' ids. right: joined by `tmdbId`; wrong: by taking MovieLens' id for TMDB's.
    """

    user: NDArray[np.int64]
    film: NDArray[np.int64]
    rating: NDArray[np.float64]
    time_ms: NDArray[np.int64]
    ids: NDArray[np.bytes_]
    right: Joined
    wrong: Joined


def read_movies(folder: Path) -> Movies:
    """Read the folder. Raises `DataFormatError` for a malformed line of the ratings."""
    columns = RatingColumns.concat(list(TheMoviesDatasetReader().ratings(folder)))
    ids, film = np.unique(columns.items, return_inverse=True)
    _, user = np.unique(columns.users, return_inverse=True)
    order = np.lexsort((film, columns.event_time_ms, user))
    with (folder / LINKS).open(newline="", encoding="utf-8") as file:
        links = {row["movieId"]: row["tmdbId"] for row in csv.DictReader(file)}
    with gzip.open(folder / FILMS, "rt", encoding="utf-8", newline="") as text:
        known = {row["id"]: row for row in csv.DictReader(text)}
    names = [item.decode() for item in ids.tolist()]
    common = [name for name, _ in Counter(g for row in known.values() for g in _genres(row)).most_common()]
    right = _join([known.get(links.get(name, "")) for name in names], names, common)
    wrong = _join([known.get(name) for name in names], names, common)
    return Movies(
        user[order], film[order], columns.ratings[order], columns.event_time_ms[order], ids, right, wrong
    )


def _genres(row: Mapping[str, str]) -> list[str]:
    return [name for name in row["genres"].split("|") if name]


def _join(rows: list[dict[str, str] | None], names: list[str], common: list[str]) -> Joined:
    n = len(rows)
    genres = np.zeros((n, len(common)))
    vote, votes, year = np.full(n, np.nan), np.zeros(n), np.full(n, np.nan)
    language = np.full(n, _LANGUAGES - 1)
    facts = []
    place = {name: at for at, name in enumerate(common)}
    for at, row in enumerate(rows):
        if row is None:
            continue
        genres[at, [place[name] for name in _genres(row)]] = 1.0
        vote[at], votes[at] = float(row["vote_average"] or 0), float(row["vote_count"] or 0)
        year[at] = float(row["year"]) if row["year"] else np.nan
        language[at] = {"en": 0, "fr": 1}.get(row["original_language"], 2)
        facts.append(
            ItemFacts(
                names[at],
                tuple(_genres(row)),
                int(row["year"]) if row["year"] else None,
                row["original_language"] or None,
            )
        )
    bits = np.concatenate(
        [
            genres[:, :GENRE_BITS],
            np.nan_to_num(vote)[:, None] >= np.array(_VOTE_STEPS),
            language[:, None] == np.arange(_LANGUAGES),
            votes[:, None] >= np.array(_COUNT_STEPS),
        ],
        axis=1,
    ).astype(np.float32)
    found = sum(row is not None for row in rows)
    return Joined(films_of(genres, vote, votes, year), bits, tuple(facts), found)
