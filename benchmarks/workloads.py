"""Workloads of `benchmarks.ratios`: each prepares seeded events outside of the clock, and returns what is to be timed."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.hebbian_scale import Cell, blocks
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_measures import LaneMeasures, MeasuresConfig
from consumers.predictions import PredictionBlock
from engram.warm import warm_up_evaluator, warm_up_learner
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig
from eventlog.codec import encode_pack
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.log import Log, Record, RecordBatch
from eventlog.open_log import open_log

ITEMS, USERS = 2_000, 1_500
PACK = 256
TOPIC = "ratings"
Action = Callable[[], object]


@functools.cache
def events(count: int) -> tuple[EventBatch, ...]:
    """Blocks of a seeded stream in sessions, with ratings from 1 to 5 that are the same in every run."""
    made = []
    for block in blocks(Cell(ITEMS, USERS, count), seed=7):
        grade = 1 + (block.source_seq * 7 + np.char.str_len(block.items) * 3) % 5
        made.append(replace(block, ratings=grade.astype(np.float64)))
    return tuple(made)


def learn(model: str, count: int) -> Action:
    """Test, then learn, `count` events with one model: ids and histories included."""
    config = LaneConfig((model,), {}, scale=(1.0, 5.0), top_every=0, drift="none")
    warm_up_learner(config, 1)
    lane = Lane(0, (0,), 1, config)
    stream = events(count)

    def act() -> None:
        for block in stream:
            lane.test_then_learn(block, count)

    return act


@functools.cache
def _said(count: int) -> tuple[PredictionBlock, ...]:
    config = LaneConfig(("popularity", "hebbian"), {}, scale=(1.0, 5.0))
    lane = Lane(0, (0,), 1, config)
    return tuple(said for block in events(count) if (said := lane.test_then_learn(block, count)) is not None)


def evaluate(count: int, times: int) -> Action:
    """All measures of two models' predictions, `times` over."""
    warm_up_evaluator()
    said = _said(count)
    config = MeasuresConfig(PrequentialConfig(), SignificanceConfig())

    def act() -> None:
        for _ in range(times):
            measures = LaneMeasures(config, ["popularity", "hebbian"])
            for block in said:
                measures.update(block)

    return act


@functools.cache
def _packs(count: int) -> tuple[Record, ...]:
    return tuple(
        encode_pack(block.take(slice(first, first + PACK)))
        for block in events(count)
        for first in range(0, len(block), PACK)
    )


def _read(log: Log, records: int) -> list[RecordBatch]:
    read = []
    with log.reader(TOPIC, [0]) as reader:
        while reader.position(0) < records:
            read += reader.poll(64, 1.0)
    return read


def _with_log(act: Callable[[Log], object]) -> object:
    """Do something with an embedded log that is empty, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="engram-bench-"))
    try:
        with open_log(f"embedded:{folder / 'log.sqlite'}") as log:
            log.create_topic(TOPIC, 1)
            return act(log)
    finally:
        shutil.rmtree(folder)


def _append(log: Log, records: tuple[Record, ...]) -> None:
    with log.writer() as writer:
        for first in range(0, len(records), 16):
            writer.append(TOPIC, 0, records[first : first + 16])


@functools.cache
def _batches(count: int) -> tuple[RecordBatch, ...]:
    def fill_and_read(log: Log) -> list[RecordBatch]:
        _append(log, _packs(count))
        return _read(log, len(_packs(count)))

    read = _with_log(fill_and_read)
    assert isinstance(read, list)
    return tuple(read)


def decode_packs(count: int, times: int) -> Action:
    """Decode and check packed events, `times` over."""
    batches = _batches(count)
    limits = Limits(rating_min=1.0, rating_max=5.0, max_future_s=float("inf"))

    def act() -> None:
        for _ in range(times):
            for batch in batches:
                assert not decode(batch, limits).rejects

    return act


def append_and_read(count: int, times: int) -> Action:
    """Append packed events to an embedded log, durably, 16 messages at a time, and read them; `times` over."""
    packs = _packs(count)

    def both(log: Log) -> None:
        _append(log, packs)
        _read(log, len(packs))

    def act() -> None:
        for _ in range(times):
            _with_log(both)

    return act


EVENTS = 16_384
WORKLOADS: dict[str, Callable[[], Action]] = {
    "hebbian": functools.partial(learn, "hebbian", EVENTS),
    "blend": functools.partial(learn, "blend", EVENTS // 2),
    "wisard": functools.partial(learn, "wisard", EVENTS),
    "evaluator": functools.partial(evaluate, EVENTS, 40),
    "decode": functools.partial(decode_packs, EVENTS, 16),
    "log": functools.partial(append_and_read, EVENTS, 40),
}
