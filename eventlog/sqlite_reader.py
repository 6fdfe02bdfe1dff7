"""Reading of the embedded log: blocks are decoded once and handed out as columns."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eventlog.errors import LogError, OffsetGoneError, TopicMissingError
from eventlog.log import Headers, RecordBatch
from eventlog.sqlite_store import Block, Database, check_partition, decode_block, topic_of

POLL_INTERVAL_S = 0.002


class _Cursor:
    """Where a reader stands in one partition: the next offset, and decoded blocks that hold it."""

    __slots__ = ("blocks", "offset", "partition_id", "paused")

    def __init__(self, partition_id: int, offset: int) -> None:
        self.partition_id = partition_id
        self.offset = offset
        self.blocks: deque[Block] = deque()
        self.paused = False


class SqliteReader:
    """Reads partitions of one topic (see `eventlog.log.LogReader`)."""

    def __init__(self, database: Database, topic: str, partitions: Sequence[int]) -> None:
        self._database = database
        self._topic = topic
        topic_id, count, _ = topic_of(database, topic)
        for partition in partitions:
            check_partition(topic, partition, count)
        rows = database.rows(
            "SELECT partition, id, begin_offset FROM partitions WHERE topic_id = ?", topic_id
        )
        found = {partition: (partition_id, begin) for partition, partition_id, begin in rows}
        self._cursors = {partition: _Cursor(*found[partition]) for partition in partitions}
        self._turn = deque(self._cursors)

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next; the next poll raises `OffsetGoneError` for one not retained."""
        cursor = self._cursor(partition)
        cursor.offset = offset
        cursor.blocks.clear()

    def poll(self, max_records: int, timeout_s: float) -> list[RecordBatch]:
        """Return up to `max_records`; partitions take turns at being first.

        Raises `OffsetGoneError`, `TopicMissingError` when the topic was deleted.
        """
        if max_records < 1:
            raise LogError(f"max_records is {max_records}, expected 1 or more")
        deadline = time.monotonic() + timeout_s
        while True:
            version = self._database.rows("PRAGMA data_version")
            batches = self._read(max_records)
            if batches:
                return batches
            while self._database.rows("PRAGMA data_version") == version:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return []
                time.sleep(min(POLL_INTERVAL_S, left_s))

    def position(self, partition: int) -> int:
        """The offset that the next poll of `partition` starts from."""
        return self._cursor(partition).offset

    def pause(self, partitions: Iterable[int]) -> None:
        """Leave these partitions out of polls until resumed."""
        for partition in partitions:
            self._cursor(partition).paused = True

    def resume(self, partitions: Iterable[int]) -> None:
        """Take these partitions into polls again."""
        for partition in partitions:
            self._cursor(partition).paused = False

    def close(self) -> None:
        """Release the connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cursor(self, partition: int) -> _Cursor:
        try:
            return self._cursors[partition]
        except KeyError:
            raise LogError(
                f"topic {self._topic}: partition is {partition}, this reader has {list(self._cursors)}"
            ) from None

    def _read(self, max_records: int) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        self._turn.rotate(-1)
        for partition in self._turn:
            cursor = self._cursors[partition]
            if not cursor.paused and max_records > 0:
                try:
                    batch = self._take(partition, cursor, max_records)
                except LogError:
                    if batches:
                        break  # what was read is delivered; the error is raised by a later poll
                    raise
                if batch:
                    batches.append(batch)
                    max_records -= len(batch.values)
        return batches

    def _take(self, partition: int, cursor: _Cursor, limit: int) -> RecordBatch | None:
        """Take up to `limit` records at the cursor and move it past them."""
        offsets: list[NDArray[np.int64]] = []
        times: list[NDArray[np.int64]] = []
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        headers: list[Headers] = []
        self._load(partition, cursor, limit)
        while cursor.blocks and len(values) < limit:
            block = cursor.blocks[0]
            start = max(cursor.offset - block.first_offset, 0)
            stop = min(start + limit - len(values), len(block.values))
            offsets.append(np.arange(block.first_offset + start, block.first_offset + stop))
            times.append(np.full(stop - start, block.append_time_ms, np.int64))
            keys += block.keys[start:stop]
            values += block.values[start:stop]
            headers += block.headers[start:stop] if block.headers else [()] * (stop - start)
            cursor.offset = block.first_offset + stop
            if stop == len(block.values):
                cursor.blocks.popleft()
        if not values:
            return None
        return RecordBatch(
            self._topic,
            partition,
            np.concatenate(offsets),
            np.concatenate(times),
            keys,
            values,
            headers,
            cursor.offset,
        )

    def _load(self, partition: int, cursor: _Cursor, wanted: int) -> None:
        """Decode blocks until `wanted` records from the cursor on are at hand, or all there are."""
        after = cursor.offset
        if cursor.blocks:
            last = cursor.blocks[-1]
            after = last.first_offset + len(last.values)
            wanted -= sum(len(block.values) for block in cursor.blocks)
            wanted += max(cursor.offset - cursor.blocks[0].first_offset, 0)
        if wanted <= 0:
            return
        with self._database.transaction("DEFERRED"):
            found = self._database.rows(
                "SELECT begin_offset, end_offset FROM partitions WHERE id = ?", cursor.partition_id
            )
            if not found:
                raise TopicMissingError(f"topic {self._topic} was deleted")
            begin, end = found[0]
            if not begin <= after <= end:
                raise OffsetGoneError(
                    f"topic {self._topic}, partition {partition}: offset {after} is wanted, "
                    f"the log retains [{begin}, {end})"
                )
            if after == end:
                return
            for row in self._database.each_row(
                "SELECT first_offset, append_time_ms, payload FROM blocks WHERE partition_id = ?1 "
                "AND first_offset >= coalesce((SELECT max(first_offset) FROM blocks "
                "WHERE partition_id = ?1 AND first_offset <= ?2), 0) ORDER BY first_offset",
                cursor.partition_id,
                after,
            ):
                block = decode_block(*row)
                have = block.first_offset + len(block.values) - after
                if have > 0:
                    cursor.blocks.append(block)
                    wanted -= min(have, len(block.values))
                if wanted <= 0:
                    return
            if not cursor.blocks:
                cursor.offset = end  # compaction left nothing from here on
