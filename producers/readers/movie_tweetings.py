"""MovieTweetings: ratings.dat (`user::IMDb number::0 to 10::seconds`) and movies.dat (UTF-8).

users.dat holds the Twitter ids of people, which nothing here has a use for: it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eventlog.errors import DataFormatError
from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.item_lines import split_genres, split_lines, year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines

# The ids are the numbers of IMDb, padded with zeros to at least seven digits.
_FORMAT = LineFormat("::", None, half_stars=False, rating_min=0, rating_max=10, padded_items=True)
_IMDB_NUMBER = re.compile(r"[0-9]{1,10}")


class MovieTweetingsReader:
    """Reads a folder of the publisher's, such as `latest` or `snapshots/10K`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.dat."""
        return read_rating_lines(folder / "ratings.dat", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.dat."""
        path = folder / "movies.dat"
        names = ("item", "title", "genres")
        for line, (item, title, genres) in split_lines(path, "::", names, utf8=True):
            if not _IMDB_NUMBER.fullmatch(item):
                raise DataFormatError(path, line, "item", item, "an IMDb number of up to 10 digits")
            yield ItemMetadata(
                item=item,
                title=title.strip(),
                year=year_of_title(title),
                genres=split_genres(genres),
                imdb_id=f"tt{item}",
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing; see the module."""
        del folder
        return iter(())
