"""Logarithm and exponential of float32 as polynomials: in a loop over a row, eight at a time.

Without branches and calls, and of one type, so that the compiler vectorises the loops they stand in; the same bits on
every run of one build. The polynomials are interpolations at Chebyshev's points of the interval to which exponents
bring a number (Muller, Elementary Functions, 2006): within 1e-6 for the logarithm, and for the exponential of moderate
numbers.
"""

from __future__ import annotations

import numba
import numpy as np

# What loops over whole rows may do with float32: fuse a product and a sum, rounding once.
FUSED = {"contract"}
SUMMED = FUSED | {
    "reassoc"
}  # and sums in any order, which the compiler makes one of vectors, the same in each run
MOST = np.float32(60.0)  # beyond, an exponential is cut: sums of 2^32 of them are still finite

_LN2 = np.float32(0.6931471805599453)
_LOG2_E = np.float32(1.4426950408889634)
_ROUND = np.float32(1.5 * 2**23)  # adding and taking it away rounds to whole numbers
_ROOT_OF_HALF = np.int32(0x3F3504F3)  # bits of sqrt(1/2): mantissas are taken from there to sqrt(2)
_ONE = np.int32(0x3F800000)  # bits of 1
_ONE_EXPONENT = np.float32(2.0**-23)
_MANTISSA = np.int32(23)
_BIAS = np.int32(127)


@numba.njit(cache=True, fastmath=FUSED)
def natural_log(number: np.float32) -> np.float32:
    """Natural logarithm of a positive, normal float32."""
    bits = np.float32(number).view(np.int32)
    # Each step is cast: numba computes with int64 otherwise, at half the width.
    exponent = np.int32(np.int32(bits - _ROOT_OF_HALF) >> _MANTISSA)
    z = np.int32(bits - np.int32(exponent << _MANTISSA)).view(np.float32) - np.float32(1.0)
    p = np.float32(0.119310544354281)
    p = p * z - np.float32(0.18680751427033385)
    p = p * z + np.float32(0.20491759650060584)
    p = p * z - np.float32(0.24908289184730434)
    p = p * z + np.float32(0.3331467380854774)
    p = p * z - np.float32(0.5000114503774589)
    p = p * z + np.float32(1.0000009643975838)
    return p * z + np.float32(exponent) * _LN2


@numba.njit(cache=True, fastmath=FUSED)
def rough_log2(number: np.float32) -> np.float32:
    """Logarithm to base 2 of a positive, normal float32, linear between powers of 2."""
    return np.float32(np.int32(np.float32(number).view(np.int32) - _ONE)) * _ONE_EXPONENT


@numba.njit(cache=True, fastmath=FUSED)
def exponential(number: np.float32) -> np.float32:
    """Exponential of a float32, which is taken to lie within +-MOST."""
    t = min(max(np.float32(number), -MOST), MOST) * _LOG2_E
    whole = (t + _ROUND) - _ROUND
    z = (t - whole) * _LN2
    power = np.int32(np.int32(np.int32(whole) + _BIAS) << _MANTISSA).view(np.float32)
    p = np.float32(0.008363175565468076)
    p = p * z + np.float32(0.0418338265017664)
    p = p * z + np.float32(0.16666577003160313)
    p = p * z + np.float32(0.4999974885540525)
    return (p * z * z + z + np.float32(1.0)) * power
