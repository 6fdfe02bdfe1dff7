"""A long synthetic stream whose tastes flip: memory, recall after each flip, and what the drift detectors make of it.

Run: python -m benchmarks.drift_stream [--events N] [--flip-every N] [--model NAME ...] [--no-adapt] [--settled]
     [--out FOLDER]

A lane takes the events as columns, without a log. Flips are of two kinds in turn (`producers/synthetic.py`): `taste`, and
`items`, after which nothing that was learned of the items holds. It prints

- resident memory, and its least-squares slope after the warm-up in MiB per million events (Linux only);
- of each flip, after how many events which model's drift was noticed, and how recall@10 went: right after it as a share of
  that of the `BEFORE` events before, and after how many events at least 90 % of that was back (over the next `WINDOW`);
- false alarms: drifts that do not lie within `IN_TIME` events after a flip, per million events. One that does not, but
  still within `BEFORE`, says again of a second model what was said in time of another: these are told apart.

With --out, flips.json and drift.png are written there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.one_off_users import resident_bytes, slope
from consumers.lane import Lane, LaneConfig
from consumers.predictions import PredictionBlock
from eventlog.events import EventBatch
from online_models.ageing import AdaptiveDecayConfig
from online_models.drift import DETECTORS, Drift
from online_models.interactions import NOT_RANKED
from online_models.model import ModelConfig
from online_models.registry import DEFAULT_MODELS, MODELS
from producers.synthetic import ITEMS, TASTE, SyntheticConfig, SyntheticStream

BATCH: Final = 8_192
IN_TIME: Final = 5_000
BEFORE: Final = 20_000
BIN: Final = 250
WINDOW: Final = 2_000
BACK: Final = 0.9
_CUTOFF: Final = 10
_SAMPLE_EVERY: Final = 16 * BATCH


def drifting(events: int, flip_every: int, seed: int, items: int = 800) -> SyntheticConfig:
    """The stream: 500 users at a time with 50 events each, so that each lives through one flip at most."""
    return SyntheticConfig(
        events=events,
        users=500,
        user_events=50,
        items=items,
        flip_every=flip_every,
        flips=(ITEMS, TASTE),
        seed=seed,
    )


def lane_config(
    models: Sequence[str], detector: str = "adwin", *, adapt: bool = True, max_users: int = 2_000
) -> LaneConfig:
    """Of a lane whose models adapt after a drift, or not. max_users: of whom only the newest 500 come again."""
    adaptive = {name: MODELS[name].config_type for name in models}
    configs: dict[str, ModelConfig] = {
        name: config(drift_pace=1)
        for name, config in adaptive.items()
        if not adapt and issubclass(config, AdaptiveDecayConfig)
    }
    return LaneConfig(
        models=tuple(models),
        configs=configs,
        scale=(1.0, 5.0),
        max_users=max_users,
        top_every=0,
        drift=detector,
    )


class Settled(SyntheticStream):
    """All items are there from the start: the catalogue does not grow, so neither should memory."""

    def _arrived(self, number: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.ones(len(number))


class Flip(NamedTuple):
    """What came of one flip.

    noticed: events until the first drift of each model, within `IN_TIME`. dropped: {model: recall over the first
    `WINDOW` events as a share of that before}; back: {model: events until `BACK` of it was back}, None for never.
    """

    at: int
    kind: str
    noticed: dict[str, int]
    dropped: dict[str, float]
    back: dict[str, int | None]

    @property
    def delay(self) -> int | None:
        """Events until it was noticed; None where it was not, in time."""
        return min(self.noticed.values(), default=None)


class Course:
    """What a stream came to: hits and ranked events of each `BIN`, and drifts."""

    def __init__(self, config: SyntheticConfig, models: Sequence[str]) -> None:
        self.config = config
        bins = -(-config.events // BIN)
        self.hits = {name: np.zeros(bins, np.int32) for name in models}
        self.ranked = np.zeros(bins, np.int32)
        self.drifts: list[Drift] = []

    def update(self, block: PredictionBlock) -> None:
        """Take the predictions of the next events."""
        bins = (block.first_seq + np.arange(len(block.flags))) // BIN
        first = int(bins[0])
        for name, hits in self.hits.items():
            ranks = block.ranks[name]
            hit = np.bincount(bins - first, (ranks >= 1) & (ranks <= _CUTOFF))
            hits[first : first + len(hit)] += hit.astype(np.int32)
        told = np.bincount(bins - first, ranks != NOT_RANKED)
        self.ranked[first : first + len(told)] += told.astype(np.int32)
        self.drifts.extend(block.drifts)

    def recall(self, model: str, start: int, end: int) -> float:
        """Recall@10 over events [start, end), of whole bins."""
        part = slice(start // BIN, end // BIN)
        return float(self.hits[model][part].sum() / max(self.ranked[part].sum(), 1))

    def flips(self) -> list[Flip]:
        """All flips that have `BEFORE` events before and after them."""
        config, found = self.config, []
        for number in range(1, config.events // config.flip_every + 1):
            at = number * config.flip_every
            if at < BEFORE or at + BEFORE > config.events:
                continue
            noticed: dict[str, int] = {}
            for drift in self.drifts:
                if at < drift.at <= at + IN_TIME:
                    noticed.setdefault(drift.model, drift.at - at)
            before = {name: self.recall(name, at - BEFORE, at) for name in self.hits}
            dropped = {name: self.recall(name, at, at + WINDOW) / before[name] for name in self.hits}
            back = {name: self._back(name, at, before[name]) for name in self.hits}
            found.append(Flip(at, config.flips[(number - 1) % len(config.flips)], noticed, dropped, back))
        return found

    def _back(self, model: str, at: int, before: float) -> int | None:
        last = min(self.config.events, at + self.config.flip_every) - WINDOW
        for start in range(at, last + 1, BIN):
            if self.recall(model, start, start + WINDOW) >= BACK * before:
                return start - at
        return None

    def false_alarms(self) -> list[Drift]:
        """Drifts that do not lie within `IN_TIME` events after a flip."""
        every = self.config.flip_every
        return [one for one in self.drifts if one.at < every or not 0 < one.at % every <= IN_TIME]

    def late(self) -> list[Drift]:
        """Those of the false alarms that lie within `BEFORE` events after a flip."""
        every = self.config.flip_every
        return [one for one in self.false_alarms() if one.at > every and one.at % every <= BEFORE]


def batch_of(stream: SyntheticStream, first: int, size: int) -> EventBatch:
    """Events [first, first + size) of a stream as a learner polls them, of one source and partition."""
    columns = stream.block(first, size)
    n = columns.size
    zeros, numbers = np.zeros(n, np.int32), np.arange(first, first + n, dtype=np.int64)
    return EventBatch(
        sources=(stream.source_id,),
        users=columns.users,
        items=columns.items,
        ratings=columns.ratings,
        event_time_ms=columns.event_time_ms,
        kinds=np.zeros(n, np.uint8),
        source_index=zeros,
        source_seq=numbers,
        key_hash=np.zeros(n, np.uint64),
        partition=zeros,
        offset=numbers,
        index=zeros,
        append_time_ms=columns.event_time_ms,
    )


class Memory(NamedTuple):
    """Resident bytes after so many events."""

    events: list[int]
    bytes: list[int]

    def slope(self, warm_up: int) -> float:
        """MiB per million events, of what came after `warm_up` events."""
        warm = sum(at <= warm_up for at in self.events)
        return slope(self.events[warm:], self.bytes[warm:])


def learn(
    stream: SyntheticStream, lane: Lane, *, until: int | None = None, tell: bool = False
) -> tuple[Course, Memory]:
    """Let a lane learn the stream, the first `until` events or all; tell: print a line a million events."""
    end = stream.config.events if until is None else until
    course, memory = Course(stream.config, list(lane.models)), Memory([], [])
    for first in range(0, end, BATCH):
        block = lane.test_then_learn(batch_of(stream, first, min(BATCH, end - first)))
        if block is not None:
            course.update(block)
        if (first + BATCH) % _SAMPLE_EVERY == 0:
            memory.events.append(first + BATCH)
            memory.bytes.append(resident_bytes())
        if tell and (first + BATCH) // 1_000_000 > first // 1_000_000:
            print(
                f"{first + BATCH:,} events, {resident_bytes() / 2**20:,.1f} MiB, {len(course.drifts)} drifts, "
                f"{time.process_time():,.0f} s of processor time",
                flush=True,
            )
    return course, memory


def summary(course: Course, memory: Memory, warm_up: int) -> list[str]:
    """Lines that say what came of it."""
    flips, wrong, events = course.flips(), course.false_alarms(), course.config.events
    lines = []
    if sum(at > warm_up for at in memory.events) > 1:
        lines.append(f"memory: {memory.slope(warm_up):+.3f} MiB a million events after {warm_up:,} events")
    for kind in dict.fromkeys(flip.kind for flip in flips):
        of_kind = [flip for flip in flips if flip.kind == kind]
        delays = [flip.delay for flip in of_kind if flip.delay is not None]
        lines.append(
            f"{kind}: {len(delays)} of {len(of_kind)} flips noticed within {IN_TIME:,} events, after {_spread(delays)}"
        )
        for name in course.hits:
            back = [flip.back[name] for flip in of_kind]
            there = [one for one in back if one is not None]
            drop = float(np.mean([flip.dropped[name] for flip in of_kind]))
            lines.append(
                f"  {name}: recall@10 right after {drop:.2f} of that before; {BACK:.0%} of it back in {len(there)} of "
                f"{len(back)}, after {_spread(there)} events"
            )
    per_million = len(wrong) / events * 1e6
    lines.append(
        f"false alarms: {len(wrong)}, {per_million:.2f} a million events; {len(course.late())} of them after a flip, late"
    )
    lines += [f"  {one.model} at {one.at:,}: {one.before:.3f} to {one.after:.3f}" for one in wrong]
    lines += [f"recall@10 of {name}: {course.recall(name, 0, events):.4f}" for name in course.hits]
    return lines


def _spread(values: Sequence[int]) -> str:
    if not values:
        return "-"
    return f"{min(values):,} to {max(values):,}, median {int(np.median(values)):,}"


def draw(course: Course, path: Path, events: int, others: Mapping[str, Course] | None = None) -> None:
    """Picture of recall@10 over the last `events` events, with flips and drifts; others: more curves, by label."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    start, end = max(0, course.config.events - events), course.config.events
    figure, axes = plt.subplots(figsize=(10, 4.2), layout="constrained")
    colours = {}
    for label, one in ({"": course} | dict(others or {})).items():
        for number, name in enumerate(one.hits):
            x, y = _curve(one, name, start, end)
            style = {"ls": "-"} if not label else {"ls": "--", "alpha": 0.7}
            [line] = axes.plot(x, y, color=f"C{number}", lw=1.2, label=f"{name} {label}".strip(), **style)
            colours[name] = line.get_color()
    every, kinds = course.config.flip_every, course.config.flips
    for number in range(start // every + 1, end // every + 1):
        axes.axvline(number * every / 1e3, color="0.75", lw=1, zorder=0)
        kind = kinds[(number - 1) % len(kinds)]
        axes.text(
            number * every / 1e3, 1.01, kind, transform=axes.get_xaxis_transform(), ha="center", fontsize=8
        )
    for drift in course.drifts:
        if start <= drift.at < end:
            axes.plot(
                drift.at / 1e3,
                0,
                "v" if drift.worse else "^",
                color=colours[drift.model],
                ms=7,
                clip_on=False,
                zorder=5,
            )
    axes.set(
        xlabel="thousand events",
        ylabel=f"recall@10, of {WINDOW:,} events",
        xlim=(start / 1e3, end / 1e3),
        ylim=0,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _curve(
    course: Course, model: str, start: int, end: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.arange(start, end - WINDOW + 1, WINDOW // 4)
    recall = np.array([course.recall(model, int(at), int(at) + WINDOW) for at in edges])
    return (edges + WINDOW) / 1e3, recall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--flip-every", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm-up", type=int, default=1_000_000, help="events before the slope is taken")
    parser.add_argument("--model", action="append", choices=sorted(MODELS))
    parser.add_argument("--drift", choices=[*DETECTORS, "none"], default="adwin")
    parser.add_argument("--no-adapt", action="store_true", help="models go on as if nothing had been noticed")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--settled", action="store_true", help="all items are there from the start")
    arguments = parser.parse_args()
    models = tuple(arguments.model or DEFAULT_MODELS)
    config = drifting(arguments.events, arguments.flip_every, arguments.seed, arguments.items)
    lane = Lane(0, (0,), 1, lane_config(models, arguments.drift, adapt=not arguments.no_adapt))
    stream = Settled(config) if arguments.settled else SyntheticStream(config)
    course, memory = learn(stream, lane, tell=True)
    print("\n".join(summary(course, memory, arguments.warm_up)))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        said: dict[str, Any] = {
            "flips": [flip._asdict() for flip in course.flips()],
            "drifts": [drift._asdict() for drift in course.drifts],
            "memory": memory._asdict(),
        }
        (arguments.out / "flips.json").write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=1))
        draw(course, arguments.out / "drift.png", 6 * arguments.flip_every)


if __name__ == "__main__":
    main()
