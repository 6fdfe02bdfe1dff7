"""Checkpoints for a ratings topic that has got more partitions: from those of the lanes that there were.

A user's partition is a hash modulo the number of partitions. Where that number became a multiple of the old one, the
users of partition p were all in p modulo the old number, so each state divides without a rest:

* a merged lane stays whole, and reads the new partitions too;
* of lanes that had a partition each, lane p takes what lane p modulo the old number knew: its own users, and all of the
  items. (Where lanes share what they learn of items, what the old lane had contributed stays the old lane's.) The old lanes keep their numbering and their accounts; a new one begins both at 0, and notes how many events its
  state had learned before (`Lane.inherited`).

Old partitions go on where they stood, new ones begin at offset 0. What a source had sent to an old partition, and the
window of idempotency keys, is known to each lane that came from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.checkpoint import Checkpoint, CheckpointStore
from consumers.intake import grown_meta
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_rows import Kept
from consumers.stream import lane_folder
from eventlog.deadletter import Reason
from eventlog.decode import decode
from eventlog.errors import CheckpointCorruptError, CheckpointMismatchError, SettingsError
from eventlog.event_checks import Limits
from eventlog.log import Log
from eventlog.partitioner import partitions_of

_ANYTHING = Limits(-np.inf, np.inf, np.inf, 1 << 30)
_RECORDS_A_POLL = 1024
_WAIT_S = 1.0

Position = tuple[int, int]  # (offset, index), as in `consumers.intake`


class Lanes(NamedTuple):
    """The newest checkpoints of a learner. merged: whether it has one lane over all `partitions` of `topic`."""

    topic: str
    partitions: int
    merged: bool
    checkpoints: Sequence[Checkpoint]

    @property
    def positions(self) -> dict[int, Position]:
        """The next event of each partition."""
        return {
            int(partition): (offset, index)
            for checkpoint in self.checkpoints
            for partition, (offset, index) in checkpoint.meta["intake"]["positions"].items()
        }


def read_lanes(directory: Path, *, merged: bool) -> Lanes:
    """Read the newest checkpoint that verifies of each lane in `directory`.

    merged: whether a lane of a topic with one partition is that of a learner that merges, which nothing else tells.
    Raises `SettingsError` where there is none, `CheckpointError` as `CheckpointStore.load` does, and
    `CheckpointMismatchError` where they are not those of one learner.
    """
    first = CheckpointStore(lane_folder(directory, 0)).load()
    if first is None:
        raise SettingsError(
            f"folder is {str(directory)!r}, expected that of a learner's checkpoints; there is no lane-0 in it"
        )
    topic, partitions = first.meta["topic"], first.meta["topic_partitions"]
    if partitions > 1:
        merged = len(first.meta["lane"]["partitions"]) > 1
    found = [first]
    for number in range(1, 1 if merged else partitions):
        store = CheckpointStore(lane_folder(directory, number))
        checkpoint = store.load()
        if checkpoint is None:
            raise CheckpointCorruptError(
                f"{store.directory} holds no checkpoint, expected that of lane {number}"
            )
        if (checkpoint.meta["topic"], checkpoint.meta["topic_partitions"]) != (topic, partitions):
            raise CheckpointMismatchError(
                f"{store.directory} is of {checkpoint.meta['topic']} with {checkpoint.meta['topic_partitions']} "
                f"partitions, lane 0 of {topic} with {partitions}: expected the lanes of one learner"
            )
        found.append(checkpoint)
    return Lanes(topic, partitions, merged, found)


def check_multiple(lanes: Lanes, partitions: int) -> None:
    """Raise `CheckpointMismatchError` unless `partitions` is more than the lanes have, and a multiple."""
    if partitions == lanes.partitions:
        raise CheckpointMismatchError(
            f"the checkpoints are of {lanes.topic} with {partitions} partitions, and so many it has: there is nothing "
            "to do (--partitions N gives it more)"
        )
    if partitions < lanes.partitions or partitions % lanes.partitions:
        raise CheckpointMismatchError(
            f"the checkpoints are of {lanes.topic} with {lanes.partitions} partitions, and it is to have {partitions}, "
            f"expected a multiple of {lanes.partitions}, for the users of one partition must come from one: send the "
            "events again into a topic of another --topic-prefix, and learn that from its beginning into a new "
            "checkpoint directory"
        )


def left_behind(log: Log, lanes: Lanes, partitions: int) -> dict[int, int]:
    """Count what was not learned, and never would be: {partition: events of users who will be elsewhere}.

    They stand after the checkpoint's position, or in a partition that is new to it; of `partitions` partitions theirs is
    another one, so the learner would make dead letters of them (`wrong_partition`). Raises `TopicMissingError`,
    `CheckpointMismatchError` where the log ends before the checkpoint, and `OffsetGoneError` where it no longer has what
    comes next.
    """
    found: dict[int, int] = {}
    for partition, (begin, end) in log.bounds(lanes.topic).items():
        position = lanes.positions.get(partition, (begin, 0))
        if position[0] > end:
            raise CheckpointMismatchError(
                f"the checkpoint is at offset {position[0]} of {lanes.topic}, partition {partition}, which ends at {end}: "
                "expected the log that it was learned from"
            )
        count = 0
        with log.reader(lanes.topic, [partition]) as reader:
            reader.seek(partition, position[0])
            while reader.position(partition) < end:
                for batch in reader.poll(_RECORDS_A_POLL, _WAIT_S):
                    count += sum(
                        letter.events
                        for letter in decode(batch, _ANYTHING, partitions).rejects
                        if letter.reason is Reason.WRONG_PARTITION
                        and (letter.offset, letter.index) >= position
                    )
        if count:
            found[partition] = count
    return found


def repartition(lanes: Lanes, partitions: int, out: Path) -> Iterator[Lane]:
    """Write the checkpoints for `partitions` partitions into `out`, lane by lane; yields each lane when it is written.

    Raises `CheckpointMismatchError` as `check_multiple` does, and for the configuration of another build;
    `CheckpointError` when the disk refuses.
    """
    check_multiple(lanes, partitions)
    for number in range(1 if lanes.merged else partitions):
        of = lanes.checkpoints[number % len(lanes.checkpoints)]
        lane = _lane_of(of, lanes.partitions)
        lane.sequences.grow(partitions)
        if lanes.merged:
            lane.partitions = tuple(range(partitions))
        else:
            _divide(lane, number, partitions)
        meta: dict[str, Any] = {
            "topic": lanes.topic,
            "topic_partitions": partitions,
            "lane": lane.meta(),
            "intake": grown_meta(of.meta["intake"], lanes.partitions, lane.partitions),
        }
        arrays = lane.arrays()
        if "hand_over" in of.meta:
            # Which version it follows; what a test between two had counted is of users who may be elsewhere now.
            meta["hand_over"] = of.meta["hand_over"]
            arrays |= {name: array for name, array in of.arrays.items() if name.startswith("hand_over/")}
        if "exchange" in of.meta:
            arrays |= {name: array for name, array in of.arrays.items() if name.startswith("exchange/")}
            meta["exchange"] = of.meta["exchange"]
            if number >= lanes.partitions:
                meta["exchange"] = _exchange_of_new(meta["exchange"], number % lanes.partitions)
                rows = np.arange(len(lane.rows.items), dtype=np.int32)
                arrays[f"exchange/rows-{number % lanes.partitions}"] = rows
        CheckpointStore(lane_folder(out, number)).save(arrays, meta)
        yield lane


def _lane_of(checkpoint: Checkpoint, topic_partitions: int) -> Lane:
    """The lane that a checkpoint holds, with arrays of its own."""
    meta: Mapping[str, Any] = checkpoint.meta["lane"]
    config = LaneConfig.of_fingerprint(meta["config"])
    lane = Lane(meta["lane"], meta["partitions"], topic_partitions, config)
    arrays: dict[str, NDArray[Any]] = {name: array.copy() for name, array in checkpoint.arrays.items()}
    lane.restore(arrays, meta)
    return lane


def _divide(lane: Lane, number: int, partitions: int) -> None:
    """Make `lane` the one of partition `number` of `partitions`, which its own became."""
    rows = lane.rows
    ids = rows.users.ids()
    stay = (ids != b"") & (partitions_of(ids, partitions) == number)
    users = np.flatnonzero(stay).astype(np.int32)
    kept = Kept(users, np.arange(len(rows.items), dtype=np.int32))
    rows.keep(kept)
    histories = rows.histories
    for model in lane.models.values():
        model.keep(*kept, histories)
    if number != lane.number:
        if lane.config.share:
            # What was own is what the old lane goes on to tell of.
            lane.heard[lane.number] = lane.learned
            for model in lane.models.values():
                if model.shares is not None:
                    model.shares.hand_to(lane.number)
        # What was counted is counted where it was learned, and the numbering there goes on.
        lane.inherited += lane.learned
        lane.learned = lane.repeats = lane.corrections = lane.duplicates = 0
        lane.dead_lettered = {}
        rows.evicted_users = rows.evicted_items = rows.forgotten_users = 0
    lane.number, lane.partitions = number, (number,)


def _exchange_of_new(meta: Mapping[str, Any], came_from: int) -> dict[str, Any]:
    """What `Exchange.meta` would say in a new lane, which knows the old one's items by the old one's rows."""
    return {
        **meta,
        "generation": 0,
        "evicted": 0,
        "folds": 0,
        "exchanged_at": -1,
        "sources": {**meta["sources"], str(came_from): [meta["generation"], 0]},
    }
