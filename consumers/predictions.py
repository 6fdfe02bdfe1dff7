"""The predictions topic: what each model said of each event before it learned it.

A lane (a totally ordered stream of events with one state: one partition live, all partitions merged on replay)
numbers the events that it learned from 0 without gaps: `lane_seq`, the identity by which readers drop repeats.
Messages are blocks of consecutive events (msgpack), and one summary (JSON) when the lane's sources have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.hand_over_steps import Step
from evaluation.top_lists import LIST_LENGTH, TopItems, TopLists
from eventlog.hostile import decode_errors
from eventlog.log import Record
from online_models.drift import Drift
from online_models.interactions import MISS, NEW_ITEM, NEW_USER, NOT_RANKED, REPEAT

__all__ = [
    "MISS",
    "NEW_ITEM",
    "NEW_USER",
    "NOT_RANKED",
    "REPEAT",
    "Drift",
    "LaneSummary",
    "ModelSummary",
    "PredictionBlock",
    "Step",
    "TopItems",
    "TopLists",
    "decode_prediction",
]

SCHEMA_VERSION = 2
_NONE: Mapping[str, NDArray[np.float64]] = {}
_NO_RANKS: Mapping[str, NDArray[np.int32]] = {}


class PredictionBlock(NamedTuple):
    """Predictions of n consecutive events of one lane.

    first_seq: lane_seq of the first. total_events: what the source announced, None for an open stream.
    sources: source ids; source_index: int32[n] into them, -1 without one; source_seq: int64[n].
    event_time_ms: int64[n]. flags: uint8[n] (`REPEAT`, `NEW_ITEM`, `NEW_USER`).
    ranks: {ranking model: int32[n]}, 1 = best, `NOT_RANKED` (0) for a repeat, `MISS` (-1) for a new item.
    rating: float64[n], what the user gave, NaN without one; scale: its least and greatest value.
    predicted: {rating model: float64[n]}, NaN for a repeat.
    user_seen: int32[n], items that the user had had before; item_seen: int32[n], users who had had the item before.
    user_hash: uint32[n], any deterministic hash of the user's id.
    liked: {model that states it: float64[n]}, probability of a like, NaN where it says nothing.
    cold: {model that can: int32[n]}, for a new item its rank among all items of the catalogue that the user has not
    had, 1 = best; 0 where it says nothing, and for every other event.
    top: the 20 best items at some of the events, None where none are sampled.
    inherited: events that the lane's state had learned in another lane before this one's first; see `Lane`.
    drifts: noticed after one of the events; `at` is the lane_seq that follows it.
    steps: of the hand-over of batch models, before one of the events.
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
    user_seen: NDArray[np.int32]
    item_seen: NDArray[np.int32]
    user_hash: NDArray[np.uint32]
    liked: Mapping[str, NDArray[np.float64]] = _NONE
    cold: Mapping[str, NDArray[np.int32]] = _NO_RANKS
    top: TopLists | None = None
    inherited: int = 0
    drifts: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()

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
            rating=self.rating.tobytes() if self.predicted or self.liked else b"",
            scale=self.scale,
            predicted={name: ratings.tobytes() for name, ratings in self.predicted.items()},
            user_seen=self.user_seen.tobytes(),
            item_seen=self.item_seen.tobytes(),
            user_hash=self.user_hash.tobytes(),
            liked={name: likes.tobytes() for name, likes in self.liked.items()},
            cold={name: ranks.tobytes() for name, ranks in self.cold.items()},
            top=None if self.top is None else _wire_top(self.top),
            inherited=self.inherited,
            drifts=self.drifts,
            steps=self.steps,
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
            user_seen=self.user_seen[skip:],
            item_seen=self.item_seen[skip:],
            user_hash=self.user_hash[skip:],
            liked={name: likes[skip:] for name, likes in self.liked.items()},
            cold={name: ranks[skip:] for name, ranks in self.cold.items()},
            top=None if self.top is None else self.top.after(skip),
            drifts=tuple(drift for drift in self.drifts if drift.at > self.first_seq + skip),
            steps=tuple(step for step in self.steps if step.at >= self.first_seq + skip),
        )


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner knows of one model at the end of a stream.

    digest: sha256 of the state; state_bytes: bytes in use; seconds: time in its kernels by this process.
    ranks, rates, likes: whether it ranks the catalogue, predicts ratings, and states a probability of like.
    """

    digest: str
    state_bytes: int
    seconds: float
    config: dict[str, float | int | str | bool | list[float] | None]
    ranks: bool = True
    rates: bool = False
    likes: bool = False


class LaneSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Said once by a lane, after its last event.

    events: learned, repeats included; timed_events: those of them that this process learned, whose kernel time is
    `ModelSummary.seconds`. last_seq: {source_id: last source_seq}. accounting: {term: events}.
    seconds: wall-clock from the first poll with events to the summary, of this process alone. drift_digest: sha256 of
    the drift detectors' state.
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
    drift_digest: str = ""
    v: int = SCHEMA_VERSION

    def to_record(self) -> Record:
        """Encode for the predictions topic."""
        return Record(str(self.lane).encode(), msgspec.json.encode(self), (("n", b"0"),))


class _WireTop(msgspec.Struct, kw_only=True):
    at: bytes
    every: int
    # Items, item_seen and genres, by model.
    models: dict[str, tuple[bytes, bytes, bytes]]


class _Version(msgspec.Struct):
    v: int


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
    user_seen: bytes
    item_seen: bytes
    user_hash: bytes
    # Of models that can say it; lists at some events.
    liked: dict[str, bytes] = {}
    cold: dict[str, bytes] = {}
    top: _WireTop | None = None
    inherited: int = 0
    drifts: tuple[Drift, ...] = ()
    steps: tuple[Step, ...] = ()


_block_decoder = msgspec.msgpack.Decoder(_WireBlock)
_summary_decoder = msgspec.json.Decoder(LaneSummary)
_block_version = msgspec.msgpack.Decoder(_Version)
_summary_version = msgspec.json.Decoder(_Version)


def decode_prediction(value: bytes) -> PredictionBlock | LaneSummary:
    """Decode a message of the predictions topic.

    Raises `msgspec.DecodeError`, for another schema version too, and `ValueError` for a column of broken length, or
    top lists that are not those of the block.
    """
    with decode_errors():
        if value[:1] == b"{":
            # The version first: what another one lacks or adds says less.
            _check_version(_summary_version.decode(value).v)
            return _summary_decoder.decode(value)
        _check_version(_block_version.decode(value).v)
        wire = _block_decoder.decode(value)
    n = len(wire.flags)
    block = PredictionBlock(
        lane=wire.lane,
        first_seq=wire.first_seq,
        total_events=wire.total_events,
        sources=wire.sources,
        source_index=np.frombuffer(wire.source_index, np.int32),
        source_seq=np.frombuffer(wire.source_seq, np.int64),
        event_time_ms=np.frombuffer(wire.event_time_ms, np.int64),
        flags=np.frombuffer(wire.flags, np.uint8),
        ranks={name: np.frombuffer(ranks, np.int32) for name, ranks in wire.ranks.items()},
        rating=np.frombuffer(wire.rating, np.float64) if wire.rating else np.full(n, np.nan),
        scale=wire.scale,
        predicted={name: np.frombuffer(ratings) for name, ratings in wire.predicted.items()},
        user_seen=np.frombuffer(wire.user_seen, np.int32),
        item_seen=np.frombuffer(wire.item_seen, np.int32),
        user_hash=np.frombuffer(wire.user_hash, np.uint32),
        liked={name: np.frombuffer(likes) for name, likes in wire.liked.items()},
        cold={name: np.frombuffer(ranks, np.int32) for name, ranks in wire.cold.items()},
        top=None if wire.top is None else _read_top(wire.top),
        inherited=wire.inherited,
        drifts=wire.drifts,
        steps=wire.steps,
    )
    if block.top is not None:
        block.top.check(block.first_seq, n, block.inherited)
    return block


def _wire_top(top: TopLists) -> _WireTop:
    models = {
        name: (lists.items.tobytes(), lists.item_seen.tobytes(), lists.genres.tobytes())
        for name, lists in top.models.items()
    }
    return _WireTop(at=top.at.tobytes(), every=top.top_every, models=models)


def _read_top(wire: _WireTop) -> TopLists:
    models = {
        name: TopItems(
            np.frombuffer(items, np.uint64).reshape(-1, LIST_LENGTH),
            np.frombuffer(item_seen, np.int32).reshape(-1, LIST_LENGTH),
            np.frombuffer(genres, np.uint64).reshape(-1, LIST_LENGTH),
        )
        for name, (items, item_seen, genres) in wire.models.items()
    }
    return TopLists(np.frombuffer(wire.at, np.int32), wire.every, models)


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise msgspec.ValidationError(
            f"v is {version}, expected {SCHEMA_VERSION}: predictions of another build of Engram; let this one learn "
            "from the ratings again, into a new predictions topic"
        )
