"""MovieLens 10M: ratings.dat (`::`, half stars), movies.dat and tags.dat (UTF-8; Latin-1 in some copies)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.item_lines import check_id, split_genres, split_lines, year_of_title
from producers.readers.rating_lines import LineFormat, read_rating_lines
from producers.readers.tag_lines import read_tags_dat

_FORMAT = LineFormat("::", None, half_stars=True, rating_min=0.5, rating_max=5)


class Ml10mReader:
    """Reads the publisher's folder `ml-10M100K`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.dat."""
        return read_rating_lines(folder / "ratings.dat", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.dat, with the tags of tags.dat where that is there."""
        tags = read_tags_dat(folder / "tags.dat")
        path = folder / "movies.dat"
        names = ("item", "title", "genres")
        for line, (item, title, genres) in split_lines(path, "::", names, utf8=True):
            yield ItemMetadata(
                item=check_id(path, line, "item", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=split_genres(genres),
                tags=tags.get(item, ()),
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield nothing: this data set says nothing of its users."""
        del folder
        return iter(())
