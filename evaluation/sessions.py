"""Hits of two models, paired by event and summed by session: the blocks that significance tests take as independent.

A session is a user's events with gaps of less than `gap_ms` of event time. Users are told apart by 2^16 slots of a
hash of their ids, so memory is fixed; users of one slot only merge their blocks, which makes tests a little more
careful. Everything is integers: bit-identical however the stream is cut into blocks.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

SLOTS: Final = 1 << 16
CUTOFF: Final = 10
BLOCKS, EVENTS, EVENTS_SQUARED, CLOCK = range(4)
DIFFERENCE, SQUARED, TIMES_EVENTS, FOR, AGAINST = range(5)


class Sessions(NamedTuple):
    """Open sessions by slot, and sums over closed ones; M models, P pairs of them.

    pairs: int32[P, 2], rows of the models compared. time_ms: int64[SLOTS], of the last event; events: int32[SLOTS],
    ranked in the open session, 0 where none is open; hits: int32[SLOTS, M], targets among the ten best.
    shared: int64[4], closed sessions, their events, the sum of the squares of their events, and the clock (greatest
    event time). sums: int64[P, 5] over closed sessions with difference D of hits and N events: D, D^2, D N, and how
    many have D > 0 and D < 0. discordant: int64[P, 2], events that the first alone hit, and the second alone.
    """

    pairs: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    events: NDArray[np.int32]
    hits: NDArray[np.int32]
    shared: NDArray[np.int64]
    sums: NDArray[np.int64]
    discordant: NDArray[np.int64]

    @classmethod
    def empty(cls, models: int, pairs: NDArray[np.int32]) -> Self:
        """No session yet. pairs: int32[P, 2]."""
        return cls(
            pairs,
            np.zeros(SLOTS, np.int64),
            np.zeros(SLOTS, np.int32),
            np.zeros((SLOTS, models), np.int32),
            np.array([0, 0, 0, np.iinfo(np.int64).min], np.int64),
            np.zeros((len(pairs), 5), np.int64),
            np.zeros((len(pairs), 2), np.int64),
        )


@njit(cache=True)
def _add(slot, sessions, shared, sums):  # type: ignore[no-untyped-def]
    """Add one open session to sums of closed ones."""
    n = np.int64(sessions.events[slot])
    shared[BLOCKS] += 1
    shared[EVENTS] += n
    shared[EVENTS_SQUARED] += n * n
    for p in range(len(sessions.pairs)):
        first, second = sessions.pairs[p, 0], sessions.pairs[p, 1]
        d = np.int64(sessions.hits[slot, first]) - np.int64(sessions.hits[slot, second])
        sums[p, DIFFERENCE] += d
        sums[p, SQUARED] += d * d
        sums[p, TIMES_EVENTS] += d * n
        if d > 0:
            sums[p, FOR] += 1
        elif d < 0:
            sums[p, AGAINST] += 1


@njit(cache=True)
def _close(slot, sessions):  # type: ignore[no-untyped-def]
    _add(slot, sessions, sessions.shared, sessions.sums)
    sessions.events[slot] = 0
    sessions.hits[slot] = 0


@njit(cache=True)
def take_events(clipped, user_hash, time_ms, gap_ms, sessions):  # type: ignore[no-untyped-def]
    """Take a block of events in order; those not ranked (index 0) are not there.

    clipped: uint8[M, n], histogram indices. user_hash: uint32[n]. time_ms: int64[n]. A late event belongs to the
    session that is open.
    """
    models, n = clipped.shape
    for i in range(n):
        sessions.shared[CLOCK] = max(sessions.shared[CLOCK], time_ms[i])
        if clipped[0, i] == 0:
            continue
        slot = np.int64(user_hash[i]) & (SLOTS - 1)
        if sessions.events[slot] > 0 and time_ms[i] - sessions.time_ms[slot] >= gap_ms:
            _close(slot, sessions)
        if sessions.events[slot] == 0:
            sessions.time_ms[slot] = time_ms[i]
        sessions.time_ms[slot] = max(sessions.time_ms[slot], time_ms[i])
        sessions.events[slot] += 1
        for m in range(models):
            if clipped[m, i] <= CUTOFF:
                sessions.hits[slot, m] += 1
        for p in range(len(sessions.pairs)):
            first, second = sessions.pairs[p, 0], sessions.pairs[p, 1]
            one, other = clipped[first, i] <= CUTOFF, clipped[second, i] <= CUTOFF
            if one and not other:
                sessions.discordant[p, 0] += 1
            elif other and not one:
                sessions.discordant[p, 1] += 1


@njit(cache=True)
def close_ended(gap_ms, sessions):  # type: ignore[no-untyped-def]
    """Close the sessions whose last event is `gap_ms` or more before the clock."""
    for slot in range(SLOTS):
        if sessions.events[slot] > 0 and sessions.shared[CLOCK] - sessions.time_ms[slot] >= gap_ms:
            _close(slot, sessions)


@njit(cache=True)
def totals(sessions):  # type: ignore[no-untyped-def]
    """Return `shared` and `sums` with the open sessions as they stand; changes nothing."""
    shared, sums = sessions.shared.copy(), sessions.sums.copy()
    for slot in range(SLOTS):
        if sessions.events[slot] > 0:
            _add(slot, sessions, shared, sums)
    return shared, sums
