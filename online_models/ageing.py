"""An adaptive half-life: after a drift, memory fades faster for a while.

Memory fades on tau, which accumulates dt / half_life. A drift makes the half-life `drift_pace` times as short until
`drift_half_lives` have gone by at that pace, if it is worse by a share of `drift_least`: small falls have other causes
than memory that no longer holds, such as a rush of new users, and are not mended by forgetting. So the past is never faded anew, and models keep their kernels and their one
half-life: they are given a clock that runs ahead instead,

    aged(now) = now + gained + (pace - 1) * min(max(now - start, 0), ticks)

in whole ticks, where `start` is when the newest drift was, `ticks` how long it lasts, and `gained` what earlier drifts had
added until then. A late event is as late as it was: aged(tick) = aged(now) - (now - tick).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.drift import Drift
from online_models.interactions import Interactions
from online_models.model import ClockName, DecayConfig
from online_models.parameter_ranges import check_range

_NEVER: Final = np.iinfo(np.int64).max // 2
_LATEST, _START, _GAINED = range(3)


@dataclass(frozen=True)
class AdaptiveDecayConfig(DecayConfig):
    """See the module and `DecayConfig`. drift_pace: a whole number; 1 is no adaptation."""

    drift_pace: int = 10
    drift_half_lives: float = 2.0
    drift_least: float = 0.3

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "drift_pace", least=1, most=1_000_000)
        check_range(self, "drift_half_lives", least=0, most=1_000)
        check_range(self, "drift_least", least=0, most=1)


class Ageing:
    """The clock of one model's memory. state: int64[3]: newest tick seen, start of the newest adaptation, gained."""

    def __init__(self, config: AdaptiveDecayConfig, clock: ClockName) -> None:
        self._pace = config.drift_pace
        self._least = config.drift_least
        self._ticks = round(config.drift_half_lives * config.half_life_ticks(clock) / config.drift_pace)
        self.state: NDArray[np.int64] = np.array([0, _NEVER, 0], np.int64)

    def age(self, events: Interactions) -> Interactions:
        """The events by the clock of memory; in order, and all that there are."""
        self.state[_LATEST] = events.now[-1]
        if self.state[_START] == _NEVER:
            return events
        now = self._aged(events.now)
        return events._replace(tick=now - (events.now - events.tick), now=now)

    def at(self, now: int) -> int:
        """Where the clock of memory stands at `now`, which is not before the newest event. Pure."""
        start, gained = int(self.state[_START]), int(self.state[_GAINED])
        return now + gained + (self._pace - 1) * min(max(now - start, 0), self._ticks)

    def _aged(self, now: NDArray[np.int64]) -> NDArray[np.int64]:
        run = np.minimum(np.maximum(now - self.state[_START], 0), self._ticks)
        aged: NDArray[np.int64] = now + self.state[_GAINED] + (self._pace - 1) * run
        return aged

    def adapt(self, drift: Drift) -> bool:
        """Fade faster from here on, if the model became worse by enough; returns whether it did."""
        worse = drift.before - drift.after >= self._least * drift.before
        if worse:
            latest = self.state[_LATEST]
            self.state[_GAINED] = self._aged(latest[None])[0] - latest
            self.state[_START] = latest
        return worse
