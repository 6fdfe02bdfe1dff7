"""Membership of a consumer group: which partitions are this process's to read, and nothing else.

The member reads nothing: its partitions are paused as they are assigned, and are read by `eventlog.kafka_reader` from the
positions that checkpoints hold. So what keeps the membership alive, polls and heartbeats in a thread of their own, has
nothing to do with how long learning takes. Rebalancing is cooperative (KIP-429): what stays is read on; what goes is given
up when its owner says so, and only then assigned to another.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future

from eventlog.errors import BrokerError
from eventlog.kafka_errors import broker_errors
from eventlog.membership import Change, ChangeKind

SESSION_TIMEOUT_MS: Final = 10_000
HEARTBEAT_INTERVAL_MS: Final = 1_000
REBALANCE_TIMEOUT_MS: Final = 120_000
_POLL_MS: Final = 100
_log = logging.getLogger(__name__)


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Passes what the group decides to whoever asks for `changes`, and waits for it without stopping the heartbeats."""

    def __init__(self, membership: KafkaMembership) -> None:
        self._membership = membership

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._tell(ChangeKind.REVOKED, revoked)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._membership.pause(assigned)
        await self._tell(ChangeKind.ASSIGNED, assigned, wait=False)

    async def on_partitions_lost(self, lost: Any) -> None:
        await self._tell(ChangeKind.LOST, lost, wait=False)

    async def _tell(self, kind: ChangeKind, places: Any, *, wait: bool = True) -> None:
        change = Change(kind, frozenset(place.partition for place in places), Future())
        if change.partitions and self._membership.tell(change) and wait:
            await change.answer


def _assignor_of(assigned: Callable[[], Any]) -> type[CooperativeStickyAssignor]:
    """An assignor that claims only what the member has; assigned: its topic partitions.

    The client's own (3.0.12) goes on claiming what a member that was taken for dead has lost. The leader then waits for it
    to give that up, which it has nothing to do for, and nobody has those partitions until the next rebalance.
    """

    class Assignor(CooperativeStickyAssignor):  # type: ignore[misc]
        member_assignment: list[TopicPartition] | None

        def metadata(self, topics: Any) -> Any:
            if self.member_assignment is not None:
                have = assigned()
                self.member_assignment = [place for place in self.member_assignment if place in have]
            return super().metadata(topics)

    return Assignor


class KafkaMembership:
    """A member of `group`, whose members share the partitions of `topic`.

    session_timeout_ms: silence after which the group takes a member for dead; within the broker's bounds. client: settings
    for the Kafka client. Raises `BrokerError` when no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        client: dict[str, Any],
        topic: str,
        group: str,
        *,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        with broker_errors(bootstrap, f"joining group {group}"):
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap.split(","),
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                partition_assignment_strategy=[_assignor_of(self._assignment)],
                session_timeout_ms=session_timeout_ms,
                heartbeat_interval_ms=min(HEARTBEAT_INTERVAL_MS, session_timeout_ms // 3),
                max_poll_interval_ms=REBALANCE_TIMEOUT_MS,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **client,
            )
            self._consumer.subscribe([topic], listener=_Listener(self))
        self._thread = threading.Thread(target=self._keep, name="membership", daemon=True)
        self._thread.start()

    def _assignment(self) -> Any:
        return self._consumer.assignment()

    def _keep(self) -> None:
        try:
            while not self._closing.is_set():
                # Nothing is fetched; a partition that slipped through is paused again, and what came of it is left.
                self._consumer.poll(_POLL_MS, 1)
                self.pause(self._consumer.assignment() - self._consumer.paused())
        except BaseException as error:
            self._failure = error
            _log.exception("the membership has ended")

    def pause(self, places: Any) -> None:
        """Read nothing of these topic partitions."""
        if places:
            self._consumer.pause(*places)

    def tell(self, change: Change) -> bool:
        """Put a change before whoever asks; False when nobody will any more."""
        if self._closing.is_set():
            return False
        self._changes.put(change)
        return True

    def changes(self) -> list[Change]:
        """What has changed since the last call, in order. Raises `BrokerError` when the membership cannot go on."""
        if self._failure is not None:
            raise BrokerError(f"the membership of the consumer group has ended: {self._failure!r}")
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._changes.get_nowait())
        return found

    def close(self) -> None:
        """Leave the group; whatever was assigned is another's then, so it must have been given up before."""
        self._closing.set()
        while self._thread.is_alive():
            if self._failure is None:
                for change in self.changes():
                    change.done()
            self._thread.join(_POLL_MS / 1000)
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
