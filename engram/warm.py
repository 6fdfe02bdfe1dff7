"""Compile kernels, or load them from their cache, before the first event is timed or waited for."""

from __future__ import annotations

import numpy as np

from consumers.intake import Intake
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_measures import LaneMeasures, MeasuresConfig
from consumers.predictions import PredictionBlock, TopItems, TopLists, decode_prediction
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig
from evaluation.top_lists import LIST_LENGTH
from eventlog.codec import encode_pack
from eventlog.controls import Control, ControlKind
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.log import Record, RecordBatch
from eventlog.partitioner import partition_of

_USER = "u"
_SOURCE = "warm"


def warm_up_learner(config: LaneConfig, partitions: int) -> None:
    """Take a few events through decoding, the merge and every model, and forget them."""
    numbers = tuple(range(partitions))
    lane, intake = Lane(0, numbers, partitions, config), Intake(numbers)
    start = Control(control=ControlKind.START, source_id=_SOURCE, total_events=6)
    end = Control(control=ControlKind.END, source_id=_SOURCE)
    home = partition_of(_USER, partitions)
    for number in numbers:
        intake.offer(number, decode(_batch(number, [start.to_record()]), Limits(), partitions))
    for record in (encode_pack(_events()), end.to_record()):
        intake.offer(home, decode(_batch(home, [record]), Limits(), partitions))
        for number in numbers:
            if number != home:
                intake.offer(number, decode(_batch(number, [end.to_record()]), Limits(), partitions))
        while (taken := intake.take(4)) is not None:
            lane.test_then_learn(taken.events)
    for model in lane.models.values():
        if model.shares is not None:
            rows = np.arange(len(lane.rows.items), dtype=np.int32)
            model.shares.sizes()
            model.shares.replace(1, rows, model.shares.contribution(rows))
            model.adopt_items(len(rows), rows)
    lane.arrays()


def warm_up_evaluator() -> None:
    """Take a few predictions, as they come off the wire, through the measures, and forget them."""
    names, n = ("hebbian", "popularity"), 2
    seen = np.array([[-1] * LIST_LENGTH, [1] * LIST_LENGTH], np.int32)
    lists = TopItems(np.ones(seen.shape, np.uint64), seen, np.ones(seen.shape, np.uint64))
    block = PredictionBlock(
        lane=0,
        first_seq=0,
        total_events=n,
        sources=(_SOURCE,),
        source_index=np.zeros(n, np.int32),
        source_seq=np.arange(n),
        event_time_ms=np.arange(n),
        flags=np.zeros(n, np.uint8),
        ranks=dict.fromkeys(names, np.array([1, 2], np.int32)),
        rating=np.ones(n),
        scale=(1.0, 5.0),
        predicted={"rating": np.ones(n)},
        user_seen=np.zeros(n, np.int32),
        item_seen=np.ones(n, np.int32),
        user_hash=np.zeros(n, np.uint32),
        liked={"liking": np.ones(n)},
        top=TopLists(np.array([0, 1], np.int32), 1, dict.fromkeys(names, lists)),
    )
    received = decode_prediction(block.to_record().value or b"")
    config = MeasuresConfig(PrequentialConfig(), SignificanceConfig(look_every=1, first_look=1))
    if isinstance(received, PredictionBlock):
        LaneMeasures(config, names, ("rating",), ("liking",)).update(received)


def _batch(partition: int, records: list[Record]) -> RecordBatch:
    n = len(records)
    return RecordBatch(
        topic=_SOURCE,
        partition=partition,
        offsets=np.arange(n),
        append_time_ms=np.zeros(n, np.int64),
        keys=[None] * n,
        values=[record.value for record in records],
        headers=[record.headers for record in records],
        next_offset=n,
    )


def _events() -> EventBatch:
    """Six events of one user and three items, one of them a repeat."""
    n = 6
    return EventBatch(
        sources=(_SOURCE,),
        users=np.full(n, _USER.encode(), "S1"),
        items=np.array([b"a", b"b", b"c", b"a", b"d", b"e"]),
        ratings=np.ones(n),
        event_time_ms=np.arange(n),
        kinds=np.zeros(n, np.uint8),
        source_index=np.zeros(n, np.int32),
        source_seq=np.arange(n),
        key_hash=np.zeros(n, np.uint64),
        partition=np.zeros(n, np.int32),
        offset=np.zeros(n, np.int64),
        index=np.arange(n, dtype=np.int32),
        append_time_ms=np.zeros(n, np.int64),
    )
