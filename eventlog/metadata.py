"""What the compacted topics `items` and `users` hold: one JSON object an id, keyed by the id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from eventlog.events import MAX_EVENT_TIME_MS
from eventlog.hostile import decode_errors
from eventlog.log import Record

MAX_TAGS: Final = 32  # of an item: a few thousand would make a record larger than a broker takes


class ItemTag(msgspec.Struct, frozen=True, array_like=True):
    """A tag that somebody gave an item at event_time_ms (UTC), in JSON [event_time_ms, text].

    It does not say who gave it: so there is nothing to forget when a user is to be forgotten.
    """

    event_time_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENT_TIME_MS)]
    text: str


def first_tags(tags: Iterable[ItemTag]) -> tuple[ItemTag, ...]:
    """Return the first `MAX_TAGS` in order of event time; those of the same time as they stand.

    The first and not the most frequent ones: what comes later must not change which ones there were before.
    """
    return tuple(sorted(tags, key=lambda tag: tag.event_time_ms)[:MAX_TAGS])


class ItemMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an item, whether or not anybody rated it; None where the source does not say.

    item: its id. year: of release. release_date: ISO 8601. language: ISO 639-1. tags: each known from its own time on;
    of more than `MAX_TAGS`, a learner takes `first_tags`.
    """

    item: str
    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    release_date: str | None = None
    language: str | None = None
    imdb_id: str | None = None
    tmdb_id: str | None = None
    tags: tuple[ItemTag, ...] = ()
    v: int = 1

    def to_record(self) -> Record:
        """Encode for the items topic."""
        return Record(self.item.encode(), msgspec.json.encode(self))


class UserMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a user said of themselves; None where the source does not say.

    user: the id. age_min, age_max: years, inclusive; equal where the age is known exactly, age_max None above
    the highest bracket.
    """

    user: str
    age_min: int | None = None
    age_max: int | None = None
    gender: str | None = None
    occupation: str | None = None
    zip_code: str | None = None
    v: int = 1

    def to_record(self) -> Record:
        """Encode for the users topic."""
        return Record(self.user.encode(), msgspec.json.encode(self))


_item_decoder = msgspec.json.Decoder(ItemMetadata)
_user_decoder = msgspec.json.Decoder(UserMetadata)


def decode_item(value: bytes) -> ItemMetadata:
    """Decode a value of the items topic. Raises `msgspec.DecodeError`."""
    with decode_errors():
        return _item_decoder.decode(value)


def decode_user(value: bytes) -> UserMetadata:
    """Decode a value of the users topic. Raises `msgspec.DecodeError`."""
    with decode_errors():
        return _user_decoder.decode(value)
