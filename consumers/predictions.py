"""The predictions topic: what each model said of each event before it learned it.

A lane (a totally ordered stream of events with one state: one partition live, all partitions merged on replay)
numbers the events that it learned from 0 without gaps: `lane_seq`, the identity by which readers drop repeats.
Messages are blocks of consecutive events (msgpack), and one summary (JSON) when the lane's sources have ended.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from eventlog.log import Record
from online_models.interactions import MISS, NEW_ITEM, NEW_USER, NOT_RANKED, REPEAT

__all__ = [
    "MISS",
    "NEW_ITEM",
    "NEW_USER",
    "NOT_RANKED",
    "REPEAT",
    "LaneSummary",
    "ModelSummary",
    "PredictionBlock",
    "decode_prediction",
]

SCHEMA_VERSION = 1


class PredictionBlock(NamedTuple):
    """Predictions of n consecutive events of one lane.

    first_seq: lane_seq of the first. total_events: what the source announced, None for an open stream.
    sources: source ids; source_index: int32[n] into them, -1 without one; source_seq: int64[n].
    event_time_ms: int64[n]. flags: uint8[n] (`REPEAT`, `NEW_ITEM`, `NEW_USER`).
    ranks: {ranking model: int32[n]}, 1 = best, `NOT_RANKED` (0) for a repeat, `MISS` (-1) for a new item.
    rating: float64[n], what the user gave, NaN without one; scale: its least and greatest value.
    predicted: {rating model: float64[n]}, NaN for a repeat.
    """

    lane: int
    first_seq: int
    total_events: int | None
    sources: tuple[str, ...]
    source_index: NDArray[np.int32]
    source_seq: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    flags: NDArray[np.uint8]
    ranks: dict[str, NDArray[np.int32]]
    rating: NDArray[np.float64]
    scale: tuple[float, float]
    predicted: dict[str, NDArray[np.float64]]

    def to_record(self) -> Record:
        """Encode for the predictions topic."""
        wire = _WireBlock(
            v=SCHEMA_VERSION,
            lane=self.lane,
            first_seq=self.first_seq,
            total_events=self.total_events,
            sources=self.sources,
            source_index=self.source_index.tobytes(),
            source_seq=self.source_seq.tobytes(),
            event_time_ms=self.event_time_ms.tobytes(),
            flags=self.flags.tobytes(),
            ranks={name: ranks.tobytes() for name, ranks in self.ranks.items()},
            rating=self.rating.tobytes() if self.predicted else b"",
            scale=self.scale,
            predicted={name: ratings.tobytes() for name, ratings in self.predicted.items()},
        )
        headers = (("n", str(len(self.flags)).encode()),)
        return Record(str(self.lane).encode(), msgspec.msgpack.encode(wire), headers)

    def after(self, skip: int) -> PredictionBlock:
        """The block without its first `skip` events."""
        return self._replace(
            first_seq=self.first_seq + skip,
            source_index=self.source_index[skip:],
            source_seq=self.source_seq[skip:],
            event_time_ms=self.event_time_ms[skip:],
            flags=self.flags[skip:],
            ranks={name: ranks[skip:] for name, ranks in self.ranks.items()},
            rating=self.rating[skip:],
            predicted={name: ratings[skip:] for name, ratings in self.predicted.items()},
        )


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner knows of one model at the end of a stream.

    digest: sha256 of the state; state_bytes: bytes in use; seconds: time in its kernels by this process.
    ranks, rates: whether it ranks the catalogue, and whether it predicts ratings.
    """

    digest: str
    state_bytes: int
    seconds: float
    config: dict[str, float | int | str | bool | None]
    ranks: bool = True
    rates: bool = False


class LaneSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Said once by a lane, after its last event.

    events: learned, repeats included; timed_events: those of them that this process learned, whose kernel time is
    `ModelSummary.seconds`. last_seq: {source_id: last source_seq}. accounting: {term: events}.
    seconds: wall-clock from the first poll with events to the summary, of this process alone.
    """

    lane: int
    events: int
    timed_events: int
    partitions: tuple[int, ...]
    last_seq: dict[str, int]
    clock: dict[str, float | int | str]
    models: dict[str, ModelSummary]
    accounting: dict[str, int]
    users: int
    items: int
    seconds: float
    versions: dict[str, str]
    v: int = SCHEMA_VERSION

    def to_record(self) -> Record:
        """Encode for the predictions topic."""
        return Record(str(self.lane).encode(), msgspec.json.encode(self), (("n", b"0"),))


class _WireBlock(msgspec.Struct, kw_only=True):
    v: int
    lane: int
    first_seq: int
    total_events: int | None
    sources: tuple[str, ...]
    source_index: bytes
    source_seq: bytes
    event_time_ms: bytes
    flags: bytes
    ranks: dict[str, bytes]
    # Absent where no model predicts ratings.
    rating: bytes = b""
    scale: tuple[float, float] = (0.0, 10.0)
    predicted: dict[str, bytes] = {}


_block_decoder = msgspec.msgpack.Decoder(_WireBlock)
_summary_decoder = msgspec.json.Decoder(LaneSummary)


def decode_prediction(value: bytes) -> PredictionBlock | LaneSummary:
    """Decode a message of the predictions topic.

    Raises `msgspec.DecodeError`, for a newer schema version too, and `ValueError` for a column of broken length.
    """
    if value[:1] == b"{":
        summary = _summary_decoder.decode(value)
        _check_version(summary.v)
        return summary
    wire = _block_decoder.decode(value)
    _check_version(wire.v)
    return PredictionBlock(
        lane=wire.lane,
        first_seq=wire.first_seq,
        total_events=wire.total_events,
        sources=wire.sources,
        source_index=np.frombuffer(wire.source_index, np.int32),
        source_seq=np.frombuffer(wire.source_seq, np.int64),
        event_time_ms=np.frombuffer(wire.event_time_ms, np.int64),
        flags=np.frombuffer(wire.flags, np.uint8),
        ranks={name: np.frombuffer(ranks, np.int32) for name, ranks in wire.ranks.items()},
        rating=np.frombuffer(wire.rating, np.float64) if wire.rating else np.full(len(wire.flags), np.nan),
        scale=wire.scale,
        predicted={name: np.frombuffer(ratings) for name, ratings in wire.predicted.items()},
    )


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise msgspec.ValidationError(f"v is {version}, expected {SCHEMA_VERSION}")
