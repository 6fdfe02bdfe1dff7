"""Reading from Kafka: given partitions from given offsets, without a consumer group."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from eventlog.errors import BrokerError, LogError, OffsetGoneError
from eventlog.kafka_columns import Columns, Fetched, columns_of_plain, read_columns
from eventlog.kafka_errors import broker_errors
from eventlog.log import Bounds, RecordBatch

_log = logging.getLogger(__name__)

FETCH_BYTES = 8 << 20
EXISTENCE_CHECK_S = 5.0


class KafkaReader:
    """Reads partitions of one topic, committed transactions only (see `eventlog.log.LogReader`).

    A broker that goes away during polls is waited for: polls are empty until it is back. `bounds` is asked for
    the first offsets, to word an `OffsetGoneError`, and now and then to see that the topic still exists.
    """

    def __init__(
        self,
        bootstrap: str,
        client: dict[str, Any],
        topic: str,
        partitions: Sequence[int],
        bounds: Callable[[str], dict[int, Bounds]],
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._bounds = bounds
        begins = bounds(topic)
        for partition in partitions:
            if partition not in begins:
                raise LogError(f"topic {topic}: partition is {partition}, expected 0 to {len(begins) - 1}")
        self._places = {partition: TopicPartition(topic, partition) for partition in partitions}
        # {partition: where a seek has led}, before which nothing is given; {partition: fetched and not given yet}.
        self._floors = {partition: begins[partition].begin for partition in partitions}
        self._fetched: dict[int, Fetched] = {}
        # {partition: where to fetch next} of those that are paused. They are unassigned rather than paused in the client,
        # which (3.0.12) can leave what it had fetched of a resumed partition behind for ever.
        self._paused: dict[int, int] = {}
        self._existence_checked_s = time.monotonic()
        with broker_errors(bootstrap, "opening a reader"):
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap.split(","),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                # A partition that is sought or resumed waits for the fetch under way.
                fetch_max_wait_ms=50,
                max_partition_fetch_bytes=FETCH_BYTES,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **client,
            )
            self._has_columns = read_columns(self._consumer)
            self._consumer.assign(list(self._places.values()))
            for partition, place in self._places.items():
                self._consumer.seek(place, self._floors[partition])

    def seek(self, partition: int, offset: int) -> None:
        """Read `partition` from `offset` next; the next poll raises `OffsetGoneError` for one not retained."""
        if offset < 0:
            raise self._gone(partition, offset)
        place = self._place(partition)
        self._floors[partition] = offset
        self._fetched.pop(partition, None)
        if partition in self._paused:
            self._paused[partition] = offset
        else:
            self._consumer.seek(place, offset)

    def poll(self, max_records: int, timeout_s: float) -> list[RecordBatch]:
        """Return up to `max_records`. Raises `OffsetGoneError`, `TopicMissingError` when it was deleted."""
        if max_records < 1:
            raise LogError(f"max_records is {max_records}, expected 1 or more")
        ready = [partition for partition in self._fetched if partition not in self._paused]
        if not ready and len(self._paused) == len(self._places):
            time.sleep(timeout_s)
            return []
        if not ready:
            ready = self._fetch(max_records, timeout_s)
        batches = []
        for partition in ready:
            if max_records > 0:
                batches.append(self._give(partition, max_records))
                max_records -= len(batches[-1].values)
        return batches

    def _fetch(self, max_records: int, timeout_s: float) -> list[int]:
        """Have the client fetch; returns the partitions of which there is something."""
        with broker_errors(self._bootstrap, f"reading {self._topic}"):
            try:
                found = self._consumer.poll(timeout_s * 1000, max_records)
            except kafka_errors.OffsetOutOfRangeError as error:
                [(place, offset)] = error.args[0].items()
                raise self._gone(place.partition, offset) from None
            except kafka_errors.LogTruncationError as error:
                place = next(iter(error.divergent_offsets))
                raise self._gone(place.partition, self.position(place.partition)) from None
        if not found:
            self._check_existence()
        for place, records in found.items():
            fetched = Fetched()
            if self._has_columns:
                for record in records:
                    whole = record.value
                    fetched.add(
                        whole if isinstance(whole, Columns) else columns_of_plain([record]),
                        self._floors[place.partition],
                    )
            else:
                fetched.add(columns_of_plain(records), self._floors[place.partition])
            if fetched:
                self._fetched[place.partition] = fetched
        return [place.partition for place in found if place.partition in self._fetched]

    def _give(self, partition: int, most: int) -> RecordBatch:
        """Up to `most` records of a partition; with some left, it is behind the others next time."""
        fetched = self._fetched.pop(partition)
        columns = fetched.take(most)
        if fetched:
            self._fetched[partition] = fetched
        return RecordBatch(self._topic, partition, *columns, self.position(partition))

    def position(self, partition: int) -> int:
        """The offset that the next poll of `partition` starts from."""
        place = self._place(partition)
        fetched = self._fetched.get(partition)
        return fetched.offset if fetched else self._next_fetch(place)

    def pause(self, partitions: Iterable[int]) -> None:
        """Leave these partitions out of polls until resumed."""
        new = {self._place(partition).partition for partition in partitions} - self._paused.keys()
        if new:
            self._paused |= {
                partition: self._next_fetch(self._places[partition]) for partition in sorted(new)
            }
            self._assign()

    def resume(self, partitions: Iterable[int]) -> None:
        """Take these partitions into polls again."""
        again = {self._place(partition).partition for partition in partitions} & self._paused.keys()
        if again:
            offsets = {partition: self._paused.pop(partition) for partition in sorted(again)}
            self._assign()
            for partition, offset in offsets.items():
                self._consumer.seek(self._places[partition], offset)

    def _next_fetch(self, place: TopicPartition) -> int:
        """Where the client goes on."""
        paused = self._paused.get(place.partition)
        return int(self._consumer.position(place)) if paused is None else paused

    def _assign(self) -> None:
        """Assign what is not paused; the client keeps the positions of what stays assigned."""
        self._consumer.assign(
            [place for partition, place in self._places.items() if partition not in self._paused]
        )

    def close(self) -> None:
        """Release."""
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _place(self, partition: int) -> TopicPartition:
        try:
            return self._places[partition]
        except KeyError:
            raise LogError(
                f"topic {self._topic}: partition is {partition}, this reader has {list(self._places)}"
            ) from None

    def _gone(self, partition: int, offset: int) -> OffsetGoneError:
        begin, end = self._bounds(self._topic)[partition]
        return OffsetGoneError(
            f"topic {self._topic}, partition {partition}: offset {offset} is wanted, "
            f"the log retains [{begin}, {end})"
        )

    def _check_existence(self) -> None:
        """The client itself would wait for a deleted topic for ever."""
        if time.monotonic() - self._existence_checked_s >= EXISTENCE_CHECK_S:
            self._existence_checked_s = time.monotonic()
            try:
                self._bounds(self._topic)
            except BrokerError as error:
                _log.warning("waiting for the brokers: %s", error)
