"""MovieLens latest, 20M, 25M, 32M: CSV with a header (UTF-8, any line ends, quotes around titles with commas)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.csv_rows import read_csv_rows
from producers.readers.item_lines import check_id, split_genres, year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines
from producers.readers.tag_lines import read_tags_csv

_FORMAT = LineFormat(",", "userId,movieId,rating,timestamp", half_stars=True, rating_min=0.5, rating_max=5)


class MlLatestReader:
    """Reads a publisher's folder of the CSV form, such as `ml-latest-small`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.csv."""
        return read_rating_lines(folder / "ratings.csv", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.csv, with the ids of links.csv and the tags of tags.csv where these are there."""
        links_path = folder / "links.csv"
        links: dict[str, tuple[str, str]] = {}
        if links_path.exists():
            for _, (item, imdb, tmdb) in read_csv_rows(links_path, ("movieId", "imdbId", "tmdbId")):
                links[item] = imdb, tmdb
        tags = read_tags_csv(folder / "tags.csv")
        path = folder / "movies.csv"
        for line, (item, title, genres) in read_csv_rows(path, ("movieId", "title", "genres")):
            imdb, tmdb = links.get(item, ("", ""))
            yield ItemMetadata(
                item=check_id(path, line, "movieId", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=split_genres(genres),
                imdb_id=f"tt{imdb}" if imdb else None,
                tmdb_id=tmdb or None,
                tags=tags.get(item, ()),
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: this form says nothing of its users."""
        del folder
        return iter(())
