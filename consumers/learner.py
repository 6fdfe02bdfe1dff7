"""The learner: read this first.

    poll ► decode ► order ► adopt ► TEST, then LEARN ► publish ► checkpoint

A commit is, in this order: (1) the batch is finished, (2) predictions and dead letters are published and
acknowledged, (3) the checkpoint is written, (4) offsets are committed to the log, as information. A restart seeks
to the checkpoint's positions and repeats what came after it; readers of the outputs drop what they have had.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumers.catalogue_reader import CatalogueReader
from consumers.epochs import Epoch
from consumers.exchange import Exchange, Pace
from consumers.failpoints import failpoint
from consumers.hand_over import ANY, HandOver
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.learner_metrics import LearnerPublisher
from consumers.metrics import LearnerMetrics
from consumers.model_versions import ModelVersions
from consumers.stream import Source, Stream
from consumers.topic_identity import check_is_same_topic, way_out
from eventlog.deadletter import DeadLetter
from eventlog.decode import decode
from eventlog.errors import BrokerError, FencedError
from eventlog.event_checks import Limits
from eventlog.log import Log, LogReader
from eventlog.model_records import PARTITION, ModelRecord, to_record
from eventlog.model_registry import ModelRegistry
from eventlog.topics import Topics
from online_models.batch import Batch

_log = logging.getLogger(__name__)

GROUP = "engram-learner"
_LOOK_AGAIN_S = 0.02  # while a lane waits for a batch model
_BLOCK_EVENTS = 16_384  # a prediction block is one record, whose size is bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerConfig:
    """lane: models and clock. merge: one lane over all partitions (replay), or a lane each (live).

    group: whether other learners may take over a lane (`consumers.group_learner`), which is owned by epochs then.
    batch_size: events tested and learned at a time; changes no result. A checkpoint is due after
    checkpoint_every_events or checkpoint_every_s, whichever comes first; that of a state above background_bytes is written
    in the background (`consumers.snapshot`). flush_every_s: how often predictions are made durable between checkpoints, at
    least. share_every_events, share_every_s: how often
    lanes of their own exchange what they learn of items (`LaneConfig.share`). stop_at_end: finish when every announced
    source has ended. batch_model: which one the model `batch` adopts versions of, from the registry at this address.
    """

    lane: LaneConfig
    merge: bool = True
    group: bool = False
    batch_size: int = 4096
    checkpoint_every_events: int = 200_000
    checkpoint_every_s: float = 10.0
    background_bytes: int = 256 << 20
    flush_every_s: float = 0.2
    share_every_events: int = 4_096
    share_every_s: float = 1.0
    stop_at_end: bool = True
    batch_model: str = "item_factors"
    registry: str = "registry"
    limits: Limits = field(default_factory=Limits)


class Learner:
    """Learns one ratings topic. `step` until `done`, or `run`; `close` commits what was learned.

    partitions: the only ones that it learns, each a lane of its own (`merge` is false); all by default. `take` and `release`
    change them between steps.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        config: LearnerConfig,
        checkpoint_directory: Path,
        metrics: LearnerMetrics | None = None,
        partitions: Collection[int] | None = None,
    ) -> None:
        self._log = log
        self._topics = topics
        self._config = config
        with way_out():
            self._partitions = log.partition_count(topics.ratings)
        self._checkpoints = checkpoint_directory
        self._writer = log.writer()
        self._catalogue = CatalogueReader(log, topics.items)
        self._publisher = LearnerPublisher(metrics, log, topics.ratings) if metrics else None
        self._versions = self._follow_versions() if Batch.name in config.lane.models else None
        mine = sorted(range(self._partitions) if partitions is None else partitions)
        groups = [(0, mine)] if config.merge else [(partition, [partition]) for partition in mine]
        self._streams = [self._open_stream(number, group) for number, group in groups]
        self._reader = self._open_reader()
        self._records_an_event, self._since_commit = 1 / 256, 0
        self._committed_at = self._flushed_at = time.monotonic()
        self._first_event_at: float | None = None
        self._between_steps = True
        self._waits = False  # a lane, for a batch model
        self._begun: dict[Stream, tuple[float, dict[int, int]]] = {}  # checkpoints that are being written
        self.fenced: set[int] = set()  # lanes that turned out to be another learner's
        self.on_dead_letters: Callable[[Sequence[DeadLetter]], None] | None = None
        # Called between slices of a step, when the state is one that existed: events of the last one to those of the next.
        self.between_slices: Callable[[int], int] | None = None
        self._slice = config.batch_size
        self._ends_at_start = log.bounds(topics.ratings)
        self.done = config.stop_at_end and all(
            stream.finished_before(self._ends_at_start) for stream in self._streams
        )

    def _open_stream(self, number: int, group: Sequence[int]) -> Stream:
        hand_over = None if self._versions is None else self._hand_over
        shares = self._config.lane.share and not self._config.merge and self._partitions > 1
        exchange, source = self._exchange if shares else None, Source(self._topics.ratings, self._partitions)
        of, folder, epochs = self._config.lane, self._checkpoints, self._config.group
        stream = Stream(number, group, source, of, folder, hand_over, exchange, epochs=epochs)
        check_is_same_topic(self._log, self._topics.ratings, stream.intake.marks)
        return stream

    def _open_reader(self) -> LogReader | None:
        """A reader of what all lanes read, from where they have read to; None without a lane."""
        self._of_partition = {p: stream for stream in self._streams for p in stream.lane.partitions}
        if not self._streams:
            return None
        reader = self._log.reader(self._topics.ratings, sorted(self._of_partition))
        for partition, stream in self._of_partition.items():
            offset = stream.intake.next_offset(partition)
            if stream.restored or offset:
                reader.seek(partition, offset)
        return reader

    def take(self, partitions: Collection[int]) -> None:
        """Learn these partitions too, from their checkpoints on. Raises as `Stream` does."""
        added = [self._open_stream(partition, [partition]) for partition in sorted(partitions)]
        self._change(sorted([*self._streams, *added], key=lambda stream: stream.lane.number))

    def rebalanced(self, change: str) -> None:
        """Count a change of what the group assigns, for the metrics."""
        if self._publisher:
            self._publisher.rebalanced(change)

    def release(self, partitions: Collection[int], *, commit: bool) -> None:
        """Learn these partitions no longer; commit what was learned, unless they are another's already."""
        if commit and self._since_commit:
            self.commit()
        for stream in self._streams:
            if stream.lane.number in partitions:
                self._begun.pop(stream, None)
                stream.close()
        self.fenced -= set(partitions)
        self._change([stream for stream in self._streams if stream.lane.number not in partitions])

    def _change(self, streams: list[Stream]) -> None:
        if streams == self._streams:
            return
        if self._reader is not None:
            self._reader.close()
        self._streams = streams
        self._reader = self._open_reader()
        self._ends_at_start = self._log.bounds(self._topics.ratings)

    def _follow_versions(self) -> ModelVersions:
        config = self._config
        registry = ModelRegistry(config.registry)
        return ModelVersions(self._log, self._topics.models, registry, config.batch_model, config.lane.scale)

    def _hand_over(self, lane: Lane) -> HandOver:
        assert self._versions is not None
        return HandOver(lane, self._versions, self._publish_durably)

    def _exchange(self, lane: Lane, folder: Path, epoch: Epoch | None) -> Exchange:
        pace = Pace(self._config.share_every_events, self._config.share_every_s)
        self._log.create_topic(self._topics.contributions, self._partitions, compacted=True)
        return Exchange(lane, self._log, self._topics.contributions, self._partitions, folder, pace, epoch)

    def _publish_durably(self, records: list[ModelRecord]) -> None:
        self._writer.append(self._topics.models, PARTITION, [to_record(record) for record in records])
        self._flush()

    def run(self) -> None:
        """Step until done."""
        while not self.done:
            self.step(0.2)

    @property
    def streams(self) -> list[Stream]:
        """The lanes with what feeds them; between steps only."""
        return self._streams

    @property
    def positions(self) -> dict[int, int]:
        """Of each partition, the offset of the next message that is not learned whole."""
        return {p: at for stream in self._streams for p, (at, _) in stream.intake.positions.items()}

    def step(self, timeout_s: float, events: int | None = None) -> int:
        """Poll once, learn what can be learned, commit when due; returns how many events were taken.

        events: about how many to poll, `batch_size` by default; changes no result.
        """
        with way_out():
            return self._step(timeout_s, events or self._config.batch_size)

    def _step(self, timeout_s: float, events: int) -> int:
        self._between_steps = False
        started = time.monotonic()
        self._poll(timeout_s, events)
        failpoint("polled")
        self._waits = False
        taken = sum(self._learn(stream) for stream in self._streams)
        if taken:
            self._first_event_at = self._first_event_at or started
            self._since_commit += taken
            failpoint("batch_learned")
        for stream in self._streams:
            assert self._reader is not None
            stream.hold_back(self._reader)
        if (
            self._config.stop_at_end
            and self._streams
            and all(stream.intake.ended for stream in self._streams)
        ):
            self._summarise()
            self.commit()
            self.done = True
        elif self._commit_due():
            self.commit(wait=False)
        elif time.monotonic() - self._flushed_at > self._config.flush_every_s:
            self._flush()
        if self._publisher:
            self._publisher.publish(
                self._streams, time.monotonic() - started if taken else None, final=self.done
            )
        self._between_steps = True
        return taken

    def _poll(self, timeout_s: float, wanted: int) -> None:
        """Read about `wanted` events into the intakes, however many of them a message holds.

        Nothing while a lane waits: what it cannot learn yet would only grow.
        """
        if self._waits or self._reader is None:
            time.sleep(min(timeout_s, _LOOK_AGAIN_S))
            return
        records = events = 0
        for batch in self._reader.poll(max(1, int(wanted * self._records_an_event)), timeout_s):
            decoded = decode(batch, self._config.limits, self._partitions)
            self._of_partition[batch.partition].intake.offer(batch.partition, decoded)
            records += len(batch.values)
            events += decoded.accepted
        if events:
            self._records_an_event = records / events

    def _learn(self, stream: Stream) -> int:
        """Test, then learn, all that is in order; returns how many events (bad ones included)."""
        count = 0
        self._exchange_if_due(stream)
        while (room := self._room(stream)) and (taken := stream.intake.take(room)) is not None:
            if not stream.lane.learned and len(taken.events):
                self._catalogue.read(stream.lane.rows)
            block = stream.lane.test_then_learn(taken.events, stream.intake.total_events)
            partition = stream.lane.partitions[0]
            if block is not None:
                if stream.hand_over is not None:
                    block = stream.hand_over.learned(block)
                self._writer.append(self._topics.predictions, partition, [block.to_record()])
            if taken.rejects:
                stream.lane.count_dead_letters(taken.rejects)
                if self.on_dead_letters is not None:
                    self.on_dead_letters(taken.rejects)
                letters = [letter.to_record() for letter in taken.rejects]
                self._writer.append(self._topics.dead_letters, 0, letters)
            count += (size := len(taken.events) + sum(letter.events for letter in taken.rejects))
            self._exchange_if_due(stream)
            if self.between_slices is not None:
                self._slice = self.between_slices(size)
        return count

    def _exchange_if_due(self, stream: Stream) -> None:
        if stream.exchange is None:
            return
        if not stream.exchange.caught_up:
            ends, positions = self._ends_at_start, stream.intake.positions
            stream.exchange.caught_up = all(offset >= ends[p].end for p, (offset, _) in positions.items())
        if stream.exchange.room() == 0:
            try:
                stream.exchange.step(self._writer)
            except FencedError as error:
                _log.warning("%s", error)
                self.fenced.add(stream.lane.number)

    def _room(self, stream: Stream) -> int:
        """How many events may be taken next; 0 where the lane must wait for a batch model first."""
        room = ANY
        # A step of the hand-over is before an event, so there must be one.
        if stream.hand_over is not None and stream.intake.has_events:
            room = stream.hand_over.room()
            self._waits |= room == 0
        if stream.exchange is not None:
            room = min(room, stream.exchange.room() or 1)
        return min(room, self._slice, self._config.batch_size, _BLOCK_EVENTS)

    def _commit_due(self) -> bool:
        if self._begun:
            return False  # a checkpoint is still being written
        waited = time.monotonic() - self._committed_at
        many = self._since_commit >= self._config.checkpoint_every_events
        return many or (self._since_commit > 0 and waited >= self._config.checkpoint_every_s)

    def _flush(self) -> None:
        self._writer.flush()
        self._flushed_at = time.monotonic()

    def commit(self, *, wait: bool = True) -> None:
        """Make what was learned durable; see the module for the order.

        wait: until it is; else checkpoints of lanes above `background_bytes` are only begun, and their offsets are
        committed in a later step, when they are durable.
        """
        for stream in list(self._begun):
            self._end_save(stream)
        failpoint("outputs_appended")
        self._flush()
        failpoint("outputs_acknowledged")
        offsets: dict[int, int] = {}
        started = time.monotonic()
        for stream in self._streams:
            self._catalogue.read(stream.lane.rows)
            positions = {partition: at for partition, (at, _) in stream.intake.positions.items()}
            if not wait and stream.state_bytes > self._config.background_bytes:
                self._begun[stream] = (time.monotonic(), positions)
                stream.begin_save()
            elif self._saved(stream, stream.save, time.monotonic()):
                offsets |= positions
        if self._publisher and self._streams:
            self._publisher.paused(time.monotonic() - started)
            self._publisher.look_at_synapses(self._streams)
        self._commit_offsets(offsets)
        self._since_commit = 0
        self._committed_at = time.monotonic()

    def _end_save(self, stream: Stream) -> None:
        """End a checkpoint that was begun; waits for it."""
        began, positions = self._begun.pop(stream)
        if self._saved(stream, stream.end_save, began):
            self._commit_offsets(positions)

    def _saved(self, stream: Stream, save: Callable[[], int], began: float) -> bool:
        """Save, or find that the lane is another learner's by now: then False."""
        try:
            state_bytes = save()
        except FencedError as error:
            _log.warning("%s", error)
            self.fenced.add(stream.lane.number)
            return False
        if self._publisher:
            self._publisher.checkpointed(state_bytes, time.monotonic() - began)
        return True

    def _commit_offsets(self, offsets: dict[int, int]) -> None:
        failpoint("checkpointed")
        try:
            self._log.commit(self._topics.group(GROUP), self._topics.ratings, offsets)
        except BrokerError as error:
            _log.warning("offsets are not committed; they are information only: %s", error)
        failpoint("offsets_committed")

    def _summarise(self) -> None:
        """Say once per lane what its state is at the end."""
        seconds = time.monotonic() - (self._first_event_at or time.monotonic())
        for stream in self._streams:
            summary = stream.summary(seconds).to_record()
            self._writer.append(self._topics.predictions, stream.lane.partitions[0], [summary])

    def close(self) -> None:
        """Commit what was learned since the last commit, and release.

        After a step that failed half-way nothing is committed: a restart repeats it from the checkpoint.
        """
        if self._since_commit and self._between_steps and not self.done:
            self.commit()
        for stream in list(self._begun):
            self._end_save(stream)
        if self._reader is not None:
            self._reader.close()
        self._writer.close()
        if self._versions is not None:
            self._versions.close()
        for stream in self._streams:
            stream.close()
