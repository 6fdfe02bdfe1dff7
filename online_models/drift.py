"""Drift detectors over a series of numbers: they notice when its mean changes.

Each is the detector of the same name in River (`river.drift.ADWIN`, `river.drift.PageHinkley`), with its state in
named arrays: the same changes on the same numbers, and a change starts the detector anew with the next number.

- ADWIN (Bifet & Gavalda 2007, "Learning from time-changing data with adaptive windowing") keeps a window of the newest
  numbers in buckets of 1, 2, 4, ... numbers, at most `MAX_BUCKETS` + 1 a size. It looks for a cut of the window W into an
  older part of n0 numbers and a newer one of n1 whose means differ by more than

      sqrt(2 v d / m) + 2 d / (3 m),    d = ln(2 ln(n) / delta),    1 / m = 1 / (n0 - L + 1) + 1 / (n1 - L + 1)

  with n numbers of variance v in W, and L the least length of a part.
- Page-Hinkley (Page 1954, "Continuous inspection schemes"; with fading, Gama et al. 2014, "A survey on concept drift
  adaptation") adds up deviations from the running mean, less what is tolerated, and looks how far the sum has come from
  its extreme:

      up = alpha up + (x - mean) - delta,    down = alpha down + (x - mean) + delta
      change where up - min(up) > threshold, or max(down) - down > threshold
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.parameter_ranges import check_range

MAX_BUCKETS: Final = 5
_SIZES: Final = 40  # sizes of buckets: 2^39 numbers are more than any stream has

# Places in ADWIN's scalars: of the numbers in the window, how many, their sum, and their squared deviations' sum.
_WIDTH, _TOTAL, _SQUARES = 0, 1, 2
# Places in Page-Hinkley's: how many numbers, their mean, both sums and their extremes, and of the numbers up to each
# extreme how many and the sum, with the sum of all.
_N, _MEAN, _UP, _LEAST, _DOWN, _MOST, _LEAST_N, _LEAST_SUM, _MOST_N, _MOST_SUM, _SUM = range(11)


class Drift(NamedTuple):
    """What is watched of a model has changed.

    at: `lane_seq` of the first event after it was noticed. model: which was watched. detector: that noticed. before,
    after: means of what was watched, before the change and since; larger is better.
    """

    at: int
    model: str
    detector: str
    before: float
    after: float

    @property
    def worse(self) -> bool:
        """Whether the model does worse than before."""
        return self.after < self.before


class Change(NamedTuple):
    """The mean changed from `before` to `after`, as far as the detector can tell; since: of how many numbers that is."""

    before: float
    after: float
    since: int


class DriftDetector(ABC):
    """Watches one series of finite numbers."""

    name: ClassVar[str]

    @abstractmethod
    def update(self, value: float) -> Change | None:
        """Take the next number; say a change where there is one. After it the detector knows nothing."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays of the whole state, of constant size, for checkpoints and digests."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        for name, array in self.arrays().items():
            array[...] = arrays[name]


@dataclass(frozen=True)
class AdwinConfig:
    """delta: confidence, in (0, 1). min_part: least numbers of a part (L); grace: no look before as many numbers."""

    delta: float = 0.02
    min_part: int = 5
    grace: int = 10

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "delta", above=0, most=1)
        check_range(self, "min_part", "grace", least=1)


class Adwin(DriftDetector):
    """ADWIN that looks after each number: `river.drift.ADWIN(delta, 1, MAX_BUCKETS, min_part, grace)`.

    Since a change starts it anew, the window is not shortened first. The means of a change are those of the cut that
    exceeds its bound by the greatest factor.
    """

    name: ClassVar[str] = "adwin"

    def __init__(self, config: AdwinConfig | None = None) -> None:
        self.config = config or AdwinConfig()
        self._scalars = np.zeros(3, np.float64)
        self._counts = np.zeros(_SIZES, np.int64)
        self._totals = np.zeros((_SIZES, MAX_BUCKETS + 1), np.float64)

    def update(self, value: float) -> Change | None:
        """See `DriftDetector.update`."""
        _insert(self._scalars, self._counts, self._totals, value)
        config = self.config
        if self._scalars[_WIDTH] <= config.grace:
            return None
        excess, before, after, since = _best_cut(
            self._scalars, self._counts, self._totals, config.delta, config.min_part
        )
        if excess <= 1.0:
            return None
        for array in (self._scalars, self._counts, self._totals):
            array[...] = 0
        return Change(before, after, int(since))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """scalars: float64[3]; counts: int64[sizes] buckets; totals: float64[sizes, 6], oldest first."""
        return {"scalars": self._scalars, "counts": self._counts, "totals": self._totals}


