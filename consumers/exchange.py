"""A lane's part in what lanes teach each other of items: its own contributions out, those of the others in.

    at multiples of `every` events, and after `every_s` seconds:   publish own ► take what is complete ► journal it ► fold it in

Own contributions are published as changes, by blocks of item rows: a block goes out when one of its rows has changed by
`Pace.least_change` since it last did. They need no acknowledgement: a restart learns the same, and says all of it once more.
What is taken is durable in the journal before the next event is predicted with it (`ExchangeJournal`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.contributions import (
    POSITION_KEY,
    Block,
    Contribution,
    Ids,
    block_record,
    changed_blocks,
    decode_contribution,
    ids_records,
    position_record,
    state_of,
)
from consumers.epochs import Epoch
from consumers.exchange_journal import ExchangeJournal, Taken
from consumers.lane import Lane
from eventlog.log import Log, LogWriter, Record
from online_models.ids import ABSENT
from online_models.item_shares import NO_POST, ItemState

_ROWS_A_BLOCK: Final = (1024, 64)  # of models without and with synapses
_RECORDS_A_POLL: Final = 4096
_MAX_ROWS: Final = 1 << 26
_GENERATIONS_AN_EPOCH: Final = 1 << 20
_log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """When lanes exchange: before events whose number in the lane is a multiple of `every`, and after `every_s` seconds.

    least_change: share by which a row must have changed to be told anew.
    """

    every: int
    every_s: float
    least_change: float = 1 / 32


class _Unread(NamedTuple):
    value: bytes
    ends: bool  # an exchange of its source
    next_offset: int
    append_time_ms: int


class _Source:
    """Another lane. row_of: int32[its rows] in this lane, `ABSENT` where there is none. unread: read, not yet complete."""

    def __init__(self) -> None:
        self.generation = -1
        self.row_of = np.zeros(0, np.int32)
        self.offset = 0
        self.unread: list[_Unread] = []
        self.told_ms = 0


class Exchange:
    """The exchange of one lane, through `topic`, where each of `partitions` lanes has the partition of its number.

    folder: of the lane's checkpoints; epoch: of their owner, in a group. caught_up: whether no event is left that an earlier life may have predicted; before,
    it exchanges nothing because of time, which that life may not have done there.
    """

    def __init__(
        self,
        lane: Lane,
        log: Log,
        topic: str,
        partitions: int,
        folder: Path,
        pace: Pace,
        epoch: Epoch | None = None,
    ) -> None:
        self._lane = lane
        self._topic = topic
        self._pace = pace
        lane.on_items_kept = self._renumber
        self._journal = ExchangeJournal(folder, epoch)
        self._sources = {number: _Source() for number in range(partitions) if number != lane.number}
        self._reader = log.reader(topic, sorted(self._sources))
        # What a later owner tells counts more, whenever an earlier one's comes.
        self._first_generation = 0 if epoch is None else epoch.number * _GENERATIONS_AN_EPOCH
        self._generation = self._first_generation
        self._evicted = 0
        self._said_ids = 0
        self._sent: dict[str, tuple[NDArray[np.float64], int]] = {}
        self._exchanged_at = -1
        self._exchanged_s = time.monotonic()
        self._recovering: Taken | None = None
        self._folds = 0
        self.caught_up = True
        self.bytes_sent = self.bytes_taken = 0

    # -- when ---------------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """How many events may be learned before the next exchange; 0 where one is due."""
        at = self._lane.learned
        if self._recovering is not None:
            return self._recovering.at - at
        waited_s = time.monotonic() - self._exchanged_s
        if self._exchanged_at < 0 or (self.caught_up and waited_s >= self._pace.every_s):
            return 0
        left = self._pace.every - at % self._pace.every
        return 0 if left == self._pace.every and at != self._exchanged_at else left

    def step(self, writer: LogWriter) -> None:
        """Exchange."""
        at = self._lane.learned
        if self._recovering is None:
            self._journal.check()
            if at != self._exchanged_at:
                self._publish(writer)
            self._take()
        while self._recovering is not None and self._recovering.at == at:
            self._fold(self._recovering)
            self._recovering = self._journal.read(self._folds)
        self._exchanged_at, self._exchanged_s = at, time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the source that has been silent for longest last told anything; 0 before all have."""
        oldest_ms = min(source.told_ms for source in self._sources.values())
        return max(time.time() - oldest_ms / 1000, 0.0) if oldest_ms else 0.0

    # -- own contributions --------------------------------------------------------------------------------------------

    def _publish(self, writer: LogWriter) -> None:
        rows = self._lane.rows
        if rows.evicted_items != self._evicted:  # rows have other numbers now
            self._evicted, self._generation = rows.evicted_items, self._generation + 1
            self._said_ids, self._sent = 0, {}
        items = len(rows.items)
        records: list[Record] = []
        if items > self._said_ids:
            records += ids_records(rows.items.ids(), self._generation, self._said_ids)
            self._said_ids = items
        for name, model in self._lane.models.items():
            assert model.shares is not None
            sizes, base = model.shares.sizes()
            changed = self._changed(name, sizes, base, model.shares.half_life)
            size = _ROWS_A_BLOCK[model.shares.has_synapses]
            plain_base = base - model.clock_ahead(self._lane.now)
            for block in changed_blocks(changed, size):
                part = np.arange(block * size, min((block + 1) * size, len(sizes)), dtype=np.int32)
                state = model.shares.contribution(part)
                records.append(block_record(name, block, part, state, plain_base, self._generation))
                self._sent[name][0][part] = sizes[part]
        records.append(position_record(self._generation, self._lane.learned, items))
        writer.append(self._topic, self._lane.number, records)
        self.bytes_sent += sum(len(record.key or b"") + len(record.value or b"") for record in records)

    def _changed(
        self, name: str, sizes: NDArray[np.float64], base: int, half_life: float
    ) -> NDArray[np.bool_]:
        """Which rows have changed enough since they were sent; what was sent, on the scale of now, in `_sent`."""
        sent = np.zeros(len(sizes))
        if name in self._sent:
            before, its_base = self._sent[name]
            sent[: len(before)] = before * 2.0 ** ((its_base - base) / half_life)
        self._sent[name] = (sent, base)
        changed: NDArray[np.bool_] = np.abs(sizes - sent) > self._pace.least_change * sent
        return changed

    # -- contributions of others --------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Take what others have told completely."""
        self._read()
        values: dict[int, list[bytes]] = {}
        next_offsets = {}
        for number, source in self._sources.items():
            ends = [at for at, one in enumerate(source.unread) if one.ends]
            if ends:
                complete, source.unread = source.unread[: ends[-1] + 1], source.unread[ends[-1] + 1 :]
                values[number] = [one.value for one in complete]
                next_offsets[number] = complete[-1].next_offset
                source.told_ms = complete[-1].append_time_ms
        # Also where there is nothing, for a restart would find something.
        taken = Taken(number=self._folds, at=self._lane.learned, values=values, next_offsets=next_offsets)
        self._journal.write(taken)
        self._fold(taken)

    def _read(self) -> None:
        while found := self._reader.poll(_RECORDS_A_POLL, 0.0):
            for batch in found:
                nexts = [*batch.offsets[1:].tolist(), batch.next_offset]
                columns = zip(batch.keys, batch.values, nexts, batch.append_time_ms.tolist(), strict=True)
                self._sources[batch.partition].unread += [
                    _Unread(value, key == POSITION_KEY, after, time_ms)
                    for key, value, after, time_ms in columns
                    if value is not None
                ]

    def _fold(self, taken: Taken) -> None:
        changed: dict[str, list[NDArray[np.int32]]] = {name: [] for name in self._lane.models}
        for number, values in sorted(taken.values.items()):
            source = self._sources[number]
            for value in values:
                self.bytes_taken += len(value)
                said = _decoded(value)
                if isinstance(said, Ids):
                    self._learn_ids(number, source, said, changed)
                elif said is not None and said.generation == source.generation:
                    if isinstance(said, Block):
                        self._replace(number, source, said, changed)
                    else:
                        heard = self._lane.heard
                        heard[number] = max(heard.get(number, 0), said.learned)
            source.offset = taken.next_offsets[number]
        items = len(self._lane.rows.items)
        for name, rows in changed.items() if taken.values else ():
            distinct = np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int32)
            self._lane.models[name].adopt_items(items, distinct.astype(np.int32))
        self._folds = taken.number + 1

    def _learn_ids(
        self, number: int, source: _Source, said: Ids, changed: dict[str, list[NDArray[np.int32]]]
    ) -> None:
        """Learn which of the source's rows is which item; all is said anew in a new generation."""
        if said.generation < source.generation:
            return
        try:
            ids = said.array()
        except ValueError as error:
            _log.warning("a contribution of lane %d is left out: %s", number, error)
            return
        if said.first + len(ids) > _MAX_ROWS:
            return
        if said.generation > source.generation:
            source.generation, source.row_of = said.generation, np.zeros(0, np.int32)
            for name, model in self._lane.models.items():
                if model.shares is not None:
                    model.shares.withdraw(number)
                    changed[name].append(np.arange(len(self._lane.rows.items), dtype=np.int32))
        have = len(source.row_of)
        row_of = np.full(max(said.first + len(ids), have), ABSENT, np.int32)
        row_of[:have] = source.row_of
        row_of[said.first : said.first + len(ids)] = self._lane.rows.learn_of(ids)
        source.row_of = row_of

    def _replace(
        self, number: int, source: _Source, said: Block, changed: dict[str, list[NDArray[np.int32]]]
    ) -> None:
        model = self._lane.models.get(said.model)
        if model is None or model.shares is None:
            return
        try:
            state = state_of(said)
        except ValueError as error:
            _log.warning("a contribution of lane %d is left out: %s", number, error)
            return
        base = said.base + model.clock_ahead(self._lane.now)
        rows = source.row_of[said.first : said.first + len(state.activity)]
        known = np.flatnonzero(rows != ABSENT)
        state = ItemState(
            state.activity[known],
            np.full(len(known), base, np.int64),
            *_in_rows_here(state.weight[known], state.post[known], source.row_of),
        )
        model.shares.reserve(len(self._lane.rows.items))
        model.shares.replace(number, rows[known], state)
        changed[said.model].append(rows[known])

    def _renumber(self, items: NDArray[np.int32]) -> None:
        """Item items[i] of the lane has become row i; the others are gone."""
        for source in self._sources.values():
            row_of = np.full(
                int(max(source.row_of.max(initial=0), items.max(initial=0))) + 2, ABSENT, np.int32
            )
            row_of[items] = np.arange(len(items), dtype=np.int32)
            source.row_of = row_of[source.row_of]  # row -1 is the last, which is absent

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def folds(self) -> int:
        """How many entries of the journal the state holds."""
        return self._folds

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a checkpoint: rows-<source> int32[its rows]."""
        return {f"rows-{number}": source.row_of for number, source in self._sources.items()}

    def meta(self) -> dict[str, Any]:
        """JSON-able rest of the state."""
        return {
            "generation": self._generation,
            "evicted": self._evicted,
            "folds": self._folds,
            "exchanged_at": self._exchanged_at,
            "sources": {str(n): [s.generation, s.offset] for n, s in self._sources.items()},
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what `arrays` and `meta` describe."""
        self._generation = max(meta["generation"], self._first_generation)
        self._evicted, self._folds = meta["evicted"], meta["folds"]
        self._exchanged_at = meta["exchanged_at"]
        for number, source in self._sources.items():
            if str(number) in meta["sources"]:
                source.generation, source.offset = meta["sources"][str(number)]
                source.row_of = arrays[f"rows-{number}"].copy()

    def recover(self) -> None:
        """Once the lane stands where it goes on from: repeat what an earlier life took after that; then read on."""
        self.caught_up = False
        self._recovering = self._journal.read(self._folds)
        offsets = {number: source.offset for number, source in self._sources.items()}
        number = self._folds
        while (taken := self._journal.read(number)) is not None:
            offsets |= taken.next_offsets
            number += 1
        for source, offset in offsets.items():
            if offset:
                self._reader.seek(source, offset)

    def prune(self, folds: int) -> None:
        """Let the journal's entries below `folds` go: every checkpoint that is kept has them."""
        self._journal.prune(folds)

    def close(self) -> None:
        """Release."""
        self._reader.close()


def _decoded(value: bytes) -> Contribution | None:
    """One record; None, with a warning, for one that cannot be read: it is told anew with the next change."""
    try:
        return decode_contribution(value)
    except msgspec.DecodeError as error:
        _log.warning("a contribution is left out: %s", error)
        return None


def _in_rows_here(
    weight: NDArray[np.float32], post: NDArray[np.int32], row_of: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Synapses with posts by the rows of this lane; those to items that it does not have are left out."""
    known = np.append(row_of, ABSENT)  # the last one: of NO_POST
    here = known[np.where((post >= 0) & (post < len(row_of)), post, len(row_of))]
    order = np.argsort(here == ABSENT, axis=1, kind="stable")
    here = np.take_along_axis(np.where(here == ABSENT, NO_POST, here), order, 1)
    return np.take_along_axis(np.where(here >= 0, weight, 0), order, 1), here.astype(np.int32)
