"""Events into the ratings topic: checked as the learner checks them, and durable before they are called accepted.

Requests that come together are made durable together: one thread takes all that wait, appends them, and waits once.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from eventlog.codec import WireEvent, encode_wire
from eventlog.decode import check_events
from eventlog.errors import EventError
from eventlog.event_checks import Limits
from eventlog.log import Log, LogWriter, Record
from eventlog.partitioner import partition_of
from serving.positions import Position

_MOST_TOGETHER: Final = 10_000  # events of one flush


class BusyError(Exception):
    """Too many events wait to be made durable; retry_after_s: when to come again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many events wait to be written, expected the next ones in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class _Request(NamedTuple):
    records: list[tuple[int, Record]]
    loop: asyncio.AbstractEventLoop
    written: asyncio.Future[Position]


class EventWriter:
    """Writes to `topic` of the log that `open_log` opens, in a thread of its own.

    limits: those of the learner. most_waiting: events that may wait; above, `write` raises `BusyError`.
    """

    def __init__(
        self, open_log: Callable[[], Log], topic: str, limits: Limits, most_waiting: int = 50_000
    ) -> None:
        self._open_log = open_log
        self._topic = topic
        self.limits = limits
        self._most_waiting = most_waiting
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._waiting = 0
        self._counting = threading.Lock()
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self.on_written: Callable[[], object] = lambda: None  # called by its thread when events are durable
        self._partitions = 1
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Start the thread. Raises what opening the log raises."""
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Write what waits, and release."""
        self._requests.put(None)
        self._thread.join(30.0)

    def check(self, events: Sequence[WireEvent]) -> list[tuple[int, EventError]]:
        """Return (place, error) of events that the learner would refuse; the detail names field, value, expectation."""
        return check_events(events, self.limits, time.time_ns() // 1_000_000)

    async def write(self, events: Sequence[WireEvent]) -> Position:
        """Make checked events durable; returns a position that is not before any of them.

        Raises `BusyError`, and `LogError` when the log refuses: then some of them may be in it, and the same ones
        sent again, with the same keys, are learned once.
        """
        with self._counting:
            if self._waiting + len(events) > self._most_waiting:
                raise BusyError(1.0)
            self._waiting += len(events)
        records = [
            (partition_of(event.user, self._partitions), Record(event.user.encode(), encode_wire(event)))
            for event in events
        ]
        loop = asyncio.get_running_loop()
        request = _Request(records, loop, loop.create_future())
        self._requests.put(request)
        return await request.written

    def _run(self) -> None:
        try:
            with self._open_log() as log:
                self._partitions = log.partition_count(self._topic)
                with log.writer() as writer:
                    self._begun.set()
                    while (taken := self._take()) is not None:
                        self._flush(writer, taken)
        except BaseException as error:
            self._failure = error
        finally:
            self._begun.set()

    def _take(self) -> list[_Request] | None:
        """All requests that wait, at least one; None at the end."""
        first = self._requests.get()
        if first is None:
            return None
        taken, events = [first], len(first.records)
        while events < _MOST_TOGETHER:
            try:
                following = self._requests.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._requests.put(None)
                break
            taken.append(following)
            events += len(following.records)
        return taken

    def _flush(self, writer: LogWriter, taken: list[_Request]) -> None:
        by_partition: dict[int, list[Record]] = {}
        for request in taken:
            for partition, record in request.records:
                by_partition.setdefault(partition, []).append(record)
        error: Exception | None = None
        offsets: dict[int, int] = {}
        try:
            for partition, records in by_partition.items():
                writer.append(self._topic, partition, records)
            offsets = {partition: at for (_, partition), at in writer.flush().items()}
            self.on_written()
        except Exception as raised:
            error = raised
        with self._counting:
            self._waiting -= sum(len(request.records) for request in taken)
        for request in taken:
            position = Position(
                {p: offsets[p] for p in {p for p, _ in request.records}} if error is None else {}
            )
            request.loop.call_soon_threadsafe(_settle, request.written, position, error)


def wire_error(error: EventError) -> str:
    """What is wrong with an event, in one line."""
    return f"{error.reason}: {error.detail}"


def _settle(written: asyncio.Future[Position], position: Position, error: Exception | None) -> None:
    if written.done():
        return
    if error is not None:
        written.set_exception(error)
    else:
        written.set_result(position)
