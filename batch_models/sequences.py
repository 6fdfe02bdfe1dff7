"""Users' histories as windows of equal length: what a sequence model is trained on, and asked with."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batch_models.interactions import Interactions

PADDING: Final = -1
# Upper ends of the classes of a time gap, in seconds; beyond the last is a class of its own.
GAP_ENDS_S: Final = (1, 5, 15, 30, 60, 120, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400)
GAPS: Final = len(GAP_ENDS_S) + 1


class Windows(NamedTuple):
    """w windows of length L over users' histories, oldest event first, padded at the front.

    item: int64[w, L], PADDING where there is none. target: int64[w, L], the user's next item, PADDING where it is not to
    be predicted. gap: int64[w, L], class of the time since the user's event before. seen: int64[w, L], how many events
    the user has had by then, this one among them. user: int64[w].
    """

    item: NDArray[np.int64]
    target: NDArray[np.int64]
    gap: NDArray[np.int64]
    seen: NDArray[np.int64]
    user: NDArray[np.int64]


def training_windows(data: Interactions, length: int, stride: int) -> Windows:
    """Windows that end at a user's last event but one and every `stride` events before it.

    Each event but a user's first is a target exactly once: of all windows but a user's earliest, only the newest `stride`
    places are predicted, each after at least `length` - `stride` events. stride: 1 to length.
    """
    items, gaps, start = _histories(data)
    ends, users, fresh = [], [], []
    for user in range(data.users):
        first, last = start[user], start[user + 1] - 1
        end = last
        while end > first:
            ends.append(end)
            users.append(user)
            before = end - stride
            # The earliest window predicts all that it holds.
            fresh.append(stride if before > first else length)
            end = before
    owner = np.array(users, np.int64)
    place = np.array(ends, np.int64)[:, None] - length + np.arange(length)  # [w, L], of the inputs
    there = place >= start[owner][:, None]
    asked = there & (np.arange(length) >= length - np.array(fresh, np.int64)[:, None])
    safe = np.where(there, place, 0)
    return Windows(
        np.where(there, items[safe], PADDING),
        np.where(asked, items[np.minimum(safe + 1, len(items) - 1)], PADDING),
        np.where(there, gaps[safe], 0),
        np.where(there, place - start[owner][:, None] + 1, 0),
        owner,
    )


def last_windows(data: Interactions, length: int) -> Windows:
    """A window for each user that ends at the last event: nothing is a target."""
    items, gaps, start = _histories(data)
    user = np.arange(data.users)
    place = start[1:, None] - length + np.arange(length)  # [users, L]
    there = place >= start[:-1, None]
    safe = np.where(there, place, 0)
    item = np.where(there, items[safe], PADDING)
    seen = np.where(there, place - start[:-1, None] + 1, 0)
    return Windows(item, np.full_like(item, PADDING), np.where(there, gaps[safe], 0), seen, user)


def recency_of_targets(
    data: Interactions, windows: Windows, half_life_events: float, floor: float
) -> NDArray[np.float32]:
    """Weights of the windows' targets by how recent they are among their user's own, see `recency_weights`.

    float32[w, L], of mean 1 over targets.
    """
    total = np.bincount(data.user, minlength=data.users)[windows.user]  # [w]
    later = total[:, None] - windows.seen - 1  # [w, L], the user's events after the target
    faded = floor + (1.0 - floor) * np.exp2(-later / half_life_events)
    mean = faded[windows.target != PADDING].mean() if (windows.target != PADDING).any() else 1.0
    return (faded / mean).astype(np.float32)


def _histories(data: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Items and gap classes, user by user in the order of the stream, and where each user starts: int64[users + 1]."""
    order = np.argsort(data.user, kind="stable")
    user, time_ms = data.user[order], data.time_ms[order]
    gap_s = np.diff(time_ms, prepend=time_ms[:1]) / 1000.0
    gap_s[np.flatnonzero(np.diff(user, prepend=-1))] = np.inf  # a user's first event
    start = np.concatenate([[0], np.cumsum(np.bincount(data.user, minlength=data.users))])
    return data.item[order], np.searchsorted(GAP_ENDS_S, gap_s).astype(np.int64), start
