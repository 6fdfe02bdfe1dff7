"""Predictions of an invented lane, cut into blocks as a learner would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from consumers.predictions import (
    NEW_ITEM,
    NEW_USER,
    REPEAT,
    LaneSummary,
    ModelSummary,
    PredictionBlock,
    TopItems,
    TopLists,
)
from eventlog.log import Log, Record


def random_ranks(events: int, seed: int, models: Sequence[str]) -> dict[str, list[int]]:
    """Ranks of several models that agree about repeats (0) and new items (-1)."""
    rng = np.random.default_rng(seed)
    first = rng.integers(-1, 30, events)
    columns = {models[0]: first.tolist()}
    for model in models[1:]:
        columns[model] = np.where(first > 0, rng.integers(1, 50, events), first).tolist()
    return columns


def block(
    ranks: Mapping[str, Sequence[int]],
    first_seq: int,
    end: int,
    *,
    lane: int = 0,
    total: int | None = None,
    predicted: Mapping[str, NDArray[np.float64]] | None = None,
    liked: Mapping[str, NDArray[np.float64]] | None = None,
    cold: Mapping[str, NDArray[np.int32]] | None = None,
    top: TopLists | None = None,
) -> PredictionBlock:
    """Events [first_seq, end) of the lane whose ranks are `ranks`; every tenth event is of a new user.

    predicted, liked, cold: of the whole lane by model; what was given goes 1, 2, 3, 4, 5, 1, ... top: lists of the
    whole lane. Event s is of user s % 17, who had had s // 17 items, and its item had been had by 1 + 3 s users, but for
    new ones; a second lies between events.
    """
    columns = {model: np.array(of[first_seq:end], np.int32) for model, of in ranks.items()}
    # Without a model that ranks, every event is a first one of a known item.
    one = next(iter(columns.values()), np.ones(end - first_seq, np.int32))
    seqs = np.arange(first_seq, first_seq + len(one), dtype=np.int64)
    flags = (one == 0) * REPEAT + (one == -1) * NEW_ITEM + (seqs % 10 == 0) * NEW_USER
    return PredictionBlock(
        lane=lane,
        first_seq=first_seq,
        total_events=total,
        sources=("test",),
        source_index=np.zeros(len(one), np.int32),
        source_seq=seqs,
        event_time_ms=seqs * 1000,
        flags=flags.astype(np.uint8),
        ranks=columns,
        rating=(1 + seqs % 5).astype(np.float64),
        scale=(1.0, 5.0),
        predicted={model: of[first_seq:end] for model, of in (predicted or {}).items()},
        user_seen=(seqs // 17).astype(np.int32),
        item_seen=np.where(one == -1, 0, 1 + 3 * seqs).astype(np.int32),
        user_hash=(seqs % 17).astype(np.uint32),
        liked={model: of[first_seq:end] for model, of in (liked or {}).items()},
        cold={model: of[first_seq:end] for model, of in (cold or {}).items()},
        top=None if top is None else lists_within(top, first_seq, end),
    )


def lists_within(top: TopLists, first_seq: int, end: int) -> TopLists:
    """The lists of events [first_seq, end) of a lane, of those of the whole lane."""
    kept = (top.at >= first_seq) & (top.at < end)
    models = {name: TopItems(*(column[kept] for column in lists)) for name, lists in top.models.items()}
    return TopLists((top.at[kept] - first_seq).astype(np.int32), top.top_every, models)


def random_lists(events: int, seed: int, models: Sequence[str], top_every: int) -> TopLists:
    """Lists of a lane of 60 items: some short, some items without genres, none longer than there are items."""
    rng = np.random.default_rng(seed)
    at = np.arange(0, events, top_every, dtype=np.int32)
    lists = {}
    for model in models:
        items = np.array([rng.permutation(60)[:20] for _ in at], np.uint64).reshape(-1, 20)
        seen = rng.integers(0, 9, items.shape).astype(np.int32)
        seen = np.minimum(seen, at[:, None])
        seen[np.arange(20) >= np.minimum(rng.integers(0, 40, len(at)), at)[:, None]] = -1
        genres = np.where(rng.random(items.shape) < 0.2, 0, rng.integers(0, 32, items.shape)).astype(
            np.uint64
        )
        lists[model] = TopItems(items * np.uint64(0x9E3779B97F4A7C15), seen, genres)
    return TopLists(at, top_every, lists)


def summary(
    models: Sequence[str],
    events: int,
    *,
    lane: int = 0,
    timed_events: int | None = None,
    rating_models: Sequence[str] = (),
    liking_models: Sequence[str] = (),
) -> LaneSummary:
    """What the lane says at its end; timed_events: all, where they are not given.

    models: those that rank; rating_models, liking_models: those that predict ratings, and that state likes.
    """
    return LaneSummary(
        lane=lane,
        events=events,
        timed_events=events if timed_events is None else timed_events,
        partitions=(lane,),
        last_seq={"test": events - 1},
        clock={"name": "event_time", "time_ms": events * 1000},
        models={
            model: ModelSummary(
                digest=f"{index:064x}",
                state_bytes=1000 * index,
                seconds=0.5,
                config={"k": index},
                ranks=model in models,
                rates=model in rating_models,
                likes=model in liking_models,
            )
            for index, model in enumerate(dict.fromkeys((*models, *rating_models, *liking_models)), 1)
        },
        accounting={
            "accepted": events + 3,
            "learned": events,
            "dead_lettered": 2,
            "duplicate": 1,
            "waiting": 0,
        },
        users=7,
        items=9,
        seconds=2.0,
        versions={"engram": "0.1.0"},
    )


def write(log: Log, topic: str, *messages: PredictionBlock | LaneSummary | bytes, partition: int = 0) -> None:
    """Append messages to the predictions topic, durably."""
    with log.writer() as writer:
        writer.append(
            topic,
            partition,
            [Record(b"0", m) if isinstance(m, bytes) else m.to_record() for m in messages],
        )
        writer.flush()
