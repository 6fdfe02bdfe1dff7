"""What neurons are called: titles and genres of items, or what users said of themselves, from the run's log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from eventlog.errors import TopicMissingError
from eventlog.log import Log
from eventlog.metadata import UserMetadata, decode_item, decode_user
from eventlog.topics import Topics

_PARTITION = 0  # the topics have one
_WAIT_S = 1.0


class Name(NamedTuple):
    """title: what to call a neuron; its id where nothing is known. genres: of an item, () else."""

    title: str
    genres: tuple[str, ...] = ()


def read_names(log: Log, topics: Topics, neurons: str, ids: Collection[str]) -> dict[str, Name]:
    """Return {id: name} of all `ids`. neurons: "item" or "user". A record that cannot be read says nothing."""
    said: dict[str, Any] = {}
    wanted = {name.encode() for name in ids}
    topic, decode = (topics.items, decode_item) if neurons == "item" else (topics.users, decode_user)
    try:
        bounds = log.bounds(topic)[_PARTITION]
    except TopicMissingError:
        bounds = None
    if bounds is not None and bounds.begin < bounds.end:
        with log.reader(topic, [_PARTITION]) as reader:
            while reader.position(_PARTITION) < bounds.end:
                for batch in reader.poll(4096, _WAIT_S):
                    for key, value in zip(batch.keys, batch.values, strict=True):
                        if key in wanted and key is not None and value is not None:
                            said[key.decode()] = value
    return {name: _name(name, said.get(name), decode) for name in ids}


def _name(neuron: str, value: bytes | None, decode: Any) -> Name:
    try:
        said = decode(value) if value is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    if said is None:
        return Name(neuron)
    if isinstance(said, UserMetadata):
        return Name(f"user {neuron}{_of_user(said)}")
    return Name(said.title, tuple(said.genres))


def _of_user(said: UserMetadata) -> str:
    age: Any = said.age_min
    if said.age_min != said.age_max and said.age_min is not None:
        age = f"{said.age_min}+" if said.age_max is None else f"{said.age_min}-{said.age_max}"
    parts = [str(part) for part in (age, said.gender, said.occupation) if part is not None]
    return f" ({', '.join(parts)})" if parts else ""


def unnamed(ids: Collection[str]) -> Mapping[str, Name]:
    """Return ids as names, where there is no log to ask."""
    return {name: Name(name) for name in ids}
