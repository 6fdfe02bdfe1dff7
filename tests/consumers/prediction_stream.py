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
) -> PredictionBlock:
    """Events [first_seq, end) of the lane whose ranks are `ranks`; every tenth event is of a new user.

    predicted: ratings of the whole lane by model; what was given goes 1, 2, 3, 4, 5, 1, ...
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
    )


def summary(
    models: Sequence[str],
    events: int,
    *,
    lane: int = 0,
    timed_events: int | None = None,
    rating_models: Sequence[str] = (),
) -> LaneSummary:
    """What the lane says at its end; timed_events: all, where they are not given.

    models: those that rank, rating_models: those that predict ratings.
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
            )
            for index, model in enumerate((*models, *rating_models), 1)
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
