"""Whether one model ranks better than another, live: differences of Recall@10 with interval, and tests by session.

Every ranking model is compared with the champion (the first default model of the run that is no floor, else its first
model that is none) and with the floors in the run. Of each pair, over all events so far:

* the difference of Recall@10, with a 95 % interval that is robust to dependence within sessions (Liang & Zeger 1986,
  Biometrika 73(1); Cameron & Miller 2015, J. Human Resources 50(2)): over B sessions with N_b events and a difference
  D_b of hits, d = sum D / sum N and var(d) = B / (B - 1) sum (D_b - d N_b)^2 / (sum N)^2. It is the interval of this
  moment, not of all moments together;
* p_cluster, of d over its standard error; p_sign, the sign test on sessions; p_mcnemar, McNemar's test on events,
  which takes the events of a session as independent and so says too much where they are not: it is shown, and decides
  nothing.

Decisions: at looks every `look_every` events, the k-th may err with alpha / (k (k + 1)). These add up to alpha, so by
Bonferroni's inequality alpha holds however long one looks: spending after Lan & DeMets (1983), "Discrete sequential
boundaries for clinical trials", Biometrika 70(3). A pair is decided at the first look where p_cluster and p_sign are
both at most that, and both for the same model. Alpha is that of a pair; nothing is corrected for the number of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluation.floor import FLOORS
from evaluation.named_arrays import Arrays, refill
from evaluation.sessions import (
    AGAINST,
    BLOCKS,
    DIFFERENCE,
    EVENTS,
    EVENTS_SQUARED,
    FOR,
    SQUARED,
    TIMES_EVENTS,
    Sessions,
    close_ended,
    take_events,
    totals,
)
from evaluation.tails import Z_95, normal_two_sided, sign_test

UNDECIDED: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SignificanceConfig:
    """When and how carefully to look.

    alpha: chance, in (0, 1), that a pair of equal models is ever called different. look_every: events between looks.
    first_look: events before the first. min_blocks: sessions below which there is no look. session_gap_s: a gap of
    so many seconds of event time ends a session. Raises `ValueError` for values outside these ranges.
    """

    alpha: float = 0.05
    look_every: int = 10_000
    first_look: int = 10_000
    min_blocks: int = 50
    session_gap_s: int = 1_800

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha is {self.alpha}, expected a number in (0, 1)")
        for name in ("look_every", "first_look", "session_gap_s"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.min_blocks < 2:
            raise ValueError(f"min_blocks is {self.min_blocks}, expected at least 2")


def champion_of(models: Sequence[str], defaults: Sequence[str]) -> str | None:
    """Return the model that all others are compared with: see the module; None where all models are floors."""
    candidates = [model for model in models if model not in FLOORS]
    return next((model for model in defaults if model in candidates), next(iter(candidates), None))


def pairs_of(models: Sequence[str], defaults: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs (model, baseline) that are compared, each once: the floors' first, then the champion's."""
    champion = champion_of(models, defaults)
    baselines = [floor for floor in FLOORS if floor in models]
    baselines += [] if champion is None else [champion]
    return [
        (model, baseline)
        for at, baseline in enumerate(baselines)
        for model in models
        if model not in baselines[: at + 1]
    ]


def spent_at(look: int, alpha: float) -> float:
    """Return what the look of this number (from 1 on) may err with: alpha / (k (k + 1))."""
    return alpha / (look * (look + 1))


