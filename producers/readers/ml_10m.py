"""MovieLens 10M: ratings.dat (`::`, half stars) and movies.dat (UTF-8; Latin-1 in some copies)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.item_lines import check_id, split_genres, split_lines, year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines

_FORMAT = LineFormat("::", None, half_stars=True, rating_min=0.5, rating_max=5)


class Ml10mReader:
    """Reads the publisher's folder `ml-10M100K`; tags.dat holds no ratings and is left alone."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.dat."""
        return read_rating_lines(folder / "ratings.dat", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.dat."""
        path = folder / "movies.dat"
        names = ("item", "title", "genres")
        for line, (item, title, genres) in split_lines(path, "::", names, utf8=True):
            yield ItemMetadata(
                item=check_id(path, line, "item", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=split_genres(genres),
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: this data set says nothing of its users."""
        del folder
        return iter(())
