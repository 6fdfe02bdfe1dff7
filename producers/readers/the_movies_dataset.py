"""The Movies Dataset, small: MovieLens ratings, and films of TMDB joined to them by links_small.csv.

A MovieLens `movieId` and a TMDB `id` that are equal are of unrelated films: the only way from one to the other is
`tmdbId`. Items keep their MovieLens ids; those without a link, or without a film at its end, have no metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.csv_rows import read_csv_rows
from producers.readers.item_lines import check_id, check_int, split_genres
from producers.readers.rating_lines import LineFormat, read_rating_lines

RATINGS = "ratings_small.csv"
LINKS = "links_small.csv"
FILMS = "movies_features_45k.csv.gz"
_FORMAT = LineFormat(",", "userId,movieId,rating,timestamp", half_stars=True, rating_min=0.5, rating_max=5)
_LINK_COLUMNS = ("movieId", "imdbId", "tmdbId")
_FILM_COLUMNS = (
    "id", "title", "genres", "runtime", "vote_average", "vote_count", "year", "original_language",
)  # fmt: skip


class TheMoviesDatasetReader:
    """Reads a folder with `RATINGS`, `LINKS` and `FILMS`. Votes are left out: they are of after the ratings."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings, with MovieLens ids."""
        return read_rating_lines(folder / RATINGS, _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films that a link leads to, in the order of the links."""
        films = _films(folder / FILMS)
        path = folder / LINKS
        for line, (item, imdb, tmdb) in read_csv_rows(path, _LINK_COLUMNS):
            check_id(path, line, "movieId", item)
            if tmdb:
                check_id(path, line, "tmdbId", tmdb)
            if tmdb not in films:
                continue
            title, year, genres, language = films[tmdb]
            yield ItemMetadata(
                item=item,
                title=title,
                year=year,
                genres=split_genres(genres),
                language=language or None,
                imdb_id=f"tt{imdb}" if imdb else None,
                tmdb_id=tmdb,
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: this data set says nothing of its users."""
        del folder
        return iter(())


def _films(path: Path) -> dict[str, tuple[str, int | None, str, str]]:
    """(title, year, genres, language) by TMDB id; of rows with one id the first, and none without a title."""
    films: dict[str, tuple[str, int | None, str, str]] = {}
    for line, (tmdb, title, genres, _, _, _, year, language) in read_csv_rows(path, _FILM_COLUMNS):
        check_id(path, line, "id", tmdb)
        # 0 stands for no year.
        number = check_int(path, line, "year", year or "0", 0, 2100) or None
        if title.strip():
            films.setdefault(tmdb, (title.strip(), number, genres, language))
    return films
