"""MovieLens latest, 20M, 25M, 32M: CSV with a header (UTF-8, any line ends, quotes around titles with commas)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from eventlog.errors import DataFormatError
from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.item_lines import check_id, year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines

_FORMAT = LineFormat(",", "userId,movieId,rating,timestamp", half_stars=True, rating_min=0.5, rating_max=5)
_NO_GENRES = "(no genres listed)"


class MlLatestReader:
    """Reads a publisher's folder of the CSV form, such as `ml-latest-small`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.csv."""
        return read_rating_lines(folder / "ratings.csv", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.csv, with the ids of links.csv where there is one."""
        links_path = folder / "links.csv"
        links: dict[str, tuple[str, str]] = {}
        if links_path.exists():
            for _, (item, imdb, tmdb) in _rows(links_path, ("movieId", "imdbId", "tmdbId")):
                links[item] = imdb, tmdb
        path = folder / "movies.csv"
        for line, (item, title, genres) in _rows(path, ("movieId", "title", "genres")):
            imdb, tmdb = links.get(item, ("", ""))
            yield ItemMetadata(
                item=check_id(path, line, "movieId", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=() if genres == _NO_GENRES else tuple(genres.split("|")),
                imdb_id=f"tt{imdb}" if imdb else None,
                tmdb_id=tmdb or None,
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: this form says nothing of its users."""
        del folder
        return iter(())


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a CSV file with exactly the columns `names`."""
    with path.open(encoding="utf-8", errors="strict", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, [])
            if header != list(names):
                raise DataFormatError(path, 1, "header", ",".join(header), repr(",".join(names)))
            for row in rows:
                if len(row) != len(names):
                    raise DataFormatError(
                        path, rows.line_num, "line", ",".join(row)[:200], f"{len(names)} fields"
                    )
                yield rows.line_num, row
        except csv.Error as error:
            raise DataFormatError(path, rows.line_num, "line", str(error), "valid CSV") from None
        except UnicodeDecodeError as error:
            raise DataFormatError(
                path, rows.line_num + 1, "line", error.object[error.start : error.end], "UTF-8"
            ) from None
