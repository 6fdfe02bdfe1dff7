"""Drift of a lane: detectors over blocks of `BLOCK` events by sequence, of a few watched models.

What is watched of a model is how well it does, larger is better: of ranks the log-rank score 1 - ln(rank) / ln(items), which
is 1 for the best rank and 0 for the last of all known items, and of predicted ratings 1 - |error| / scale. A detector
sees one number a block: by how much the block's mean is above the fading mean of the blocks before, times `BLOCK` (for
ADWIN's bound is one of numbers in [0, 1], and the sum over a block is what it can be said of). So what changes slowly,
as a model learns or a catalogue grows, is no drift.

A change of the mean is drift where it is also one of the level: by a twentieth at least, so that it matters. After a
drift, and at the start, nothing is said for `SETTLE` blocks: the models are finding back, which is no news.
What is noticed at a block's end holds from the next block on, wherever the stream is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.floor import FLOORS
from evaluation.named_arrays import Arrays, hash_arrays, under
from evaluation.significance import champion_of
from eventlog.errors import SettingsError
from online_models.drift import DETECTORS, Change, Drift, DriftDetector
from online_models.interactions import Interactions, Predictions
from online_models.model import Model
from online_models.registry import DEFAULT_MODELS

BLOCK: Final = 256
NONE: Final = "none"
SETTLE: Final = 80
LEAST: Final = 0.05  # of the level before
_BASE_HALF_LIFE: Final = 20  # blocks, of the fading mean
_KEPT: Final = 160  # blocks whose means are kept, to tell what was before and since
_FADE: Final = 1.0 - 2.0 ** (-1.0 / _BASE_HALF_LIFE)
# Columns of what is known of a watched model: blocks until it is settled, since then how many, and their fading mean.
_REST, _SEEN, _BASE = range(3)


class Watched(NamedTuple):
    """What is watched of a model.

    ratings: predicted ratings, else ranks. either_way: any change is drift, not only one for the worse.
    """

    model: str
    ratings: bool
    either_way: bool


class _Told(NamedTuple):
    """What a model said of events of one block from place `at` on: ranks and items known, or ratings and what they were."""

    at: int
    said: NDArray[Any]
    of: NDArray[Any]


def watched_of(models: Mapping[str, Model]) -> list[Watched]:
    """Return what is watched: ranks of the champion, of a floor and of all that adapt, ratings of the first that rates.

    A model gets better by learning, so only a fall is drift. But a floor hardly learns: when it does better or worse
    than before, the stream has changed. Decayed popularity is taken before popularity.
    """
    ranking = sorted(name for name, model in models.items() if model.ranks)
    champion = champion_of(ranking, DEFAULT_MODELS)
    floor = next((name for name in reversed(FLOORS) if name in ranking), None)
    adapting = [name for name in ranking if type(models[name]).adapt is not Model.adapt]
    falling = dict.fromkeys([*([] if champion is None else [champion]), *adapting])
    falling.pop(floor or "", None)
    rating = [name for name, model in models.items() if model.rates]
    return [
        *(Watched(name, ratings=False, either_way=False) for name in falling),
        *([] if floor is None else [Watched(floor, ratings=False, either_way=True)]),
        *(Watched(name, ratings=True, either_way=False) for name in rating[:1]),
    ]


class DriftWatch:
    """The detectors of one lane.

    detector: a name in `DETECTORS`, or `NONE`. scale: least and greatest rating.
    Raises `SettingsError` for another name.
    """

    def __init__(self, detector: str, models: Mapping[str, Model], scale: tuple[float, float]) -> None:
        if detector != NONE and detector not in DETECTORS:
            raise SettingsError(f"drift is {detector!r}, expected one of {[*DETECTORS, NONE]}")
        self._detector = detector
        self._span = scale[1] - scale[0]
        self._watched = [] if detector == NONE else watched_of(models)
        self._detectors: list[DriftDetector] = [DETECTORS[detector]() for _ in self._watched]
        # Of the block that is not full yet; NaN where nothing was said of an event. Of the newest events, what was said
        # is told only: a live learner takes few events at a time, and scores of a block cost as much as those of one.
        self._pending = np.full((len(self._watched), BLOCK), np.nan)
        self._told: list[list[_Told]] = [[] for _ in self._watched]
        self._counts = np.zeros(len(self._watched), np.int64)
        self._state = np.zeros((len(self._watched), 3))
        self._state[:, _REST] = SETTLE
        # Means of the newest blocks that said something, the newest last; NaN where there were none.
        self._means = np.full((len(self._watched), _KEPT), np.nan)

    def edges(self, learned: int, n: int) -> range:
        """Places among the next n events at which a block begins, when `learned` events lie before them."""
        return range(-learned % BLOCK, n, BLOCK) if self._watched else range(0)

    def take(self, learned: int, events: Interactions, said: Predictions, name: str) -> None:
        """Take what model `name` said of events of one block, of which the first is event `learned`."""
        for row, watched in enumerate(self._watched):
            if watched.model == name:
                told = (
                    _Told(learned % BLOCK, said.ratings, events.rating)
                    if watched.ratings
                    else _Told(learned % BLOCK, said.ranks, events.items)
                )
                self._told[row].append(told)

    def _score(self) -> None:
        """Score what was told."""
        for row, (watched, told) in enumerate(zip(self._watched, self._told, strict=True)):
            if told:
                said, of = (np.concatenate(columns) for columns in list(zip(*told, strict=True))[1:])
                values = self._rating_scores(said, of) if watched.ratings else _rank_scores(said, of)
                self._pending[row, told[0].at : told[0].at + len(values)] = values
                told.clear()

    def end(self, learned: int) -> list[Drift]:
        """Say what was noticed, where a block ends with the events taken: `learned` so far."""
        if learned % BLOCK or not self._watched:
            return []
        self._score()
        drifts = []
        for row, watched in enumerate(self._watched):
            values = self._pending[row]
            told = ~np.isnan(values)
            if not told.any():
                continue
            change = self._update(row, float(values[told].mean()))
            if change is None:
                continue
            before, after = self._levels(row, change.since)
            fell = change.after < change.before and after < before
            if abs(after - before) >= LEAST * before and (watched.either_way or fell):
                self._counts[row] += 1
                self._state[row, _REST] = SETTLE
                drifts.append(Drift(learned, watched.model, self._detector, before, after))
        self._pending[:] = np.nan
        return drifts

    def _update(self, row: int, mean: float) -> Change | None:
        """Take the mean of a block; say a change of its distance to the fading mean."""
        state, means = self._state[row], self._means[row]
        means[:-1] = means[1:]
        means[-1] = mean
        if state[_REST]:
            state[_REST] -= 1
            return None
        if not state[_SEEN]:
            state[_BASE] = mean
        above = mean - state[_BASE]
        state[_SEEN] += 1
        state[_BASE] += above * max(1.0 / state[_SEEN], _FADE)
        change = self._detectors[row].update(float(above) * BLOCK)
        if change is not None:
            state[_SEEN] = 0
        return change

    def _levels(self, row: int, since: int) -> tuple[float, float]:
        """Means of the blocks before and after the clearest cut among the newest `since`.

        A detector says that there is a change; where it began, it knows by its buckets only.
        """
        since = min(since, _KEPT // 2)
        means = self._means[row, -since - 2 * _BASE_HALF_LIFE :]
        means = means[~np.isnan(means)]
        cuts = np.arange(max(len(means) - since, 1), len(means))
        total = np.cumsum(means)
        before, after = total[cuts - 1] / cuts, (total[-1] - total[cuts - 1]) / (len(means) - cuts)
        best = int(np.argmax(cuts * (len(means) - cuts) * (after - before) ** 2))
        return float(before[best]), float(after[best])

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """{(model, detector): drifts so far}, of every watched model."""
        counts: dict[tuple[str, str], int] = {}
        for watched, count in zip(self._watched, self._counts, strict=True):
            key = (watched.model, self._detector)
            counts[key] = counts.get(key, 0) + int(count)
        return counts

    def arrays(self) -> Arrays:
        """Named arrays of the whole state."""
        self._score()
        named: Arrays = {
            "pending": self._pending,
            "counts": self._counts,
            "state": self._state,
            "means": self._means,
        }
        for row, detector in enumerate(self._detectors):
            named.update({f"{row}/{name}": array for name, array in detector.arrays().items()})
        return named

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        for told in self._told:
            told.clear()
        self._pending[...] = arrays["pending"]
        self._counts[...] = arrays["counts"]
        self._state[...] = arrays["state"]
        self._means[...] = arrays["means"]
        for row, detector in enumerate(self._detectors):
            detector.restore(under(f"{row}/", arrays))

    def digest(self) -> str:
        """Sha256 of the state."""
        return hash_arrays(self.arrays())

    def _rating_scores(
        self, predicted: NDArray[np.float64], rating: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return 1.0 - np.abs(predicted - rating) / self._span


def _rank_scores(ranks: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float64]:
    """Log-rank scores; NaN for repeats, and for new items, which say nothing of a model."""
    ranked = ranks >= 1
    return np.where(ranked, 1.0 - np.log(np.where(ranked, ranks, 1)) / np.log(np.maximum(items, 2)), np.nan)
