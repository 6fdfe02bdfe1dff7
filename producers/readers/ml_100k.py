"""MovieLens 100K: u.data (tabs), u.item and u.user (vertical bars, Latin-1), u.genre."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from eventlog.errors import DataFormatError
from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns
from producers.readers.item_lines import (
    check_choice,
    check_id,
    check_int,
    split_lines,
    year_of_title,
)
from producers.readers.rating_lines import LineFormat, read_rating_lines

_FORMAT = LineFormat("\t", None, half_stars=False, rating_min=1, rating_max=5)


class Ml100kReader:
    """Reads the publisher's folder `ml-100k`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of u.data."""
        return read_rating_lines(folder / "u.data", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of u.item; a genre is a column whose name is in u.genre."""
        genres = _genres(folder / "u.genre")
        path = folder / "u.item"
        names = ("item", "title", "release_date", "video_release_date", "imdb_url", *genres)
        for line, fields in split_lines(path, "|", names):
            item, title, release, _, _, *flags = fields
            for genre, flag in zip(genres, flags, strict=True):
                check_choice(path, line, f"genre {genre}", flag, ("0", "1"))
            yield ItemMetadata(
                item=check_id(path, line, "item", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=tuple(genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"),
                release_date=_iso_date(path, line, release),
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield the people of u.user."""
        path = folder / "u.user"
        for line, fields in split_lines(path, "|", ("user", "age", "gender", "occupation", "zip_code")):
            age = check_int(path, line, "age", fields[1], 0, 150)
            yield UserMetadata(
                user=check_id(path, line, "user", fields[0]),
                age_min=age,
                age_max=age,
                gender=check_choice(path, line, "gender", fields[2], ("F", "M")),
                occupation=fields[3],
                zip_code=fields[4],
            )


def _genres(path: Path) -> list[str]:
    """Names of the genre columns of u.item, in their order."""
    genres: list[str] = []
    for line, (name, number) in split_lines(path, "|", ("genre", "number")):
        check_choice(path, line, "number", number, (str(len(genres)),))
        genres.append(name)
    return genres


def _iso_date(path: Path, line: int, text: str) -> str | None:
    """Turn 01-Jan-1995 into 1995-01-01; None for no date."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%d-%b-%Y").date().isoformat()
    except ValueError:
        raise DataFormatError(path, line, "release_date", text, "a date such as 01-Jan-1995") from None
