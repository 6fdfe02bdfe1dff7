"""How sure a difference of Recall@10 on the same events is, with users as the unit that is independent.

With n_u events and D_u more hits of user u, over B users: d = sum D / sum n, and the robust variance of a ratio

    var(d) = B / (B - 1) sum (D_u - d n_u)^2 / (sum n)^2

(Liang & Zeger 1986, Biometrika 73(1); Cameron & Miller 2015, J. Human Resources 50(2)). A user's events depend on each
other, so an interval over events alone would be too narrow. `evaluation.significance` does the same live, by session.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.tails import Z_95, normal_two_sided


class Difference(NamedTuple):
    """A mean over events, its 95 % interval, and the two-sided p-value of that it is 0."""

    mean: float
    low: float
    high: float
    p: float


def mean_by_user(values: NDArray[Any], user: NDArray[Any]) -> Difference:
    """Return the mean of values (n, one an event; of a pair of models the difference) for the events' users (n).

    Raises `ValueError` for lengths that differ, and for fewer than two users.
    """
    if len(values) != len(user):
        raise ValueError(f"there are {len(values)} values and {len(user)} users, expected as many")
    _, of_user = np.unique(user, return_inverse=True)
    events = np.bincount(of_user).astype(np.float64)
    if len(events) < 2:
        raise ValueError(f"there are events of {len(events)} users, expected 2 or more")
    sums = np.bincount(of_user, weights=np.asarray(values, np.float64))
    total = float(events.sum())
    mean = float(sums.sum()) / total
    spread = float(np.square(sums - mean * events).sum())
    error = math.sqrt(len(events) / (len(events) - 1) * spread) / total
    p = normal_two_sided(mean / error) if error else float(mean == 0.0)
    return Difference(mean, mean - Z_95 * error, mean + Z_95 * error, p)
