"""Memory and speed of one lane, and of its measures, under users who come once or twice and never again.

Run: python -m benchmarks.one_off_users [--events N] [--max-users N] [--model NAME ...] [--keys]

A lane takes the events as columns, without a log. It prints resident memory every million events, and the
least-squares slope of all samples after the warm-up, in MiB per million events. Memory as the kernel counts it: Linux
only.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.lane_measures import LaneMeasures, MeasuresConfig
from evaluation.prequential import PrequentialConfig
from evaluation.significance import SignificanceConfig
from eventlog.events import EventBatch
from online_models.registry import DEFAULT_MODELS, MODELS

BATCH = 4096
_MIB = 1 << 20
_EPOCH_MS = 1_600_000_000_000
_MS_AN_EVENT = 10
_NEAR, _FAR = 2_000, 100_000  # quadruples of events until a user comes back
_DRIFT_EVERY = 2_000  # events until the favourites move on by one item
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Draw 64 bits for each number: the finaliser of SplitMix64."""
    x = numbers + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hex_ids(numbers: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Opaque ids of 32 hexadecimal digits, as long as a UUID: `S32`[n]."""
    raw = np.stack([mixed(numbers), mixed(~numbers)], axis=1).view(np.uint8)
    digits = np.stack([_HEX[raw >> 4], _HEX[raw & 15]], axis=2)
    return digits.reshape(len(numbers), 32).view("S32").reshape(-1)


class OneOffUsers:
    """A stream of which any part can be made: three of four users are new, the fourth comes back, once.

    Half of those come back soon, half after 400,000 events. items: in the catalogue; its favourites drift.
    keys: events have idempotency keys, and else numbers of one source.
    """

    def __init__(self, items: int = 4_000, *, keys: bool = False) -> None:
        width = len(str(items))
        self._ids = np.array([f"item-{at:0{width}d}".encode() for at in range(items)], np.bytes_)
        self._keys = keys

    def users(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the user of each event."""
        back = np.where(at // 4 % 2 == 0, _NEAR, _FAR)
        earlier = at - 1 - 4 * back
        return np.where((at % 4 == 3) & (earlier >= 0), earlier, at)

    def block(self, first: int, size: int) -> EventBatch:
        """Events [first, first + size)."""
        at = np.arange(first, first + size, dtype=np.int64)
        numbers = at.astype(np.uint64)
        share = (mixed(numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        item = (len(self._ids) * share**3).astype(np.int64) + at // _DRIFT_EVERY
        zeros = np.zeros(size, np.int32)
        none = np.full(size, -1, np.int64)
        return EventBatch(
            sources=() if self._keys else ("one-off",),
            users=hex_ids(self.users(at).astype(np.uint64)),
            items=self._ids[item % len(self._ids)],
            ratings=1.0 + (numbers % np.uint64(5)).astype(np.float64),
            event_time_ms=_EPOCH_MS + _MS_AN_EVENT * at,
            kinds=np.zeros(size, np.uint8),
            source_index=none.astype(np.int32) if self._keys else zeros,
            source_seq=none if self._keys else at,
            key_hash=mixed(~numbers) if self._keys else np.zeros(size, np.uint64),
            partition=zeros,
            offset=at,
            index=zeros,
            append_time_ms=_EPOCH_MS + _MS_AN_EVENT * at,
        )


class Fed:
    """A lane with its measures, and how much of the stream they have had."""

    def __init__(self, stream: OneOffUsers, config: LaneConfig) -> None:
        self._stream = stream
        self.lane = Lane(0, (0,), 1, config)
        models = self.lane.models.items()
        self.measures = LaneMeasures(
            MeasuresConfig(PrequentialConfig(), SignificanceConfig()),
            [name for name, model in models if model.ranks],
            [name for name, model in models if model.rates],
            [name for name, model in models if model.likes],
            [name for name, model in models if model.ranks_cold],
        )
        self.events = 0

    def feed(self, events: int) -> None:
        """Take the next events, in batches."""
        end = self.events + events
        while self.events < end:
            block = self.lane.test_then_learn(
                self._stream.block(self.events, min(BATCH, end - self.events)), end
            )
            if block is not None:
                self.measures.update(block)
            self.events = min(self.events + BATCH, end)

    @property
    def state_bytes(self) -> dict[str, int]:
        """Bytes in use: of what models share, of each model, of the measures."""
        measures = sum(array.nbytes for array in self.measures.arrays().values())
        sequences = sum(array.nbytes for array in self.lane.sequences.arrays().values())
        models = {name: model.state_bytes for name, model in self.lane.models.items()}
        return {
            "shared": self.lane.shared_state_bytes,
            "sequences": sequences,
            **models,
            "measures": measures,
        }


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def slope(events: Sequence[int], sizes: Sequence[int]) -> float:
    """Least-squares slope in MiB per million events."""
    return float(np.polyfit(np.array(events) / 1e6, np.array(sizes) / _MIB, 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--max-users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--warm-up", type=int, default=2_000_000, help="events before the slope is taken")
    parser.add_argument("--model", action="append", choices=sorted(MODELS))
    parser.add_argument("--keys", action="store_true", help="idempotency keys instead of source numbers")
    arguments = parser.parse_args()
    models = tuple(arguments.model or (*DEFAULT_MODELS, "user_hebbian", "isgd"))
    config = LaneConfig(models=models, configs={}, scale=(1.0, 5.0), max_users=arguments.max_users)
    fed = Fed(OneOffUsers(arguments.items, keys=arguments.keys), config)
    print(f"{', '.join(models)}; max_users {arguments.max_users:,}; {arguments.items:,} items")
    print("events, users evicted, resident MiB, state MiB, events/s, events per second of processor time")
    # A sample is of any phase between two evictions, so there are many of them.
    every = 8 * BATCH
    events, sizes = [], []
    told, since, since_cpu = 0, time.perf_counter(), time.process_time()
    while fed.events < arguments.events:
        before = fed.events // 1_000_000
        fed.feed(min(every, arguments.events - fed.events))
        events.append(fed.events)
        sizes.append(resident_bytes())
        if fed.events // 1_000_000 > before or fed.events == arguments.events:
            speed = (fed.events - told) / (time.perf_counter() - since)
            cpu_speed = (fed.events - told) / (time.process_time() - since_cpu)
            state = sum(fed.state_bytes.values()) / _MIB
            print(
                f"{fed.events:,}  {fed.lane.rows.evicted_users:,}  {sizes[-1] / _MIB:,.1f}  {state:,.1f}  "
                f"{speed:,.0f}  {cpu_speed:,.0f}",
                flush=True,
            )
            told, since, since_cpu = fed.events, time.perf_counter(), time.process_time()
    warm = sum(at <= arguments.warm_up for at in events)
    print({name: f"{size / _MIB:.2f} MiB" for name, size in fed.state_bytes.items()})
    if len(events) - warm > 1:
        print(
            f"slope from {arguments.warm_up:,} events on: {slope(events[warm:], sizes[warm:]):+.3f} MiB "
            f"per million events ({len(events) - warm} samples)"
        )


if __name__ == "__main__":
    main()
