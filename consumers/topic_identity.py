"""Whether a topic is the one that a checkpoint is of, and what to do where it is not.

A topic that was deleted and made anew has the same name, and offsets that start over: going on at a checkpoint's
offsets would leave out what stands before them. So a checkpoint has marks, the offset and the append time of the last
event that was taken of each partition, and the log's record at that offset must have that time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from eventlog.errors import CheckpointMismatchError, OffsetGoneError, TopicMissingError
from eventlog.log import Log

_READ_S = 10.0
_log = logging.getLogger(__name__)

Mark = tuple[int, int]
"""Offset, and append time in ms, of a record."""


def check_is_same_topic(log: Log, topic: str, marks: Mapping[int, Mark]) -> None:
    """Raise `CheckpointMismatchError` where a record that is still retained has another append time than its mark.

    Raises `OffsetGoneError` where the log ends before a mark. A mark that is no longer retained says nothing.
    """
    bounds = log.bounds(topic) if marks else {}
    for partition, (offset, _) in marks.items():
        if partition in bounds and offset >= bounds[partition].end:
            raise OffsetGoneError(
                f"topic {topic}, partition {partition}: the checkpoint has learned offset {offset}, the log ends at "
                f"{bounds[partition].end}: the topic was deleted and made anew, or lost its end; name another "
                "checkpoint directory to learn it from its start"
            )
    left = {
        p: mark for p, mark in marks.items() if p in bounds and bounds[p].begin <= mark[0] < bounds[p].end
    }
    if not left:
        return
    deadline_s = time.monotonic() + _READ_S
    with way_out(), log.reader(topic, list(left)) as reader:
        for partition, (offset, _) in left.items():
            reader.seek(partition, offset)
        while left and time.monotonic() < deadline_s:
            for batch in reader.poll(len(left), 0.1):
                if batch.partition not in left or not batch:
                    continue
                reader.pause([batch.partition])
                offset, append_time_ms = left.pop(batch.partition)
                if int(batch.offsets[0]) == offset and int(batch.append_time_ms[0]) != append_time_ms:
                    raise CheckpointMismatchError(
                        f"checkpoint has learned offset {offset} of {topic}, partition {batch.partition}, as appended "
                        f"at {append_time_ms} ms, and the log has another record there, of "
                        f"{int(batch.append_time_ms[0])} ms: the topic was deleted and made anew; name another "
                        "checkpoint directory to learn it from its start"
                    )
    if left:
        _log.warning(
            "whether %s is the checkpoint's topic is unknown: partitions %s give nothing", topic, sorted(left)
        )


@contextmanager
def way_out() -> Iterator[None]:
    """Say with an error of the log that a learner cannot repair what can be done about it."""
    try:
        yield
    except OffsetGoneError as error:
        raise OffsetGoneError(
            f"{error}: events were deleted before they were learned, or the topic was made anew. Name another checkpoint "
            "directory to learn from what is retained; keep events longer than a learner may be away"
        ) from error
    except TopicMissingError as error:
        raise TopicMissingError(
            f"{error}: create it (`engram learn` does at its start), or check the topic prefix"
        ) from error