class Comparison:
    """Paired comparison of one lane's ranking models (sorted, as in `PrequentialRanking`)."""

    def __init__(
        self, models: Sequence[str], defaults: Sequence[str], config: SignificanceConfig | None = None
    ) -> None:
        self.config = config or SignificanceConfig()
        self.models = tuple(models)
        self.champion = champion_of(self.models, defaults)
        self.pairs = pairs_of(self.models, defaults)
        rows = [[self.models.index(name) for name in pair] for pair in self.pairs]
        # Nothing to compare needs no slots.
        self._sessions = Sessions.empty(len(self.models), np.array(rows, np.int32)) if self.pairs else None
        self._progress = np.zeros(2, np.int64)  # events, looks
        self._decided_at = np.full(len(self.pairs), UNDECIDED, np.int64)
        self._better = np.zeros(len(self.pairs), np.int8)

    @property
    def events(self) -> int:
        """Events taken so far."""
        return int(self._progress[0])

    @property
    def looks(self) -> int:
        """Looks taken so far."""
        return int(self._progress[1])

    def update(
        self, clipped: NDArray[np.uint8], user_hash: NDArray[np.uint32], time_ms: NDArray[np.int64]
    ) -> None:
        """Take events: clipped uint8[M, n] (histogram indices), user_hash uint32[n], time_ms int64[n]."""
        if self._sessions is None:
            return
        every, gap_ms = self.config.look_every, 1000 * self.config.session_gap_s
        done, n = 0, clipped.shape[1]
        while done < n:
            upto = min(n, done + every - int(self._progress[0]) % every)
            part = np.ascontiguousarray(clipped[:, done:upto])
            take_events(part, user_hash[done:upto], time_ms[done:upto], gap_ms, self._sessions)
            self._progress[0] += upto - done
            done = upto
            if self._progress[0] % every == 0:
                close_ended(gap_ms, self._sessions)
                if self._progress[0] >= self.config.first_look:
                    self._look()

    def totals(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return shared int64[4], sums int64[P, 5] and discordant int64[P, 2] of `Sessions`, open ones included."""
        if self._sessions is None:
            return np.zeros(4, np.int64), np.zeros((0, 5), np.int64), np.zeros((0, 2), np.int64)
        shared, sums = totals(self._sessions)
        return shared, sums, self._sessions.discordant

    def decision(self, pair: int) -> tuple[int, str] | None:
        """Return (events at the look, the better model) of a decided pair, else None."""
        if self._decided_at[pair] == UNDECIDED:
            return None
        return int(self._decided_at[pair]), self.pairs[pair][0 if self._better[pair] > 0 else 1]

    def arrays(self) -> Arrays:
        """Return the state's arrays by name; of the slots only those with an open session."""
        if self._sessions is None:
            return self._own()
        at = np.flatnonzero(self._sessions.events).astype(np.int32)
        open_ones: Arrays = {
            "open_slots": at,
            "open_time_ms": self._sessions.time_ms[at],
            "open_events": self._sessions.events[at],
            "open_hits": self._sessions.hits[at],
        }
        return self._own() | open_ones

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays()` gave. Raises `ValueError` if they do not fit."""
        refill(self._own(), arrays)
        if self._sessions is not None:
            at = arrays["open_slots"]
            self._sessions.events[:] = 0
            self._sessions.hits[:] = 0
            self._sessions.time_ms[at] = arrays["open_time_ms"]
            self._sessions.events[at] = arrays["open_events"]
            self._sessions.hits[at] = arrays["open_hits"]

    def _own(self) -> Arrays:
        """All of the state but the open sessions."""
        own: Arrays = {"progress": self._progress, "decided_at": self._decided_at, "better": self._better}
        if self._sessions is not None:
            for name in ("shared", "sums", "discordant"):
                own[name] = getattr(self._sessions, name)
        return own

    def _look(self) -> None:
        shared, sums, discordant = self.totals()
        if shared[BLOCKS] < self.config.min_blocks:
            return
        self._progress[1] += 1
        allowed = spent_at(self.looks, self.config.alpha)
        for pair in np.flatnonzero(self._decided_at == UNDECIDED):
            found = difference_figures(shared, sums[pair], discordant[pair])
            better = np.sign(sums[pair, DIFFERENCE])
            if (
                max(found["p_cluster"], found["p_sign"]) <= allowed
                and better != 0
                and better == np.sign(sums[pair, FOR] - sums[pair, AGAINST])
            ):
                self._decided_at[pair] = self._progress[0]
                self._better[pair] = better


def difference_figures(
    shared: NDArray[np.int64], sums: NDArray[np.int64], discordant: NDArray[np.int64]
) -> dict[str, Any]:
    """Return effect, interval and p-values of one pair; None where there are too few sessions (none, or one).

    shared: int64[4], sums: int64[5], discordant: int64[2], as in `Sessions`. Sums are exact until the last division.
    """
    blocks, events, events_squared = (int(shared[at]) for at in (BLOCKS, EVENTS, EVENTS_SQUARED))
    total, squared, times_events, better, worse = (
        int(sums[at]) for at in (DIFFERENCE, SQUARED, TIMES_EVENTS, FOR, AGAINST)
    )
    figures: dict[str, Any] = dict.fromkeys(("difference", "low", "high", "p_cluster"))
    if events:
        figures["difference"] = total / events
    if blocks > 1:
        # sum (D - d N)^2 with d = total / events, times events^2.
        spread = squared * events**2 - 2 * total * times_events * events + total**2 * events_squared
        error = math.sqrt(blocks / (blocks - 1) * spread) / events**2
        difference = total / events
        figures["low"], figures["high"] = difference - Z_95 * error, difference + Z_95 * error
        figures["p_cluster"] = normal_two_sided(difference / error) if error else float(total == 0)
    return figures | {
        "p_sign": sign_test(better, worse),
        "p_mcnemar": sign_test(int(discordant[0]), int(discordant[1])),
        "ranked": events,
        "sessions": blocks,
        "sessions_for": better,
        "sessions_against": worse,
        "events_for": int(discordant[0]),
        "events_against": int(discordant[1]),
    }


def significance_of(lanes: Sequence[Comparison]) -> dict[str, Any] | None:
    """Return the comparison of lanes together, JSON-able; None where there is no pair.

    Sessions of several lanes are of different users, so their sums add up; decisions are None there, for the events of
    lanes have no common order to look in.
    """
    first = lanes[0]
    if not first.pairs:
        return None
    parts = [lane.totals() for lane in lanes]
    shared, sums, discordant = (np.sum([part[at] for part in parts], axis=0) for at in range(3))
    alone = len(lanes) == 1
    pairs = []
    for row, (model, baseline) in enumerate(first.pairs):
        decided = first.decision(row) if alone else None
        pairs.append(
            {
                "model": model,
                "baseline": baseline,
                **difference_figures(shared, sums[row], discordant[row]),
                "decided_at": None if decided is None else decided[0],
                "better": None if decided is None else decided[1],
            }
        )
    return {
        "measure": "recall@10",
        "alpha": first.config.alpha,
        "look_every": first.config.look_every,
        "session_gap_s": first.config.session_gap_s,
        "looks": first.looks if alone else None,
        "champion": first.champion,
        "pairs": pairs,
    }
