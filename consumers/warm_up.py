"""Loads or compiles a lane's kernels before the first event, so that no event waits for it."""

from __future__ import annotations

import numpy as np

from consumers.lane import Lane, LaneConfig
from eventlog.events import EventBatch


def warm_up(config: LaneConfig) -> None:
    """Run three made-up events (a new user and item, a ranked one, a repeat) through a lane that is thrown away."""
    n = 3
    zeros = np.zeros(n, np.int32)
    batch = EventBatch(
        sources=("warm-up",),
        users=np.array([b"1", b"2", b"2"]),
        items=np.array([b"1", b"1", b"1"]),
        ratings=np.ones(n),
        event_time_ms=np.arange(n, dtype=np.int64),
        kinds=np.zeros(n, np.uint8),
        source_index=zeros,
        source_seq=np.arange(n, dtype=np.int64),
        key_hash=np.zeros(n, np.uint64),
        partition=zeros,
        offset=np.arange(n, dtype=np.int64),
        index=zeros,
        append_time_ms=np.zeros(n, np.int64),
    )
    Lane(0, (0,), 1, config).test_then_learn(batch)
