"""Logarithm and exponential of whole rows of float32, as polynomials: several times faster than one call a number.

Without branches and calls, and each loop of one type, so that the compiler vectorises them; the same bits on every run
of one build. The polynomials are interpolations at Chebyshev's points of the interval to which exponents bring a number
(Muller, Elementary Functions, 2006): within 1e-6 for the logarithm, and for the exponential of moderate numbers.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_LN2 = np.float32(0.6931471805599453)
_LOG2_E = np.float32(1.4426950408889634)
_MOST = np.float32(87.0)  # beyond, exp would leave the normal numbers of float32
_ROUND = np.float32(1.5 * 2**23)  # adding and taking it away rounds to whole numbers
_ROOT_OF_HALF = np.int32(0x3F3504F3)  # bits of sqrt(1/2): mantissas are taken from there to sqrt(2)
_ONE = np.int32(0x3F800000)  # bits of 1
_ONE_EXPONENT = np.float32(2.0**-23)
_MANTISSA = np.int32(23)
_BIAS = np.int32(127)


@numba.njit(cache=True)
def log_in_place(x: NDArray[np.float32], known: int, scratch: NDArray[np.float32]) -> None:
    """x[:known] becomes its natural logarithm; x: float32, positive and normal; scratch: float32[known]."""
    bits = x.view(np.int32)
    for i in range(known):
        # Each step is cast: numba computes with int64 otherwise, at half the width.
        exponent = np.int32(np.int32(bits[i] - _ROOT_OF_HALF) >> _MANTISSA)
        scratch[i] = np.float32(exponent)
        bits[i] = np.int32(bits[i] - np.int32(exponent << _MANTISSA))
    for i in range(known):
        z = x[i] - np.float32(1.0)
        p = np.float32(0.119310544354281)
        p = p * z - np.float32(0.18680751427033385)
        p = p * z + np.float32(0.20491759650060584)
        p = p * z - np.float32(0.24908289184730434)
        p = p * z + np.float32(0.3331467380854774)
        p = p * z - np.float32(0.5000114503774589)
        p = p * z + np.float32(1.0000009643975838)
        x[i] = p * z + scratch[i] * _LN2


@numba.njit(cache=True)
def rough_log2_in_place(x: NDArray[np.float32], known: int) -> None:
    """x[:known] becomes its logarithm to base 2, linear between powers of 2; x: float32, positive and normal."""
    bits = x.view(np.int32)
    for i in range(known):
        x[i] = np.float32(np.int32(bits[i] - _ONE)) * _ONE_EXPONENT


@numba.njit(cache=True)
def exp_in_place(x: NDArray[np.float32], known: int, scratch: NDArray[np.float32]) -> None:
    """x[:known] becomes its exponential; x: float32, taken to lie in -87 to 87; scratch as above."""
    bits = scratch.view(np.int32)
    for i in range(known):
        t = min(max(x[i], -_MOST), _MOST) * _LOG2_E
        shifted = t + _ROUND
        whole = shifted - _ROUND
        x[i] = (t - whole) * _LN2
        bits[i] = np.int32(np.int32(np.int32(whole) + _BIAS) << _MANTISSA)
    for i in range(known):
        z = x[i]
        p = np.float32(0.008363175565468076)
        p = p * z + np.float32(0.0418338265017664)
        p = p * z + np.float32(0.16666577003160313)
        p = p * z + np.float32(0.4999974885540525)
        x[i] = (p * z * z + z + np.float32(1.0)) * scratch[i]


@numba.njit(cache=True)
def _fold(low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
    for i in range(len(high)):
        low[i] += high[i]


@numba.njit(cache=True)
def dot(x: NDArray[np.float32], y: NDArray[np.float32], known: int, scratch: NDArray[np.float32]) -> float:
    """Sum of x * y over [:known], by folding halves: vectorised, exact to a few roundings, in a fixed order."""
    for i in range(known):
        scratch[i] = x[i] * y[i]
    left = known
    while left > 16:
        half = (left + 1) // 2
        _fold(scratch[:half], scratch[half:left])
        left = half
    total = 0.0
    for i in range(left):
        total += scratch[i]
    return total