@numba.njit(cache=True)
def _insert(
    scalars: NDArray[np.float64],
    counts: NDArray[np.int64],
    totals: NDArray[np.float64],
    value: float,
) -> None:
    """Put a number into a bucket of its own; of a full size, the two oldest become one of the next."""
    width = scalars[_WIDTH]
    if width > 0:
        deviation = value - scalars[_TOTAL] / width
        scalars[_SQUARES] += width * deviation * deviation / (width + 1.0)
    scalars[_WIDTH] += 1.0
    scalars[_TOTAL] += value
    totals[0, counts[0]] = value
    counts[0] += 1
    size = 0
    while counts[size] > MAX_BUCKETS:
        totals[size + 1, counts[size + 1]] = totals[size, 0] + totals[size, 1]
        counts[size + 1] += 1
        counts[size] -= 2
        for place in range(counts[size]):
            totals[size, place] = totals[size, place + 2]
        # Unused places are 0, so that equal states have equal bytes.
        totals[size, counts[size] : counts[size] + 2] = 0.0
        size += 1


@numba.njit(cache=True)
def _best_cut(
    scalars: NDArray[np.float64],
    counts: NDArray[np.int64],
    totals: NDArray[np.float64],
    delta: float,
    min_part: int,
) -> tuple[float, float, float, float]:
    """By what factor means differ more than they may, at the cut where it is greatest; 0 without one.

    With both means, and the length of the newer part.
    """
    width = scalars[_WIDTH]
    certainty = np.log(2.0 * np.log(width) / delta)
    variance = scalars[_SQUARES] / width
    n0, n1 = 0.0, width
    total0, total1 = 0.0, scalars[_TOTAL]
    excess, before, after, since = 0.0, 0.0, 0.0, 0.0
    for back in range(len(counts)):
        size = len(counts) - 1 - back
        held = 2.0**size
        for place in range(counts[size]):
            n0 += held
            n1 -= held
            total0 += totals[size, place]
            total1 -= totals[size, place]
            if n0 >= min_part and n1 >= min_part:
                inverse = 1.0 / (n0 - min_part + 1.0) + 1.0 / (n1 - min_part + 1.0)
                most = np.sqrt(2.0 * inverse * variance * certainty) + 2.0 / 3.0 * certainty * inverse
                factor = abs(total0 / n0 - total1 / n1) / most
                if factor > excess:
                    excess, before, after, since = factor, total0 / n0, total1 / n1, n1
    return excess, before, after, since


@dataclass(frozen=True)
class PageHinkleyConfig:
    """delta: deviation that is tolerated, threshold: of the sum, both in the unit of the numbers.

    alpha: fading of the sums, in (0, 1]. grace: no look before as many numbers.
    """

    delta: float = 4.0
    threshold: float = 60.0
    alpha: float = 1.0
    grace: int = 10

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "delta", least=0)
        check_range(self, "threshold", above=0)
        check_range(self, "alpha", above=0, most=1)
        check_range(self, "grace", least=1)


class PageHinkley(DriftDetector):
    """Two-sided Page-Hinkley: `river.drift.PageHinkley(grace, delta, threshold, alpha, "both")`."""

    name: ClassVar[str] = "page_hinkley"

    def __init__(self, config: PageHinkleyConfig | None = None) -> None:
        self.config = config or PageHinkleyConfig()
        self._scalars = np.zeros(_SUM + 1, np.float64)
        self._forget()

    def _forget(self) -> None:
        self._scalars[:] = 0
        self._scalars[_LEAST] = np.inf
        # River's: the first sum of both is delta, which is above.
        self._scalars[_MOST] = -1.0

    def update(self, value: float) -> Change | None:
        """See `DriftDetector.update`; the change is where the sum had its extreme."""
        s, config = self._scalars, self.config
        s[_N] += 1
        s[_SUM] += value
        s[_MEAN] += (value - s[_MEAN]) / s[_N]
        deviation = value - s[_MEAN]
        s[_UP] = config.alpha * s[_UP] + deviation - config.delta
        s[_DOWN] = config.alpha * s[_DOWN] + deviation + config.delta
        if s[_UP] < s[_LEAST]:
            s[_LEAST], s[_LEAST_N], s[_LEAST_SUM] = s[_UP], s[_N], s[_SUM]
        if s[_DOWN] > s[_MOST]:
            s[_MOST], s[_MOST_N], s[_MOST_SUM] = s[_DOWN], s[_N], s[_SUM]
        if s[_N] < config.grace:
            return None
        if s[_UP] - s[_LEAST] > config.threshold:
            n, total = s[_LEAST_N], s[_LEAST_SUM]
        elif s[_MOST] - s[_DOWN] > config.threshold:
            n, total = s[_MOST_N], s[_MOST_SUM]
        else:
            return None
        since = s[_N] - n
        change = Change(float(total / n), float((s[_SUM] - total) / since), int(since))
        self._forget()
        return change

    def arrays(self) -> dict[str, NDArray[Any]]:
        """scalars: float64[11], infinite where there is no extreme yet."""
        return {"scalars": self._scalars}


DETECTORS: Final[dict[str, type[Adwin] | type[PageHinkley]]] = {
    Adwin.name: Adwin,
    PageHinkley.name: PageHinkley,
}
