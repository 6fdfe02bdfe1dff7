"""Drift of a lane: detectors over blocks of `BLOCK` events by sequence, of a few watched models.

The number that a detector sees of a block is the mean of what its model made of the block's events: hits (rank <= 10)
of those that were ranked, or absolute errors of predicted ratings as shares of the scale; times `BLOCK`, for ADWIN's
bound is one of numbers in [0, 1], and the sum over a block is what it can be said of. What is noticed at a block's end
holds from the next block on, wherever the stream is cut.
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
from online_models.drift import DETECTORS, Drift, DriftDetector
from online_models.interactions import NOT_RANKED, Interactions, Predictions
from online_models.model import Model
from online_models.registry import DEFAULT_MODELS

BLOCK: Final = 256
NONE: Final = "none"
_CUTOFF: Final = 10


class Watched(NamedTuple):
    """What is watched of a model.

    ratings: errors of predicted ratings, else hits. either_way: any change is drift, not only one for the worse.
    """

    model: str
    ratings: bool
    either_way: bool


def watched_of(models: Mapping[str, Model]) -> list[Watched]:
    """Return what is watched: the champion's hits, a floor's, and the errors of the first model that predicts ratings.

    The champion gets better by learning, so only a fall is drift. A floor hardly learns: when it hits more or less
    than before, the stream has changed. Decayed popularity is taken before popularity.
    """
    ranking = sorted(name for name, model in models.items() if model.ranks)
    champion = champion_of(ranking, DEFAULT_MODELS)
    floors = [name for name in reversed(FLOORS) if name in ranking]
    rating = [name for name, model in models.items() if model.rates]
    return [
        *([] if champion is None else [Watched(champion, ratings=False, either_way=False)]),
        *(Watched(name, ratings=False, either_way=True) for name in floors[:1]),
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
        # Of the block that is not full yet; NaN where nothing was said of an event.
        self._pending = np.full((len(self._watched), BLOCK), np.nan)
        self._counts = np.zeros(len(self._watched), np.int64)

    def edges(self, learned: int, n: int) -> range:
        """Places among the next n events at which a block begins, when `learned` events lie before them."""
        return range(-learned % BLOCK, n, BLOCK) if self._watched else range(0)

    def take(self, learned: int, events: Interactions, said: Predictions, name: str) -> None:
        """Take what model `name` said of events of one block, of which the first is event `learned`."""
        at = learned % BLOCK
        for row, watched in enumerate(self._watched):
            if watched.model == name:
                values = self._errors(events, said) if watched.ratings else _hits(said)
                self._pending[row, at : at + len(values)] = values

    def end(self, learned: int) -> list[Drift]:
        """Say what was noticed, where a block ends with the events taken: `learned` so far."""
        if learned % BLOCK or not self._watched:
            return []
        drifts = []
        for row, (watched, detector) in enumerate(zip(self._watched, self._detectors, strict=True)):
            values = self._pending[row]
            told = ~np.isnan(values)
            if not told.any():
                continue
            change = detector.update(float(values[told].mean()) * BLOCK)
            if change is None:
                continue
            unit = (self._span if watched.ratings else 1.0) / BLOCK
            before, after = change.before * unit, change.after * unit
            if watched.either_way or (after > before) == watched.ratings:
                self._counts[row] += 1
                drifts.append(Drift(learned, watched.model, self._detector, before, after))
        self._pending[:] = np.nan
        return drifts

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
        named: Arrays = {"pending": self._pending, "counts": self._counts}
        for row, detector in enumerate(self._detectors):
            named.update({f"{row}/{name}": array for name, array in detector.arrays().items()})
        return named

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        self._pending[...] = arrays["pending"]
        self._counts[...] = arrays["counts"]
        for row, detector in enumerate(self._detectors):
            detector.restore(under(f"{row}/", arrays))

    def digest(self) -> str:
        """Sha256 of the state."""
        return hash_arrays(self.arrays())

    def _errors(self, events: Interactions, said: Predictions) -> NDArray[np.float64]:
        return np.abs(said.ratings - events.rating) / self._span


def _hits(said: Predictions) -> NDArray[np.float64]:
    hit = (said.ranks >= 1) & (said.ranks <= _CUTOFF)
    return np.where(said.ranks == NOT_RANKED, np.nan, hit)
