"""What the compacted topics `items` and `users` hold: one JSON object an id, keyed by the id."""

from __future__ import annotations

import msgspec

from eventlog.log import Record


class ItemMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an item before anybody rated it; None where the source does not say.

    item: its id. year: of release. release_date: ISO 8601. language: ISO 639-1.
    """

    item: str
    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    release_date: str | None = None
    language: str | None = None
    imdb_id: str | None = None
    tmdb_id: str | None = None
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
    return _item_decoder.decode(value)


def decode_user(value: bytes) -> UserMetadata:
    """Decode a value of the users topic. Raises `msgspec.DecodeError`."""
    return _user_decoder.decode(value)
