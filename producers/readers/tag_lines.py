"""Tags of items as MovieLens gives them: user, item, tag and time in seconds, in a file beside the ratings.

Who gave a tag is read past: the items topic does not say it. A blank tag says nothing, and is left out; of a file that
is not there, there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog.errors import DataFormatError
from eventlog.events import MAX_EVENT_TIME_MS
from eventlog.metadata import ItemTag, first_tags
from producers.readers.csv_rows import read_csv_rows
from producers.readers.item_lines import check_id, check_int, read_lines

TagsOf = dict[str, tuple[ItemTag, ...]]  # of each item that has any
_NAMES = ("userId", "movieId", "tag", "timestamp")


def read_tags_csv(path: Path) -> TagsOf:
    """Return the tags of a CSV file with the columns userId, movieId, tag, timestamp. Raises `DataFormatError`."""
    return _collect(path, read_csv_rows(path, _NAMES) if path.exists() else iter(()))


def read_tags_dat(path: Path) -> TagsOf:
    """Return the tags of a file of lines `user::item::tag::time`. Raises `DataFormatError`."""
    return _collect(path, _dat_rows(path) if path.exists() else iter(()))


def _dat_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path, utf8=True):
        head = line.split("::", 2)
        # From the right: colons may be a part of the tag.
        fields = [*head[:2], *head[-1].rsplit("::", 1)]
        if len(head) != 3 or len(fields) != 4:
            raise DataFormatError(
                path, number, "line", line[:200], f"4 fields ({', '.join(_NAMES)}) with '::'"
            )
        yield number, fields


def _collect(path: Path, rows: Iterator[tuple[int, list[str]]]) -> TagsOf:
    found: dict[str, list[ItemTag]] = {}
    for line, (user, item, text, seconds) in rows:
        check_id(path, line, "userId", user)
        check_id(path, line, "movieId", item)
        time_ms = 1000 * check_int(path, line, "timestamp", seconds, 0, MAX_EVENT_TIME_MS // 1000)
        if text.strip():
            found.setdefault(item, []).append(ItemTag(time_ms, text.strip()))
    return {item: first_tags(tags) for item, tags in found.items()}
