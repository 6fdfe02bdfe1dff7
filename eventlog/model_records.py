"""The topic `models`: versions that are ready, and what became of each in a learner. One partition, JSON.

An `Adopted` record is durable before anything is predicted with what it names, so that a learner that restarts from an
earlier checkpoint adopts the same version at the same event again.
"""

from __future__ import annotations

import msgspec

from eventlog.hostile import decode_errors
from eventlog.log import Log, Record

PARTITION = 0
_RECORDS_A_POLL = 1024
_WAIT_S = 1.0


class Announced(msgspec.Struct, frozen=True, kw_only=True, tag="announced", tag_field="kind"):
    """A version of batch model `name` is in the registry, complete.

    digest: `artefact.digest_of` it. events: position of its cut. trigger: why it was trained.
    """

    name: str
    version: int
    digest: str
    events: int
    trigger: str
    v: int = 1


class Adopted(msgspec.Struct, frozen=True, kw_only=True, tag="adopted", tag_field="kind"):
    """Lane `lane` predicts event `at` (its lane_seq), and those after it, with this version in online model `model`.

    announced: offset of the announcement that it followed.
    """

    lane: int
    at: int
    model: str
    name: str
    version: int
    digest: str
    announced: int
    v: int = 1


class Judged(msgspec.Struct, frozen=True, kw_only=True, tag="judged", tag_field="kind"):
    """The sequential test of a lane decided before event `at`.

    step: `promoted` (the challenger's version became the champion) or `rolled_back` (the champion's version takes the
    challenger's place).
    """

    lane: int
    at: int
    step: str
    name: str
    version: int
    v: int = 1


ModelRecord = Announced | Adopted | Judged
_decoder: msgspec.json.Decoder[ModelRecord] = msgspec.json.Decoder(ModelRecord)


def to_record(said: ModelRecord) -> Record:
    """Encode for the topic `models`."""
    return Record(said.name.encode(), msgspec.json.encode(said))


def decode_model_record(value: bytes) -> ModelRecord:
    """Decode a value of the topic. Raises `msgspec.DecodeError`."""
    with decode_errors():
        return _decoder.decode(value)


def announced(log: Log, topic: str, name: str) -> list[Announced]:
    """Read what was announced of batch model `name` so far, in order. Raises `TopicMissingError`."""
    found = []
    end = log.bounds(topic)[PARTITION].end
    with log.reader(topic, [PARTITION]) as reader:
        while reader.position(PARTITION) < end:
            for batch in reader.poll(_RECORDS_A_POLL, _WAIT_S):
                for value in batch.values:
                    try:
                        said = decode_model_record(value or b"")
                    except msgspec.DecodeError:
                        continue  # a learner says so
                    if isinstance(said, Announced) and said.name == name:
                        found.append(said)
    return found
