"""Prequential (test-then-train) ranking evaluation of one lane, for several models at once.

Dawid (1984), "Statistical theory: the prequential approach"; on streams of feedback: Vinagre, Jorge & Gama (2014),
"Evaluation of recommender systems in streaming environments".

State is integer histograms and sequential recurrences, so it is bit-identical however the stream is cut into blocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from evaluation.named_arrays import refill
from evaluation.ranking import (
    BUCKETS,
    MISS,
    NOT_RANKED,
    clip_ranks,
    count_ranks,
    empty_histogram,
)
from evaluation.time_windows import TimeWindows
from evaluation.windows import fade, slide

Array = NDArray[Any]
STATE_VERSION: Final = 2
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class PrequentialConfig:
    """What is kept beside the cumulative histograms.

    windows: sliding windows, in events. time_windows_s: sliding windows of event time, in whole seconds (see
    `evaluation.time_windows` for their granularity). fading_factors: in (0, 1); a fades to 1/e in about 1 / (1 - a) events.
    curve_interval: events between curve points, doubled (and every second point dropped) whenever `curve_points`
    points are reached, so that a curve has between half of that and all of it. `curve_points` is even.
    Raises `ValueError` for values outside these ranges.
    """

    windows: tuple[int, ...] = (1_000, 10_000)
    time_windows_s: tuple[int, ...] = (DAY_S, 7 * DAY_S, 30 * DAY_S)
    fading_factors: tuple[float, ...] = (0.999,)
    curve_interval: int = 100
    curve_points: int = 400

    def __post_init__(self) -> None:
        if not self.windows or min(self.windows) < 1:
            raise ValueError(f"windows is {self.windows}, expected one or more numbers of events >= 1")
        if any(seconds < 1 for seconds in self.time_windows_s):
            raise ValueError(f"time_windows_s is {self.time_windows_s}, expected whole seconds >= 1")
        if any(not 0.0 < factor < 1.0 for factor in self.fading_factors):
            raise ValueError(f"fading_factors is {self.fading_factors}, expected numbers in (0, 1)")
        if self.curve_interval < 1:
            raise ValueError(f"curve_interval is {self.curve_interval}, expected events >= 1")
        if self.curve_points < 2 or self.curve_points % 2:
            raise ValueError(f"curve_points is {self.curve_points}, expected an even number >= 2")


class CurvePoint(NamedTuple):
    """Where the histograms of all models stood after `events` events.

    cumulative: int64[M, 22]. windows: int64[M, W, 22]. time_windows: int64[M, T, 22].
    """

    events: int
    cumulative: NDArray[np.int64]
    windows: NDArray[np.int64]
    time_windows: NDArray[np.int64]


class PrequentialRanking:
    """Histograms of one lane's ranks, for the M models of `models` (kept sorted).

    events: events taken so far, the next expected `lane_seq`. repeats, new_items, new_users: how many of them.
    cumulative, last_70: int64[M, 22]. windows: int64[M, W, 22]. time_windows: int64[M, T, 22]. faded: float64[M, F, 22].
    curve: points at multiples of `curve_interval`. total_events: what the source announced, or None.
    """

    def __init__(self, models: Iterable[str], config: PrequentialConfig | None = None) -> None:
        self.config = config or PrequentialConfig()
        self.models = tuple(sorted(set(models)))
        count = len(self.models)
        self.events = 0
        self.repeats = 0
        self.new_items = 0
        self.new_users = 0
        self.total_events: int | None = None
        # The announcement came too late, or changed: which events were the last 70 % cannot be known any more.
        self._last_70_lost = False
        self.cumulative = empty_histogram(count)
        self._last_70 = empty_histogram(count)
        self._sizes = np.array(self.config.windows, np.int64)
        self._ring = np.zeros((count, max(self.config.windows)), np.uint8)
        self.windows = empty_histogram(count, len(self.config.windows))
        self._time = TimeWindows(count, self.config.time_windows_s)
        self._factors = np.array(self.config.fading_factors, np.float64)
        self.faded = np.zeros((count, len(self._factors), BUCKETS), np.float64)
        self.curve_interval = self.config.curve_interval
        self.curve: list[CurvePoint] = []

    @property
    def last_70_from(self) -> int | None:
        """The `lane_seq` from which the last 70 % count: floor(0.3 * total_events); None where unknown."""
        return None if self.total_events is None or self._last_70_lost else _thirty_percent(self.total_events)

    @property
    def last_70(self) -> NDArray[np.int64] | None:
        """Histograms int64[M, 22] of the events from `last_70_from` on; None where that is unknown."""
        return None if self.last_70_from is None else self._last_70

    @property
    def time_windows(self) -> NDArray[np.int64]:
        """Histograms int64[M, T, 22] over the windows of event time."""
        return self._time.windows

    @property
    def clock_ms(self) -> int | None:
        """The greatest event time so far; None before the first event, or where no window of event time is kept."""
        return self._time.clock_ms

    def counted_from(self, first_seq: int) -> int | None:
        """Index of the first event of the last 70 % in a block that begins at `first_seq`; None where unknown."""
        return None if self.last_70_from is None else max(0, self.last_70_from - first_seq)

    def update(
        self,
        ranks: Mapping[str, NDArray[np.int32]],
        *,
        event_time_ms: NDArray[np.int64],
        repeat: NDArray[np.bool_],
        new_item: NDArray[np.bool_],
        new_user: NDArray[np.bool_],
        total_events: int | None,
    ) -> NDArray[np.uint8]:
        """Take the next n events, and return their histogram indices, uint8[M, n].

        ranks: {model: int32[n]}, 1 = best, 0 exactly for repeats, -1 for a miss, as every new item is.
        event_time_ms: int64[n]. repeat, new_item, new_user: bool[n]. total_events: as announced by the source, None where unknown.
        Raises `ValueError`, and then changes nothing, when models, lengths or ranks are not these.
        """
        self._check(ranks, event_time_ms, repeat, new_item, new_user)
        self._announce(total_events)
        n = len(repeat)
        clipped = np.array([clip_ranks(ranks[model]) for model in self.models], np.uint8)
        clipped = clipped.reshape(len(self.models), n)
        done = 0
        while done < n:
            to_point = self.curve_interval - self.events % self.curve_interval
            upto = min(n, done + to_point)
            self._advance(clipped[:, done:upto], event_time_ms[done:upto])
            done = upto
            if self.events % self.curve_interval == 0:
                self._add_point()
        self.repeats += int(np.count_nonzero(repeat))
        self.new_items += int(np.count_nonzero(new_item))
        self.new_users += int(np.count_nonzero(new_user))
        return clipped

    def arrays(self) -> dict[str, Array]:
        """Return the state's arrays by name, as copies."""
        return {
            "cumulative": self.cumulative.copy(),
            "last_70": self._last_70.copy(),
            "ring": self._ring.copy(),
            "windows": self.windows.copy(),
            "faded": self.faded.copy(),
            **{name: array.copy() for name, array in self._time.arrays().items()},
            "curve_events": np.array([point.events for point in self.curve], np.int64),
            "curve_cumulative": _stack([point.cumulative for point in self.curve], self.cumulative.shape),
            "curve_windows": _stack([point.windows for point in self.curve], self.windows.shape),
            "curve_time_windows": _stack(
                [point.time_windows for point in self.curve], self.time_windows.shape
            ),
        }

    def meta(self) -> dict[str, Any]:
        """Return the rest of the state, JSON-able."""
        return {
            "state_version": STATE_VERSION,
            "models": list(self.models),
            "config": describe_config(self.config),
            "events": self.events,
            "repeats": self.repeats,
            "new_items": self.new_items,
            "new_users": self.new_users,
            "total_events": self.total_events,
            "last_70_lost": self._last_70_lost,
            "curve_interval": self.curve_interval,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Self:
        """Return the state that `arrays()` and `meta()` gave. Raises `ValueError` if they do not fit."""
        if meta.get("state_version") != STATE_VERSION:
            raise ValueError(f"state_version is {meta.get('state_version')!r}, expected {STATE_VERSION}")
        state = cls(meta["models"], config_of(meta["config"]))
        targets: dict[str, Array] = {
            "cumulative": state.cumulative,
            "last_70": state._last_70,
            "ring": state._ring,
            "windows": state.windows,
            "faded": state.faded,
        }
        refill(targets | state._time.arrays(), arrays)
        state.events = meta["events"]
        state.repeats = meta["repeats"]
        state.new_items = meta["new_items"]
        state.new_users = meta["new_users"]
        state.total_events = meta["total_events"]
        state._last_70_lost = meta["last_70_lost"]
        state.curve_interval = meta["curve_interval"]
        state.curve = [
            CurvePoint(int(events), *(histogram.copy() for histogram in histograms))
            for events, *histograms in zip(
                arrays["curve_events"],
                arrays["curve_cumulative"],
                arrays["curve_windows"],
                arrays["curve_time_windows"],
                strict=True,
            )
        ]
        return state

    def digest(self) -> str:
        """Sha256 of the whole state, the same however the stream was cut or interrupted."""
        whole = hashlib.sha256(json.dumps(self.meta(), sort_keys=True).encode())
        for name, array in sorted(self.arrays().items()):
            whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
            whole.update(array.tobytes())
        return whole.hexdigest()

    def _check(
        self,
        ranks: Mapping[str, NDArray[np.int32]],
        event_time_ms: NDArray[np.int64],
        repeat: NDArray[np.bool_],
        new_item: NDArray[np.bool_],
        new_user: NDArray[np.bool_],
    ) -> None:
        if tuple(sorted(ranks)) != self.models:
            raise ValueError(f"ranks are of models {sorted(ranks)}, expected {list(self.models)}")
        if not len(repeat) == len(new_item) == len(new_user) == len(event_time_ms):
            raise ValueError("event_time_ms, repeat, new_item and new_user differ in length")
        for model, column in ranks.items():
            if len(column) != len(repeat):
                raise ValueError(f"{model} has {len(column)} ranks, expected {len(repeat)}")
            wrong = (column < MISS) | ((column == NOT_RANKED) != repeat) | (new_item & (column != MISS))
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValueError(
                    f"{model} gives rank {column[at]} to lane_seq {self.events + at} (repeat: {bool(repeat[at])}, "
                    f"new item: {bool(new_item[at])}), expected 0 exactly for a repeat, -1 for a new item, "
                    "and -1 or >= 1 otherwise"
                )

    def _announce(self, total_events: int | None) -> None:
        if total_events is None or total_events == self.total_events:
            return
        counted = self.total_events is not None and self.events > _thirty_percent(self.total_events)
        self._last_70_lost |= counted or self.events > _thirty_percent(total_events)
        self.total_events = total_events

    def _advance(self, clipped: NDArray[np.uint8], event_time_ms: NDArray[np.int64]) -> None:
        """Take events (uint8[M, n], clipped) up to the next curve point at most."""
        last_70_from = self.last_70_from
        for row in range(len(self.models)):
            column = clipped[row]
            self.cumulative[row] += count_ranks(column)
            if last_70_from is not None:
                self._last_70[row] += count_ranks(column[max(0, last_70_from - self.events) :])
            slide(column, self._ring[row], self.events, self._sizes, self.windows[row])
            fade(column, self._factors, self.faded[row])
        self._time.update(clipped, event_time_ms)
        self.events += clipped.shape[1]

    def _add_point(self) -> None:
        self.curve.append(
            CurvePoint(self.events, self.cumulative.copy(), self.windows.copy(), self.time_windows.copy())
        )
        if len(self.curve) == self.config.curve_points:
            self.curve = self.curve[1::2]
            self.curve_interval *= 2


def describe_config(config: PrequentialConfig) -> dict[str, Any]:
    """Return a configuration as JSON has it (lists for tuples)."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()
    }


def config_of(description: Mapping[str, Any]) -> PrequentialConfig:
    """Return the configuration that `describe_config` described."""
    values = dict(description)
    for name in ("windows", "time_windows_s", "fading_factors"):
        values[name] = tuple(values[name])
    return PrequentialConfig(**values)


def _thirty_percent(total_events: int) -> int:
    """floor(0.3 * total_events), in integers."""
    return 3 * total_events // 10


def _stack(histograms: Sequence[Array], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(histograms, np.int64).reshape(len(histograms), *shape)
