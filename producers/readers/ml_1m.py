"""MovieLens 1M: ratings.dat, movies.dat, users.dat, fields separated by `::`, Latin-1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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

_FORMAT = LineFormat("::", None, half_stars=False, rating_min=1, rating_max=5)
# The codes of users.dat, from the publisher's README.
_AGES: dict[str, tuple[int, int | None]] = {
    "1": (0, 17),
    "18": (18, 24),
    "25": (25, 34),
    "35": (35, 44),
    "45": (45, 49),
    "50": (50, 55),
    "56": (56, None),
}
_OCCUPATIONS = (
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)


class Ml1mReader:
    """Reads the publisher's folder `ml-1m`."""

    def ratings(self, folder: Path) -> Iterator[RatingColumns]:
        """Yield the ratings of ratings.dat."""
        return read_rating_lines(folder / "ratings.dat", _FORMAT)

    def items(self, folder: Path) -> Iterator[ItemMetadata]:
        """Yield the films of movies.dat."""
        path = folder / "movies.dat"
        for line, (item, title, genres) in split_lines(path, "::", ("item", "title", "genres")):
            yield ItemMetadata(
                item=check_id(path, line, "item", item),
                title=title.strip(),
                year=year_of_title(title),
                genres=tuple(genres.split("|")),
            )

    def users(self, folder: Path) -> Iterator[UserMetadata]:
        """Yield the people of users.dat, with codes replaced by what they stand for."""
        path = folder / "users.dat"
        for line, fields in split_lines(path, "::", ("user", "gender", "age", "occupation", "zip_code")):
            age_min, age_max = _AGES[check_choice(path, line, "age", fields[2], tuple(_AGES))]
            occupation = check_int(path, line, "occupation", fields[3], 0, len(_OCCUPATIONS) - 1)
            yield UserMetadata(
                user=check_id(path, line, "user", fields[0]),
                age_min=age_min,
                age_max=age_max,
                gender=check_choice(path, line, "gender", fields[1], ("F", "M")),
                occupation=_OCCUPATIONS[occupation],
                zip_code=fields[4],
            )
