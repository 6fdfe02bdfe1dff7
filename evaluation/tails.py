"""Tail probabilities of the normal and the binomial distribution, the sign test, and intervals of a few runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

Z_95: Final = 1.959963984540054  # two-sided 95 % of the normal distribution
EXACT_BELOW: Final = 25
# Two-sided 95 % of Student's t, by degrees of freedom from 1 on; for more of them the last stands, which is a little wide.
_T_95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def student_half_width(values: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean of a few independent runs, by Student's t.

    Raises `ValueError` for fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"there are {n} values, expected 2 or more")
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return _T_95[min(n - 1, len(_T_95)) - 1] * deviation / math.sqrt(n)


def normal_two_sided(z: float) -> float:
    """Return P(|Z| >= |z|) of a standard normal Z."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def binomial_two_sided(n: int, k: int) -> float:
    """Return min(1, 2 P(X <= min(k, n - k))) of X ~ Binomial(n, 1/2); in integers until the division."""
    tail = sum(math.comb(n, i) for i in range(min(k, n - k) + 1))
    return min(1.0, 2.0 * tail / float(2**n))


def sign_test(plus: int, minus: int) -> float:
    """Return the two-sided p-value of `plus` and `minus` wins under equal chances; ties are left out before.

    Exact below 25 of them in all, else by the normal distribution with continuity correction: with plus and minus
    the discordant events, this is McNemar's test. Dixon & Mood (1946), "The statistical sign test", JASA 41; McNemar
    (1947), Psychometrika 12(2); Edwards (1948), Psychometrika 13(3), for the correction.
    """
    n = plus + minus
    if n < EXACT_BELOW:
        return binomial_two_sided(n, plus)
    return normal_two_sided(max(0.0, abs(plus - minus) - 1.0) / math.sqrt(n))
